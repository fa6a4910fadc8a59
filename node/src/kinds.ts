/**
 * What does a run of each kind cost, and with which model?
 *
 * The report of `outlay report kinds`, its keys in camel case. Amounts in USD are exact decimals as texts, as in
 * the JSON of the command line.
 */

import { known, maybeText } from "./money.js";
import { reported } from "./reported.js";
import type { Span } from "./worth.js";

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
export async function kinds(options: Span = {}): Promise<KindsReport> {
  known(options, ["since", "store"], "kinds");
  return reported("kinds", { since: maybeText(options.since, "since") }, options.store);
}
