/**
 * What is left of what was earned?
 *
 * The report of `outlay report margin`, its keys in camel case. Amounts in USD are exact decimals as texts, as in
 * the JSON of the command line.
 */

import { InvalidInput } from "./errors.js";
import { known, maybeText, text } from "./money.js";
import { reported } from "./reported.js";
import type { Span } from "./worth.js";

/** What was earned, and what is left of it. */
export interface MarginFigures {
  /** By how many calls of a model. */
  readonly calls: number;
  /** What was earned; null where that was not said. */
  readonly revenueUsd: string | null;
  /** What was spent: settled and in doubt. */
  readonly spentUsd: string;
  /** What is left; null where nobody said what was earned. */
  readonly marginUsd: string | null;
  /** What is left of a thousand that was earned; null where nothing was. */
  readonly marginPerMille: number | null;
}

/** One customer, or whatever else rows are. */
export interface MarginRow extends MarginFigures {
  /** Which one; null for calls of none. */
  readonly key: string | null;
}

/** What is left of what was earned. */
export interface MarginReport {
  /** What the rows are. */
  readonly by: string;
  /** From when on; null for all. */
  readonly since: string | null;
  /** The largest loss first; those whose revenue nobody said come last. */
  readonly rows: readonly MarginRow[];
  /** All rows with revenue together. */
  readonly totals: MarginFigures;
  /** What was spent in the other rows, which have no margin. */
  readonly unearnedUsd: string;
  /** What the figures do not say. */
  readonly notes: readonly string[];
  /** Entries a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
}

/**
 * What is left of what was earned, the largest loss first.
 *
 * Rows whose revenue is not given have no margin: it is not taken for zero.
 *
 * @param by what rows are: `tag:tenant`, or whatever `report` takes.
 * @param revenue what was earned in USD, by the key of the row.
 * @throws {InvalidInput} a word, a time or an amount that cannot be.
 * @example
 * await task("refund", { tags: { tenant: "acme" }, store: "memory:margin" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 * const { rows } = await margin("tag:tenant", { acme: "0.01" }, { store: "memory:margin" });
 * rows.map((row) => [row.key, row.marginUsd, row.marginPerMille].join(" ")); // ["acme 0.0025 250"]
 */
export async function margin(
  by: string,
  revenue: Record<string, number | string>,
  options: Span = {},
): Promise<MarginReport> {
  known(options, ["since", "store"], "margin");
  if (typeof revenue !== "object" || revenue === null)
    throw new InvalidInput("`revenue` is not amounts by keys");
  const earned = Object.fromEntries(Object.entries(revenue).map(([key, usd]) => [key, String(usd)]));
  const words = {
    by: text(by, "by"),
    revenue: JSON.stringify(earned),
    since: maybeText(options.since, "since"),
  };
  return reported("margin", words, options.store);
}
