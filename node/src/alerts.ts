/**
 * Who is told that a share of a limit is spent?
 *
 * Whoever asks by `onAlert`, in a turn of the event loop after the alert was recorded; without asking, the
 * warnings of the process and OpenTelemetry.
 */

import { listened } from "./alerted.js";
import type { AlertFacts } from "./core.js";
import { InvalidInput } from "./errors.js";
import { ledger } from "./ledger.js";
import { known, Money, maybeText, text } from "./money.js";
import { native, unwrapped } from "./native.js";
import type { Span } from "./worth.js";

/** That a share of a limit was spent: told once per window over all processes. */
export class Alert {
  /** The same however often it is delivered. */
  readonly id: string;
  /** Whose limit it is, as in "budget `tenant=acme`". */
  readonly budget: string;
  /** What is limited: `usd`, `tokens`, `llm_calls` or `tool_calls`. */
  readonly unit: string;
  /** How much of it: `Money`, or a count. */
  readonly limit: Money | number;
  /** What had been spent then, settled and in doubt: `Money`, or a count. */
  readonly spent: Money | number;
  /** The share of the limit, as in `80%` or `90% for 10m`. */
  readonly threshold: string;
  /** Over which time: `life`, `day`, `week`, `month` or `rolling:24h`. */
  readonly window: string;
  /** Since when, in RFC 3339; null where the window is no part of the calendar. */
  readonly windowStart: string | null;
  /** The name of the task whose call passed it. */
  readonly task: string;
  /** When, in RFC 3339. */
  readonly at: string;
  readonly #text: string;

  /** @internal */
  constructor(facts: AlertFacts) {
    const amount = (value: bigint) => (facts.unit === "usd" ? Money.fromNanos(value) : Number(value));
    this.id = facts.id;
    this.budget = facts.budget;
    this.unit = facts.unit;
    this.limit = amount(facts.limit);
    this.spent = amount(facts.spent);
    this.threshold = facts.threshold;
    this.window = facts.window;
    this.windowStart = facts.windowStart ?? null;
    this.task = facts.task;
    this.at = facts.at;
    this.#text = facts.text;
  }

  /** A line of text. */
  toString(): string {
    return this.#text;
  }
}

/**
 * The alerts recorded in the ledger, by whatever process, oldest first.
 *
 * @throws {InvalidInput} a time that cannot be.
 * @throws {StoreUnavailable} the ledger could not answer.
 * @example
 * await budget({ toolCalls: 4, store: "memory:told" });
 * await task("search", { store: "memory:told" }, async (t) => {
 *   await t.toolCall("web");
 *   await t.toolCall("web");
 * });
 * (await alerts({ store: "memory:told" })).map((alert) => alert.threshold); // ["50%"]
 */
export async function alerts(options: Span = {}): Promise<Alert[]> {
  known(options, ["since", "store"], "alerts");
  const { handle } = await ledger(options.store);
  const found = await unwrapped(native.alerts(handle, maybeText(options.since, "since")));
  return found.map((facts) => new Alert(facts));
}

/**
 * Hands each alert of every ledger of this process to `callback`, once it is recorded.
 *
 * An alert is recorded once per threshold and window over all processes, and delivered to each name by the
 * process that recorded it, or if that died before, by the next one that has a callback of this name.
 * `alert.id` tells one that comes twice. It counts as delivered when the event loop has it: what a process
 * that dies then was not told stands in `alerts()`. No call waits for a callback, and none keeps the process
 * alive. What a callback throws, or rejects with, is a warning of the process.
 *
 * @param callback takes the alert. Another one under the same name takes its place.
 * @param options `name`: what is noted of each alert that was delivered; at most 15 names.
 * @throws {InvalidInput} no function, a name that cannot be, or too many.
 * @example
 * await onAlert((alert) => process.stderr.write(`${alert}\n`), { name: "stderr" });
 */
export async function onAlert(
  callback: (alert: Alert) => unknown,
  options: { name?: string } = {},
): Promise<void> {
  if (typeof callback !== "function") throw new InvalidInput("an alert needs a function to be handed to");
  known(options, ["name"], "onAlert");
  const name = text(options.name ?? "callback", "name");
  const failed = (id: string, error: unknown) =>
    process.emitWarning(`the callback \`${name}\` failed with alert ${id}: ${error}`, "OutlayWarning");
  const hand = (facts: AlertFacts) => {
    // Never rejects: an exception here would end the process.
    Promise.resolve(new Alert(facts))
      .then(callback)
      .catch((error: unknown) => failed(facts.id, error));
  };
  await listened();
  await unwrapped(native.onAlert(name, hand));
}
