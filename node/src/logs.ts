/** What did logs of other tools record? */

import type * as Core from "./core.js";
import { known, Money, maybeText, text } from "./money.js";
import { native, unwrapped } from "./native.js";

/** What became of logs that were imported. `String(imported)` is a few lines. */
export class Imported {
  /** Calls that are in the ledger now and were not before. */
  readonly calls: number;
  /** What these cost. */
  readonly spent: Money;
  /** Calls that were in the ledger already. */
  readonly knownCalls: number;
  /** Calls that were in the ledger with less than they used in the end, and are corrected. */
  readonly correctedCalls: number;
  /** Files that were read. */
  readonly files: number;
  /** Lines, or records of a file that is no lines. */
  readonly lines: number;
  /** Lines about a call that another line told of too. */
  readonly repeatedLines: number;
  /** Lines that cannot be read. */
  readonly malformedLines: number;
  /** Lines that tell of no call. */
  readonly otherLines: number;
  /** Records of calls that nobody billed: failed, or answered from a cache. */
  readonly unbilledCalls: number;
  /** Calls whose model has no known price: their cost is unknown, and in no sum. */
  readonly unpricedCalls: number;
  /** Calls older than the ledger's last entry, which they are dated as. */
  readonly redatedCalls: number;
  /** Where the first lines that cannot be read are, and why. */
  readonly firstMalformed: readonly string[];
  readonly #text: string;

  /** @internal */
  constructor(told: Core.Imported) {
    this.calls = told.calls;
    this.spent = Money.fromNanos(told.spent);
    this.knownCalls = told.knownCalls;
    this.correctedCalls = told.correctedCalls;
    this.files = told.files;
    this.lines = told.lines;
    this.repeatedLines = told.repeatedLines;
    this.malformedLines = told.malformedLines;
    this.otherLines = told.otherLines;
    this.unbilledCalls = told.unbilledCalls;
    this.unpricedCalls = told.unpricedCalls;
    this.redatedCalls = told.redatedCalls;
    this.firstMalformed = told.firstMalformed;
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}

/**
 * Brings in the logs of another tool as settled calls, each charged its price at its date.
 *
 * A call is known by its id, so importing again adds what is new. Lines that cannot be read are
 * counted, never fatal.
 *
 * @param source whose logs they are.
 * @param path a file, or a folder with all below it.
 * @param options `store`: the ledger, a file; it is made if there is none.
 * @throws {InvalidInput} a source that is not known, or a table without the columns it needs.
 * @throws {NotFound} there is no such file, or no log in the folder.
 * @throws {Conflict} the ledger has shared budgets, which the calls would count against.
 * @throws {Unsupported} a ledger in memory.
 * @example
 * const rows = "id,time,model,input_tokens,output_tokens\n1,2026-06-01,gpt-4o,1000,500\n";
 * await writeFile(join(folder, "calls.csv"), rows);
 * const imported = await importLogs("csv", folder, { store: `sqlite:${join(folder, "past.db")}` });
 * console.log(String(imported.spent)); // 0.0075 USD
 */
export async function importLogs(
  source: "claude-code" | "codex" | "litellm" | "csv",
  path: string,
  options: { store?: string } = {},
): Promise<Imported> {
  known(options, ["store"], "importLogs");
  const store = maybeText(options.store, "store");
  return new Imported(await unwrapped(native.importLogs(text(source, "source"), text(path, "path"), store)));
}
