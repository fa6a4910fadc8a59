/** How much money, and how is it limited? Amounts are exact: whole nano-USD, never floats. */

import { InvalidInput } from "./errors.js";
import { type LimitSpec, native, unwrap } from "./native.js";

/** An amount as a person types it: read by its shortest decimal form. */
export type Amount = number | string | bigint | Money;

/**
 * An exact amount of money.
 *
 * `String(money)` prints it with its unit, `usd` is the exact decimal, `nanos` the whole number of
 * nano-USD. Amounts can be compared, added and subtracted; `<` and `>` compare them too, `===` does not.
 *
 * @example
 * new Money(0.5).usd; // "0.50"
 */
export class Money {
  /** In nano-USD. */
  readonly nanos: bigint;

  /**
   * Reads a number of USD by its decimal form.
   *
   * @throws {InvalidInput} not a decimal number, or beyond nine billion USD.
   */
  constructor(usd: Amount) {
    this.nanos = unwrap(native.parseMoney(decimal(usd, "usd")));
  }

  /**
   * From a whole number of nano-USD.
   *
   * @throws {InvalidInput} beyond nine billion USD.
   */
  static fromNanos(nanos: bigint): Money {
    if (typeof nanos !== "bigint" || BigInt.asIntN(64, nanos) !== nanos) {
      throw new InvalidInput(`\`nanos\` is \`${shown(nanos)}\`, no amount of money as a bigint`);
    }
    const money = Object.create(Money.prototype) as { nanos: bigint };
    money.nanos = nanos;
    return Object.freeze(money) as unknown as Money;
  }

  /** In USD, as an exact decimal. */
  get usd(): string {
    return unwrap(native.showMoney(this.nanos));
  }

  /**
   * The sum of both.
   *
   * @throws {InvalidInput} no `Money`, or a sum beyond nine billion USD.
   * @example
   * const spent = new Money("0.10").plus(new Money("0.20"));
   * spent.usd; // "0.30"
   */
  plus(other: Money): Money {
    return Money.fromNanos(this.nanos + nanosOf(other));
  }

  /**
   * What is left without the other; negative if that is more.
   *
   * @throws {InvalidInput} no `Money`, or a difference beyond nine billion USD.
   * @example
   * new Money(1).minus(new Money("0.0075")).usd; // "0.9925"
   */
  minus(other: Money): Money {
    return Money.fromNanos(this.nanos - nanosOf(other));
  }

  /**
   * Is it the same amount?
   *
   * @throws {InvalidInput} no `Money`.
   * @example
   * new Money(0.5).equals(new Money("0.50")); // true
   */
  equals(other: Money): boolean {
    return this.nanos === nanosOf(other);
  }

  /**
   * Which of both is more? -1 if the other is, 1 if this is, 0 if neither; for sorting.
   *
   * @throws {InvalidInput} no `Money`.
   * @example
   * const amounts = [new Money(2), new Money("0.5")].sort((one, other) => one.compare(other));
   * amounts.map((amount) => amount.usd); // ["0.50", "2.00"]
   */
  compare(other: Money): -1 | 0 | 1 {
    const nanos = nanosOf(other);
    if (this.nanos === nanos) return 0;
    return this.nanos < nanos ? -1 : 1;
  }

  /** With its unit: `0.0075 USD`. */
  toString(): string {
    return `${this.usd} USD`;
  }

  /** The exact decimal, as a text. */
  toJSON(): string {
    return this.usd;
  }

  /** The nano-USD, by which amounts compare. */
  valueOf(): bigint {
    return this.nanos;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Money('${this.usd}')`;
  }
}

function nanosOf(amount: unknown): bigint {
  if (amount instanceof Money) return amount.nanos;
  throw new InvalidInput(`\`other\` is \`${shown(amount)}\`, not an amount of money`);
}

/** What a limit may say beside its amount. */
export interface LimitOptions {
  /** Told, not enforced. */
  soft?: boolean | undefined;
  /** `life` (the default), `day`, `week` (from Monday), `month` or `rolling:24h`. */
  window?: string | undefined;
  /** The time zone of a calendar window; UTC if absent. */
  tz?: string | undefined;
}

/** A limit: an amount, hard or soft, over a window. */
export class Limit {
  /** As a decimal number. */
  readonly amount: string;
  /** Is it told, not enforced? */
  readonly soft: boolean;
  /** Over what. */
  readonly window: string;
  /** The time zone of a calendar window. */
  readonly tz: string | undefined;

  /** @throws {InvalidInput} an amount, a window or a time zone that cannot be. */
  constructor(amount: Amount, options: LimitOptions = {}) {
    known(options, ["soft", "window", "tz"], "a limit");
    this.amount = decimal(amount, "amount");
    this.soft = maybeYes(options.soft, "soft") ?? false;
    this.window = maybeText(options.window, "window") ?? "life";
    this.tz = maybeText(options.tz, "tz");
    unwrap(native.checkLimit(spec("usd", this)));
  }
}

/** A limit as an argument: a number (hard, for life), a `Limit`, or several. */
export type Limits = Amount | Limit | readonly Limit[];

/** The units that can be limited. */
export interface UnitLimits {
  /** The most it may cost. */
  usd?: Limits | undefined;
  /** The most tokens, input and output together. */
  tokens?: Limits | undefined;
  /** The most calls of a model. */
  llmCalls?: Limits | undefined;
  /** The most calls of a tool. */
  toolCalls?: Limits | undefined;
}

/** Limits for the core; numbers are given the window. */
export function limitSpecs(limits: UnitLimits, window: LimitOptions = {}): LimitSpec[] {
  const { usd, tokens, llmCalls, toolCalls } = limits;
  const units = { usd, tokens, llm_calls: llmCalls, tool_calls: toolCalls };
  return Object.entries(units).flatMap(([unit, given]) => {
    if (given === undefined || given === null) return [];
    const several = Array.isArray(given) ? (given as readonly Limit[]) : [given as Amount | Limit];
    return several.map((one) => {
      if (one instanceof Limit) return spec(unit, one);
      return spec(unit, { amount: decimal(one, unit), soft: false, window: "life", ...window });
    });
  });
}

function spec(unit: string, limit: LimitOptions & { amount: string }): LimitSpec {
  const { amount, soft = false, window = "life", tz } = limit;
  return { unit, amount, soft, window, ...(tz !== undefined && { tz }) };
}

/** The shortest decimal form of a number a person typed. */
export function decimal(value: unknown, name: string): string {
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (typeof value === "string") return value;
  if (value instanceof Money) return value.usd;
  throw new InvalidInput(`\`${name}\` is \`${shown(value)}\`, not a number`);
}

/** A whole number that is not negative. */
export function count(value: unknown, name: string): number {
  if (!Number.isInteger(value)) {
    throw new InvalidInput(`\`${name}\` is \`${shown(value)}\`, not a whole number`);
  }
  const whole = value as number;
  if (whole < 0 || whole > Number.MAX_SAFE_INTEGER) {
    throw new InvalidInput(`\`${name}\` is \`${whole}\`, not a whole number that is not negative`);
  }
  return whole;
}

/** The same for what may be absent. */
export function maybeCount(value: unknown, name: string): number | undefined {
  return value === undefined || value === null ? undefined : count(value, name);
}

/** Refuses what is no option: a misspelt name must not count as absent. */
export function known(given: unknown, names: readonly string[], what: string): void {
  if (typeof given !== "object" || given === null) {
    throw new InvalidInput(`${what} is \`${shown(given)}\`, not an object`);
  }
  for (const name in given) {
    if (!names.includes(name)) throw new InvalidInput(`${what} has no \`${name.slice(0, 40)}\``);
  }
}

/** A text. */
export function text(value: unknown, name: string): string {
  if (typeof value !== "string") {
    throw new InvalidInput(`\`${name}\` is \`${shown(value)}\`, not a text`);
  }
  return value;
}

/** The same for what may be absent. */
export function maybeText(value: unknown, name: string): string | undefined {
  return value === undefined || value === null ? undefined : text(value, name);
}

/** Texts in a list, which may be absent. */
export function maybeTexts(value: unknown, name: string): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw new InvalidInput(`\`${name}\` is \`${shown(value)}\`, not a list`);
  return value.map((each) => text(each, name));
}

/** A yes or a no: whatever else counts as true would be guessed. */
export function yes(value: unknown, name: string): boolean {
  if (typeof value !== "boolean") throw new InvalidInput(`\`${name}\` is \`${shown(value)}\`, not a boolean`);
  return value;
}

/** The same for what may be absent. */
export function maybeYes(value: unknown, name: string): boolean | undefined {
  return value === undefined || value === null ? undefined : yes(value, name);
}

/** What a program gave, for a message: whatever that may be. */
export function shown(value: unknown): string {
  try {
    return (typeof value === "object" ? (JSON.stringify(value) ?? "?") : String(value)).slice(0, 40);
  } catch {
    return "?";
  }
}

/** Shares of a limit, as the core reads them. */
export function thresholds(alerts: unknown): string[] | undefined {
  if (alerts === undefined || alerts === null) return undefined;
  if (!Array.isArray(alerts)) throw new InvalidInput(`alerts \`${shown(alerts)}\` is not a list of shares`);
  return alerts.map((share) => decimal(share, "alerts"));
}

/** Texts by texts. */
export function tagTexts(tags: unknown): Record<string, string> {
  if (tags === undefined || tags === null) return {};
  if (typeof tags !== "object" || Array.isArray(tags)) {
    throw new InvalidInput(`tags \`${shown(tags)}\` are not texts by texts`);
  }
  return Object.fromEntries(
    Object.entries(tags).map(([key, value]) => {
      if (typeof value !== "string") throw new InvalidInput("tags are texts by texts");
      return [key, value];
    }),
  );
}
