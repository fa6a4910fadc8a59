/** Is the ledger as it was written? What an audit found. */

import type * as Core from "./core.js";

/** Something that is not as it was written. `String(problem)` is a line. */
export class Problem {
  /** Where: at an `entry`, an `owner`, a `name` or a `balance`. */
  readonly place: string;
  /** The number of the entry, owner or name, or of the balance's account. */
  readonly number: number;
  /** The last entry that may be the bad one; for a balance its slot. */
  readonly until: number | null;
  /** What is wrong there. */
  readonly what: string;
  readonly #text: string;

  /** @internal */
  constructor(told: Core.Problem) {
    this.place = told.place;
    this.number = told.number;
    this.until = told.until ?? null;
    this.what = told.what;
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}

/** What an audit found. `String(audit)` is a few lines. */
export class Audit {
  /** Is everything as it was written? */
  readonly isSound: boolean;
  /** How many entries were read. */
  readonly entries: number;
  /** How many of them lie before the checkpoint; null without one. */
  readonly checkpointEntries: number | null;
  /** How many names are erased, as entries say. */
  readonly erasedNames: number;
  /** What is wrong, the first bad entry first; at most twenty. */
  readonly problems: readonly Problem[];
  readonly #text: string;

  /** @internal */
  constructor(told: Core.Audit) {
    this.isSound = told.isSound;
    this.entries = told.entries;
    this.checkpointEntries = told.checkpointEntries ?? null;
    this.erasedNames = told.erasedNames;
    this.problems = told.problems.map((problem) => new Problem(problem));
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}
