/** How does another program get the ledger? */

import type { ExportedFacts } from "./core.js";
import { ledger } from "./ledger.js";
import { known, Money, maybeText, text } from "./money.js";
import { native, unwrapped } from "./native.js";

/** What of the ledger is written. */
export interface ExportOptions {
  /** Only what was written from then on: `7d`, `24h`, a date or a time. */
  since?: string;
  /** Only what was written before then. */
  until?: string;
  /** For `focus`, who pays, as the provider calls the account; else the ledger. */
  account?: string;
  /** The ledger; see `task`. */
  store?: string;
}

/** What stands in an export, and what does not. */
export class Exported {
  /** Rows or lines, without the heading. */
  readonly rows: number;
  /** What was settled in the period: the sum of its rows. */
  readonly settled: Money;
  /** Calls without a known price: their cost is unknown, and in no sum. */
  readonly unpricedCalls: number;
  /** Older entries that a ledger in memory keeps no longer. */
  readonly droppedEntries: number;
  readonly #text: string;

  /** @internal */
  constructor(facts: ExportedFacts) {
    this.rows = facts.rows;
    this.settled = Money.fromNanos(facts.settled);
    this.unpricedCalls = facts.unpricedCalls;
    this.droppedEntries = facts.droppedEntries;
    this.#text = facts.text;
  }

  /** Some lines of text. */
  toString(): string {
    return this.#text;
  }
}

/**
 * Writes the ledger, or a period of it, to a file; `docs/exports.md` has the columns.
 *
 * A period that is over always gives the same rows, so whoever loads it may replace it. No prompt and no
 * answer is in it.
 *
 * @param format `focus` is CSV in the columns of FOCUS 1.2, a row for each unit that was charged; `csv` and
 * `jsonl` are the entries, one a line.
 * @param path the file; one that is there is replaced.
 * @throws {InvalidInput} a format or time that is not known, or the file cannot be written.
 * @throws {StoreUnavailable} the ledger could not answer.
 * @example
 * await task("refund", { usd: 0.5, store: "memory:export" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 * const written = await exportLedger("focus", join(folder, "november.csv"), { store: "memory:export" });
 * String(written); // "2 rows, 0.0075 USD settled"
 */
export async function exportLedger(
  format: "focus" | "csv" | "jsonl",
  path: string,
  options: ExportOptions = {},
): Promise<Exported> {
  known(options, ["since", "until", "account", "store"], "exportLedger");
  const since = maybeText(options.since, "since");
  const until = maybeText(options.until, "until");
  const account = maybeText(options.account, "account");
  const spec = {
    format: text(format, "format"),
    path: text(path, "path"),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(account !== undefined && { account }),
  };
  const { handle } = await ledger(options.store);
  return new Exported(await unwrapped(native.exportLedger(handle, spec)));
}
