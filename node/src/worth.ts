/**
 * What was paid for nothing, what did failure cost, and what was bought?
 *
 * The reports of `outlay report waste`, `tax` and `value`, their keys in camel case. Amounts in USD are exact
 * decimals as texts, as in the JSON of the command line.
 */

import { known, maybeText } from "./money.js";
import { reported } from "./reported.js";

/** From when on, and in which ledger. */
export interface Span {
  /** `7d`, `24h` or a date; absent means all. */
  since?: string;
  /** The ledger; see `task`. */
  store?: string;
}

/** An attempt or a call behind a kind of waste. */
export interface WasteItem {
  /** The kind. */
  readonly kind: string;
  /** How much of it. */
  readonly usd: string;
  /** The id the caller gave the task, else its name. */
  readonly task: string | null;
  /** Its id in the ledger. */
  readonly taskId: string | null;
  /** The number of the attempt. */
  readonly attempt: number;
  /** The call; null where it is the whole attempt. */
  readonly callId: string | null;
  /** Input tokens that might have been read from the cache and were not, at most. */
  readonly missedTokens: number;
  /** The message, from 0, in which the request differs from the one before; null of other kinds. */
  readonly differsAtMessage: number | null;
  /** And how many bytes into it, by whole blocks of 256. */
  readonly differsAtByte: number | null;
}

/** One kind of waste. */
export interface WasteKind {
  /** Its name. */
  readonly kind: string;
  /** What was paid for nothing. */
  readonly usd: string;
  /** Of it, in tasks a later attempt at which succeeded. */
  readonly redoneUsd: string;
  /** How many calls of a model. */
  readonly calls: number;
  /** What to do about it. */
  readonly advice: string;
  /** The dearest attempts or calls of it, the first one first. */
  readonly items: readonly WasteItem[];
}

/** What was paid for nothing. */
export interface WasteReport {
  /** From when on; null for all. */
  readonly since: string | null;
  /** By kind, each cent in one of them. */
  readonly kinds: readonly WasteKind[];
  /** All kinds together. */
  readonly wastedUsd: string;
  /** All that was settled. */
  readonly settledUsd: string;
  /** How much context calls carried, which is no waste for sure: definitions of tools, and how requests grow. */
  readonly context: {
    readonly inputTokens: number;
    readonly toolTokens: number;
    readonly toolsPerMille: number;
    readonly toolUsd: string;
    readonly growthPerCall: number;
  };
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/** What failure cost. Runs without a call are in no count. */
export interface TaxFigures {
  /** First runs of tasks that have ended. */
  readonly firstRuns: number;
  /** Of them those that failed, were stopped or were lost. */
  readonly firstLost: number;
  /** The same, per mille; null without any. */
  readonly firstLostPerMille: number | null;
  /** All runs that have ended. */
  readonly runs: number;
  /** Of them those that succeeded. */
  readonly succeeded: number;
  /** Runs for each that succeeded, per mille: 1,000 where none is repeated; null without one. */
  readonly runsPerSuccessPerMille: number | null;
  /** The most runs one task needed so far. */
  readonly deepest: number;
  /** What runs that succeeded cost, without what was lost inside them. */
  readonly usefulUsd: string;
  /** Their tokens. */
  readonly usefulTokens: number;
  /** What attempts cost that bought nothing. */
  readonly lostUsd: string;
  /** Their tokens. */
  readonly lostTokens: number;
  /** What runs cost that are open, or of which nobody knows how they ended. */
  readonly openUsd: string;
  /** Their tokens. */
  readonly openTokens: number;
  /** What was lost for what was useful, per mille; null where nothing was. */
  readonly taxPerMille: number | null;
}

/** The figures of tasks of one name. */
export interface TaxRow extends TaxFigures {
  /** The name; `erased` where it was forgotten. */
  readonly task: string | null;
}

/** How often runs fail, and what that cost, by the name of the task. */
export interface TaxReport {
  /** From when on; null for all. */
  readonly since: string | null;
  /** By the name of the task. */
  readonly rows: readonly TaxRow[];
  /** All together. */
  readonly totals: TaxFigures;
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/** What was bought, in the unit of whoever said what a run was worth. */
export interface Worth {
  /** What runs were worth, as an exact decimal. */
  readonly value: string;
  /** What they cost. */
  readonly settledUsd: string;
  /** Their tokens. */
  readonly tokens: number;
  /** Worth for each USD; null where nothing was paid. */
  readonly valuePerUsd: number | null;
  /** Worth for each million tokens; null without any. */
  readonly valuePerMillionTokens: number | null;
}

/** The worth of runs that have something in common. */
export interface ValueRow extends Worth {
  /** What the key is: a task, a model and so on. */
  readonly by: string;
  /** Which one. */
  readonly key: string | null;
}

/** The worth of one run. */
export interface ValueRun extends Worth {
  /** The name of the task. */
  readonly task: string | null;
  /** Its id in the ledger. */
  readonly taskId: string | null;
  /** The number of the attempt. */
  readonly attempt: number;
}

/** What the money bought. */
export interface ValueReport {
  /** From when on; null for all. */
  readonly since: string | null;
  /** By what runs have in common. */
  readonly rows: readonly ValueRow[];
  /** Each run. */
  readonly runs: readonly ValueRun[];
  /** All together. */
  readonly totals: Worth;
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/**
 * What was paid for nothing, by kind, and what to do.
 *
 * @throws {InvalidInput} a time that cannot be.
 * @example
 * const { wastedUsd, kinds } = await waste({ since: "7d" });
 * for (const { kind, usd, advice } of kinds) console.log(kind, usd, advice);
 */
export function waste(options: Span = {}): Promise<WasteReport> {
  return told("waste", options);
}

/**
 * How often runs fail, and what that cost, by the name of the task.
 *
 * @throws {InvalidInput} a time that cannot be.
 * @example
 * const { totals } = await tax({ since: "7d" });
 * console.log(totals.runs, totals.succeeded, totals.lostUsd);
 */
export function tax(options: Span = {}): Promise<TaxReport> {
  return told("tax", options);
}

/**
 * What the money bought, for runs that said by `succeed({ value })` what they were worth.
 *
 * @throws {InvalidInput} a time that cannot be.
 * @example
 * await task("refund", { usd: 1, store: "memory:worth" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 *   t.succeed({ value: 2.5 });
 * });
 * (await value({ store: "memory:worth" })).totals.value; // "2.50"
 */
export function value(options: Span = {}): Promise<ValueReport> {
  return told("value", options);
}

/** A report that takes nothing but a time and a ledger. */
export async function told<T>(what: string, options: Span): Promise<T> {
  known(options, ["since", "store"], what);
  return reported(what, { since: maybeText(options.since, "since") }, options.store);
}
