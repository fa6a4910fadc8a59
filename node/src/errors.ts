/**
 * What went wrong, and what can be done about it?
 *
 * Four families under `OutlayError`, one class per kind. `code` is stable for ever; what a program
 * may want to act on stands in fields, never only in the message. `X.isInstance(error)` holds across
 * copies of the package where `instanceof` does not.
 */

import { Money } from "./money.js";
import type { Failure } from "./native.js";

const MARK = Symbol.for("outlay.error");
// LangChain asks errors whether to try again; the same request gets the same answer from us.
const NOT_RETRYABLE = Symbol.for("langchain.errors.retryable");

/** What an error knows beside its message, by name. */
export type Fields = Readonly<Record<string, Money | string | number | boolean | null | Evidence>>;

/** On what grounds a breaker said something. */
export type Evidence = Readonly<Record<string, string | number | boolean>>;

type Kind<T> = { readonly code: string; new (message: string, fields?: Fields): T };

/** Everything outlay throws. */
export class OutlayError extends Error {
  static readonly code: string = "error";

  /** The stable code of its kind. */
  readonly code: string;
  /** What it knows beside its message; also its own properties. */
  readonly fields: Fields;

  constructor(message: string, fields: Fields = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = new.target.code;
    this.fields = fields;
    Object.defineProperty(this, "fields", { enumerable: false });
    const codes: string[] = [];
    for (let kind: Kind<unknown> = new.target; kind.code; kind = Object.getPrototypeOf(kind)) {
      codes.push(kind.code);
    }
    Object.defineProperty(this, "name", { value: new.target.name, configurable: true });
    Object.defineProperty(this, MARK, { value: codes });
    if (!codes.includes("fault")) Object.defineProperty(this, NOT_RETRYABLE, { value: false });
    for (const [name, value] of Object.entries(fields)) {
      Object.defineProperty(this, name, { value, enumerable: true });
    }
  }

  /** Is it an error of this class, whichever copy of the package threw it? */
  static isInstance<T>(this: Kind<T>, error: unknown): error is T {
    const codes = typeof error === "object" && error !== null && (error as never)[MARK];
    return Array.isArray(codes) && codes.includes(this.code);
  }
}

/** A verdict: the run should stop. */
export class Stopped extends OutlayError {
  static override readonly code: string = "stopped";
}

/** The program should be changed. */
export class Misuse extends OutlayError {
  static override readonly code: string = "misuse";
}

/** A price or a bound is missing. */
export class Unknowable extends OutlayError {
  static override readonly code: string = "unknowable";
}

/** Something below outlay failed. */
export class Fault extends OutlayError {
  static override readonly code: string = "fault";
}

/** A hard limit would be passed; nothing was held. */
export class BudgetExceeded extends Stopped {
  static override readonly code = "budget_exceeded";

  /** Whose limit. */
  declare readonly budget: string;
  /** `usd`, `tokens`, `llm_calls` or `tool_calls`. */
  declare readonly unit: string;
  declare readonly limit: Money | number;
  declare readonly spent: Money | number;
  declare readonly pending: Money | number;
  declare readonly requested: Money | number;
  /** How many output tokens would still fit. */
  declare readonly affordableOutputTokens: number;
  /** Would it fit if nothing were pending? */
  declare readonly contended: boolean;
  declare readonly window: string;
  /** RFC 3339, or null if the limit does not reset. */
  declare readonly resetsAt: string | null;
}

/** The loop breaker stopped the run. */
export class BreakerTripped extends Stopped {
  static override readonly code = "breaker_tripped";

  /** Who found something. */
  declare readonly detector: string;
  declare readonly evidence: Evidence;
}

/** An operator halted a scope. */
export class Halted extends Stopped {
  static override readonly code = "halted";

  /** `all`, a tag as `tenant=acme`, or a task. */
  declare readonly scope: string;
  /** Who ordered it. */
  declare readonly by: string;
  declare readonly reason: string;
}

/** A person has to approve before the run may go on. */
export class ApprovalRequired extends Stopped {
  static override readonly code = "approval_required";

  /** What to approve; `approve` takes it. */
  declare readonly id: string;
}

/** An argument has no meaning here. */
export class InvalidInput extends Misuse {
  static override readonly code = "invalid_input";
}

/** What was named does not exist. */
export class NotFound extends Misuse {
  static override readonly code = "not_found";
}

/** It exists already with other content, or somebody else holds it. */
export class Conflict extends Misuse {
  static override readonly code = "conflict";
}

/** Outlay cannot meter or do this. */
export class Unsupported extends Misuse {
  static override readonly code = "unsupported";
}

/** The model has no known price. */
export class Unpriced extends Unknowable {
  static override readonly code = "unpriced";
}

/** The worst case of the call cannot be known. */
export class Unbounded extends Unknowable {
  static override readonly code = "unbounded";

  declare readonly reason: string;
}

/** The ledger could not answer. */
export class StoreUnavailable extends Fault {
  static override readonly code = "store_unavailable";
}

/** The exclusive right ran out. */
export class LeaseLost extends Fault {
  static override readonly code = "lease_lost";
}

/** The ledger holds what it cannot hold. */
export class Corrupt extends Fault {
  static override readonly code = "corrupt";
}

const KINDS = new Map<string, Kind<OutlayError>>(
  [
    BudgetExceeded,
    BreakerTripped,
    Halted,
    ApprovalRequired,
    InvalidInput,
    NotFound,
    Conflict,
    Unsupported,
    Unpriced,
    Unbounded,
    StoreUnavailable,
    LeaseLost,
    Corrupt,
  ].map((kind) => [kind.code, kind]),
);

/** The error for one of the core; an unknown code is an `OutlayError`. */
export function fromNative(told: Failure): OutlayError {
  const fields = told.fields.map(({ name, text, count, money, flag, object }) => {
    const amount = money == null ? null : Money.fromNanos(money);
    const members = object == null ? null : evidenceOf(object);
    return [camel(name), amount ?? members ?? text ?? count ?? flag ?? null] as const;
  });
  const kind = KINDS.get(told.code) ?? OutlayError;
  return new kind(told.message, Object.fromEntries(fields));
}

/** The evidence of a verdict, by names in camel case, from the core's JSON. */
export function evidenceOf(json: string): Evidence {
  const members = Object.entries(JSON.parse(json) as Evidence);
  return Object.fromEntries(members.map(([name, value]) => [camel(name), value]));
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
