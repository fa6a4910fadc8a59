/** What happened? Reports and summaries as the core folds them, with amounts as `Money`. */

import type * as Core from "./core.js";
import { count, Money } from "./money.js";

type ReportTold = Core.Report;
type SummaryTold = Core.Summary;

type WithMoney<T> = {
  readonly [K in keyof T]: T[K] extends bigint ? Money : T[K];
};

/** What became of some calls. */
export type Figures = WithMoney<Core.Figures>;

/** One line of a report. */
export interface ReportRow extends Figures {
  /** The task's own id or name, the model or the value of the tag; `erased` where it was forgotten. */
  readonly key: string | null;
  /** The task's id in the ledger, in a report by task or attempt. */
  readonly taskId: string | null;
  /** The number of the attempt, in a report by attempt. */
  readonly attempt: number | null;
  /** Its part of all that was spent, per mille. */
  readonly sharePerMille: number;
}

/** One attempt in a summary. */
export interface AttemptLine extends Figures {
  /** Its number, from 1. */
  readonly number: number;
  /** How it stands. */
  readonly outcome: Outcome;
  /** What was said of its end. */
  readonly reason: string | null;
}

/** How an attempt stands. */
export type Outcome = "running" | "succeeded" | "failed" | "stopped" | "lost";

/** Spending that bought nothing, or of which nobody knows whether it did. */
export interface Loss {
  /** `failed attempts`, `stopped attempts`, `lost attempts`, `calls in doubt` or `estimated`. */
  readonly what: string;
  /** How much of it. */
  readonly spent: Money;
  /** How many calls of a model. */
  readonly calls: number;
}

/** Where the money went. `String(report)` is a table. */
export class Report {
  /** What the rows are. */
  readonly by: string;
  /** The rows, the largest spender first. */
  readonly rows: readonly ReportRow[];
  /** All rows together. */
  readonly totals: Figures;
  /** Entries a ledger in memory keeps no longer: their calls are not in the report. */
  readonly droppedEntries: number;
  readonly #text: string;

  /** @internal */
  constructor(told: ReportTold) {
    this.by = told.by;
    this.rows = told.rows.map(row);
    this.totals = figures(told.totals);
    this.droppedEntries = told.droppedEntries;
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}

/** What a task spent, over all attempts and everything inside it. `String(summary)` is a few lines. */
export class Summary {
  /** The task's name. */
  readonly name: string;
  /** Its id in the ledger. */
  readonly id: string;
  /** The id the caller gave it. */
  readonly callerId: string | null;
  /** How its latest attempt stands. */
  readonly outcome: Outcome;
  /** Settled and in doubt. */
  readonly spent: Money;
  /** What open calls hold. */
  readonly pending: Money;
  /** What calls hold whose outcome nobody knows. */
  readonly inDoubt: Money;
  /** Calls without a known price: their cost is unknown, and in no sum. */
  readonly unpricedCalls: number;
  /** Calls made without a record, because the ledger could not answer. */
  readonly unrecordedCalls: number;
  /** What is left for a call: the least over every hard limit on money; null without any. */
  readonly available: Money | null;
  /** All its calls together. */
  readonly totals: Figures;
  /** Its attempts, the first one first. */
  readonly attempts: readonly AttemptLine[];
  /** The models its calls asked for, the largest spender first. */
  readonly byModel: readonly ReportRow[];
  /** Which part bought nothing, by kind; no cent is in two kinds. */
  readonly boughtNothing: readonly Loss[];
  readonly #text: string;

  /** @internal */
  constructor(told: SummaryTold) {
    this.name = told.name;
    this.id = told.id;
    this.callerId = told.callerId ?? null;
    this.outcome = told.outcome as Outcome;
    this.spent = Money.fromNanos(told.spent);
    this.pending = Money.fromNanos(told.pending);
    this.inDoubt = Money.fromNanos(told.inDoubt);
    this.unpricedCalls = told.totals.unpricedCalls;
    this.unrecordedCalls = told.unrecordedCalls;
    this.available = told.available == null ? null : Money.fromNanos(told.available);
    this.totals = figures(told.totals);
    this.attempts = told.attempts.map((line) => ({
      ...figures(line.figures),
      number: line.number,
      outcome: line.outcome as Outcome,
      reason: line.reason ?? null,
    }));
    this.byModel = told.byModel.map(row);
    this.boughtNothing = told.boughtNothing.map((loss) => ({
      what: loss.what,
      spent: Money.fromNanos(loss.spent),
      calls: loss.calls,
    }));
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}

/** How far counts and bounds of input were from the truth, for one kind of call. */
export class MeterRow {
  /** Who billed them, where the price list says. */
  readonly provider: string | null;
  /** The model that was asked for. */
  readonly model: string | null;
  /** Did they offer tools? */
  readonly hasTools: boolean;
  /** How their input was bounded: `exact`, `reconstructed`, `calibrated` or `strict`. */
  readonly method: string;
  /** How many calls. */
  readonly calls: number;
  /** How many of them had more input than their bound. */
  readonly overruns: number;
  readonly #truth: Uint32Array;
  readonly #bound: Uint32Array;

  /** @internal */
  constructor(told: Core.MeterRow) {
    this.provider = told.provider ?? null;
    this.model = told.model ?? null;
    this.hasTools = told.hasTools;
    this.method = told.method;
    this.calls = told.calls;
    this.overruns = told.overruns;
    this.#truth = told.truthOverCount;
    this.#bound = told.boundOverTruth;
  }

  /**
   * What the provider counted over what was counted here, per mille: what `quantile`, per mille too, of the
   * calls do not exceed.
   */
  truthOverCount(quantile: number): number {
    return ranked(this.#truth, quantile);
  }

  /** The bound over what the provider counted, likewise. */
  boundOverTruth(quantile: number): number {
    return ranked(this.#bound, quantile);
  }
}

/** How far bounds were from the truth. `String(report)` is a table. */
export class MeterReport {
  /** By provider and model. */
  readonly rows: readonly MeterRow[];
  /** Entries a ledger in memory keeps no longer: calls reserved by them are not in the report. */
  readonly droppedEntries: number;
  readonly #text: string;

  /** @internal */
  constructor(told: Core.MeterReport) {
    this.rows = told.rows.map((each) => new MeterRow(each));
    this.droppedEntries = told.droppedEntries;
    this.#text = told.text;
  }

  /** The same for people. */
  toString(): string {
    return this.#text;
  }
}

function ranked(ratios: Uint32Array, quantile: number): number {
  const rank = Math.min(Math.max(count(quantile, "quantile"), 1), ratios.length);
  return ratios[rank - 1] ?? 0;
}

function figures(told: Core.Figures): Figures {
  const shown = Object.entries(told).map(([name, value]) => [
    name,
    typeof value === "bigint" ? Money.fromNanos(value) : value,
  ]);
  return Object.fromEntries(shown) as Figures;
}

function row(told: Core.ReportRow): ReportRow {
  return {
    ...figures(told.figures),
    key: told.key ?? null,
    taskId: told.taskId ?? null,
    attempt: told.attempt ?? null,
    sharePerMille: told.sharePerMille,
  };
}
