/**
 * What would it have cost elsewhere, and what will the month cost?
 *
 * The reports of `outlay report whatif` and `forecast`, their keys in camel case. What was spent is an exact
 * decimal as a text; what is expected is a number of USD.
 */

import { known, maybeText } from "./money.js";
import { reported } from "./reported.js";
import type { Span } from "./worth.js";

/** Where the calls would have gone, and which. */
export interface WhatIfOptions extends Span {
  /** Who would have served them; absent is the maker of the model. */
  provider?: string;
  /** `batch`, `flex`, `priority` or another. */
  serviceTier?: string;
}

/** What some calls cost, and would have cost elsewhere. */
export interface Repriced {
  /** How many calls are compared. */
  readonly calls: number;
  /** What they cost. */
  readonly recordedUsd: string;
  /** What they would have cost at least, if answered in as much text. */
  readonly leastUsd: string;
  /** And at most; the same where both models read with the same tokenizer. */
  readonly mostUsd: string;
  /** Are these the same? */
  readonly exact: boolean;
  /** Calls that cannot be compared. */
  readonly leftOutCalls: number;
  /** What these cost, as far as that is known. */
  readonly leftOutUsd: string;
}

/** The calls of one model in tasks of one name. */
export interface WhatIfRow extends Repriced {
  /** The name of the tasks. */
  readonly task: string | null;
  /** The model that was asked for; null for tools. */
  readonly model: string | null;
  /** The provider and model they would have gone to; null where it has no price. */
  readonly wouldBe: string | null;
  /** How many tokens the target has at least for a thousand of the recorded ones. */
  readonly tokensLowPerMille: number | null;
  /** And at most. */
  readonly tokensHighPerMille: number | null;
  /** How that is known: `same tokenizer`, `sample texts` or `family bounds`. */
  readonly ratioSource: string | null;
  /** Why calls are left out, each reason with how many. */
  readonly leftOutWhy: string | null;
}

/** What was recorded, priced as if it had gone elsewhere. */
export interface WhatIfReport {
  /** The model that was asked about. */
  readonly model: string | null;
  /** And the provider. */
  readonly provider: string | null;
  /** And the service tier. */
  readonly serviceTier: string | null;
  /** From when on; null for all. */
  readonly since: string | null;
  /** By task and model. */
  readonly rows: readonly WhatIfRow[];
  /** All together. */
  readonly totals: Repriced;
  /** What the figures do not say. */
  readonly notes: readonly string[];
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/** What is expected, in USD. */
export interface Expected {
  /** What it will be; null where too little is known. */
  readonly expectedUsd: number | null;
  /** 9 times of 10 not less than this. */
  readonly lowUsd: number | null;
  /** Nor more than this. */
  readonly highUsd: number | null;
}

/** What one scope will have spent by the end of the month. */
export interface ForecastRow extends Expected {
  /** `row`, or `total`. */
  readonly what: string;
  /** The name of the tasks, the model or the value of the tag; null in the total. */
  readonly key: string | null;
  /** What was settled of calls reserved in this month. */
  readonly spentUsd: string;
  /** When the month ends, in UTC. */
  readonly endsAt: string;
  /** `weekdays` or `mean`, whichever did better on this history; null without a guess. */
  readonly guessedBy: string | null;
  /** After how many cuts through the history four days were guessed; null where it is too short. */
  readonly cuts: number | null;
  /** How far the mean was off in USD, on average. */
  readonly meanErrorUsd: number | null;
  /** How far weekdays with a recent level were off. */
  readonly weekdayErrorUsd: number | null;
  /** After how many cuts the truth was in the interval. */
  readonly cutsInInterval: number | null;
}

/** What a shared budget will have spent when its window ends. */
export interface BudgetForecast extends Expected {
  /** `budget`. */
  readonly what: string;
  /** The tags it covers, as `tenant=acme`; empty for everything. */
  readonly key: string;
  /** Its window, such as `month`. */
  readonly window: string;
  /** How much it allows. */
  readonly limitUsd: string;
  /** May it not be passed? */
  readonly hard: boolean;
  /** Settled and in doubt within the window. */
  readonly spentUsd: string;
  /** When the window ends; null for a life. */
  readonly endsAt: string | null;
  /** When the limit is expected to be used up; null if not before the window ends, or too little is known. */
  readonly usedUpAt: string | null;
  /** 9 times of 10 not earlier than this. */
  readonly usedUpEarliest: string | null;
  /** Nor later than this; null if perhaps not at all. */
  readonly usedUpLatest: string | null;
}

/** What will have been spent. */
export interface Forecast {
  /** When it was made. */
  readonly at: string;
  /** When the month ends, in UTC. */
  readonly monthEndsAt: string;
  /** What the rows are; null for none. */
  readonly by: string | null;
  /** By what was asked for, the largest spender of the month first. */
  readonly rows: readonly ForecastRow[];
  /** All tasks together. */
  readonly total: ForecastRow;
  /** Limits on money of shared budgets; those over a rolling window have no forecast. */
  readonly budgets: readonly BudgetForecast[];
  /** What the figures do not say, and how such guesses did on this history. */
  readonly notes: readonly string[];
  /** Entries a ledger in memory keeps no longer: calls reserved by them are not in the report. */
  readonly droppedEntries: number;
}

/**
 * What the recorded calls would have cost with another model, provider or service tier.
 *
 * Prices are those of the time of each call. With the same tokenizer the answer is exact, else it is a range.
 * Whether the other model would have done the work is not in it.
 *
 * @param model the model they would have gone to; null leaves each its own.
 * @throws {InvalidInput} nothing is to be other than it was, or a word that is not known.
 * @throws {Unpriced} nobody knows what the model costs.
 * @example
 * await task("refund", { store: "memory:what-if" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 * const { totals } = await whatIf("gpt-4o-mini", { store: "memory:what-if" });
 * [totals.recordedUsd, totals.mostUsd]; // ["0.0075", "0.00045"]
 */
export async function whatIf(model?: string | null, options: WhatIfOptions = {}): Promise<WhatIfReport> {
  known(options, ["provider", "serviceTier", "since", "store"], "whatIf");
  const words = {
    model: maybeText(model, "model"),
    provider: maybeText(options.provider, "provider"),
    tier: maybeText(options.serviceTier, "serviceTier"),
    since: maybeText(options.since, "since"),
  };
  return reported("whatif", words, options.store);
}

/**
 * What the month will cost by its end, and when shared budgets will be used up.
 *
 * It is made of the days of the last eight weeks, in UTC, and says how far such guesses were off on this
 * history.
 *
 * @param by `task` (by their names), `kind`, `agent`, `model` or `tag:NAME`; absent is all in one.
 * @throws {InvalidInput} a word that is not known.
 * @example
 * await task("refund", { store: "memory:forecast" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 * const { rows } = await forecast("model", { store: "memory:forecast" });
 * rows.map((row) => [row.key, row.spentUsd].join(" ")); // ["gpt-4o 0.0075"]
 */
export async function forecast(by?: string | null, options: { store?: string } = {}): Promise<Forecast> {
  known(options, ["store"], "forecast");
  return reported("forecast", { by: maybeText(by, "by") }, options.store);
}
