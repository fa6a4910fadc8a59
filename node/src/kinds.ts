/**
 * What does a run of each kind cost, with which model, and is it what it may cost?
 *
 * The reports of `outlay report kinds` and `slo`, their keys in camel case. Amounts in USD are exact decimals as texts, as in
 * the JSON of the command line.
 */

import { type Span, told } from "./worth.js";

/** What some runs cost, and how they ended. A run is an attempt at an outermost task, with all inside it. */
export interface RunFigures {
  /** All runs that made a call. */
  readonly runs: number;
  /** Of them those that succeeded. */
  readonly succeeded: number;
  /** Of them those that failed, were stopped or were lost. */
  readonly lost: number;
  /** Of them those that are open, or of which nobody knows how they ended. */
  readonly open: number;
  /** Of them those that spent on several models. */
  readonly mixed: number;
  /** Have fewer than 20 ended, so that the rate of success says little? */
  readonly isFew: boolean;
  /** How many of those that ended succeeded, per mille; null where none has ended. */
  readonly successPerMille: number | null;
  /** Where the rate of success begins, 19 times of 20: a share from 0 to 1. */
  readonly successLow: number | null;
  /** And where it ends. */
  readonly successHigh: number | null;
  /** What all of them spent: settled and in doubt. */
  readonly spentUsd: string;
  /** What all of them spent for each that succeeded; null where none did. */
  readonly usdPerSuccess: string | null;
  /** Half of them cost no more. Quantiles are costs of runs that were made. */
  readonly usdP50: string;
  /** 95 of 100 cost no more. */
  readonly usdP95: string;
  /** 99 of 100 cost no more. */
  readonly usdP99: string;
  /** The dearest. */
  readonly usdMax: string;
  /** How long those took that have ended, each from its beginning to its end. */
  readonly runtimeMs: number;
  /** How many entries the ledger has about their calls. */
  readonly entries: number;
  /** What the time costs; null without `computeUsdPerHour`. */
  readonly computeUsd: string | null;
  /** What the entries cost; null without `orchestrationUsdPerEntry`. */
  readonly orchestrationUsd: string | null;
}

/** The runs of one kind, or those of them that spent the most on one model. */
export interface KindRow extends RunFigures {
  /** The tag `kind` of the outermost task, else its name; `erased` where it was forgotten. */
  readonly kind: string | null;
  /** The model; null in a row of all runs of a kind, and of runs that asked none. */
  readonly model: string | null;
}

/** What runs of each kind cost. */
export interface KindsReport {
  /** From when on; null for all. */
  readonly since: string | null;
  /** By kind, where the most was spent first. */
  readonly rows: readonly KindRow[];
  /** By kind and model; of each kind the model first that is cheapest for every success. */
  readonly models: readonly KindRow[];
  /** All runs together. */
  readonly totals: RunFigures;
  /** What the figures do not say. */
  readonly notes: readonly string[];
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/**
 * What runs of each kind cost, how often they succeed, and with which model.
 *
 * A run that asked several models stands under the one it spent the most on.
 *
 * @throws {InvalidInput} a time that cannot be.
 * @example
 * await task("refund", { kind: "extractive", store: "memory:kinds" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 * const { models } = await kinds({ store: "memory:kinds" });
 * models.map((row) => [row.kind, row.model, row.usdPerSuccess].join(" ")); // ["extractive gpt-4o 0.0075"]
 */
export function kinds(options: Span = {}): Promise<KindsReport> {
  return told("kinds", options);
}

/** One amount that runs of a kind may cost, and what became of it. */
export interface SloRow {
  /** The kind of run. */
  readonly kind: string;
  /**
   * `target`: what all runs spent for each that succeeded; `p95`: what 95 of 100 do not pass; `cap`: the
   * dearest; `month`: what was settled in this month, in UTC.
   */
  readonly what: "target" | "p95" | "cap" | "month";
  /** How many runs it is made of; null for a month. */
  readonly runs: number | null;
  /** How much it may be. */
  readonly allowedUsd: string;
  /** How much it is; null where that is not known. */
  readonly actualUsd: string | null;
  /** How much more it is than it may be, negative where it is less. */
  readonly overUsd: string | null;
  /** Is it as it may be? Null where that is not known. */
  readonly isMet: boolean | null;
  /** Will the month be too dear by its end, if it goes on as expected? */
  readonly willBeOver: boolean;
  /** What the month will have cost in USD by its end; null for the others, and of less than a week. */
  readonly expectedUsd: number | null;
  /** One time of twenty it is less. */
  readonly lowUsd: number | null;
  /** One time of twenty it is more. */
  readonly highUsd: number | null;
}

/** Whether runs cost what they may. */
export interface SloReport {
  /** From when on; null for all. */
  readonly since: string | null;
  /** By kind: target, p95, cap, month, of those that are configured. */
  readonly rows: readonly SloRow[];
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/**
 * Whether runs of each kind cost what `slo` of the configuration says they may.
 *
 * @throws {InvalidInput} a time that cannot be.
 * @example
 * configure({ slo: { refund: { target: "0.005", cap: "0.01" } } });
 * await task("refund", { store: "memory:slo" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 * const { rows } = await slo({ store: "memory:slo" });
 * configure({ slo: {} });
 * rows.map((row) => [row.what, row.overUsd, row.isMet].join(" ")); // ["target 0.0025 false", "cap -0.0025 true"]
 */
export function slo(options: Span = {}): Promise<SloReport> {
  return told("slo", options);
}
