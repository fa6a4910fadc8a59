/**
 * Which task does this line of code run under?
 *
 * An `AsyncLocalStorage` holds it, which promises, timers and callbacks carry by themselves. A worker
 * thread starts with none: open a task there on the same store.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import { InvalidInput } from "./errors.js";
import type { Frame } from "./integrations/frame.js";
import { type Amount, known, Money, maybeCount, maybeText, yes } from "./money.js";
import type { Task } from "./task.js";

/** What holds for each call of a guarded client. */
export interface CallOptions {
  /** The most one call can cost, by your own word; held instead of the computed worst case. */
  maxUsd?: Amount;
  /** The most input tokens one call can be billed for. */
  maxInputTokens?: number;
  /**
   * Is it the last call of the attempt, paid from what `wrapUpUsd` of its task has put by? Its own maximum of
   * output is lowered where only that makes it fit.
   */
  final?: boolean;
  /**
   * What the user's input is called that the calls help to answer; limits per turn go by it. An integration
   * that knows the user's messages names turns itself.
   */
  turn?: string;
}

interface Held {
  readonly task: Task | undefined;
  readonly maxUsd: string | undefined;
  readonly maxInputTokens: number | undefined;
  readonly final: boolean;
  readonly turn: string | undefined;
  readonly frame: Frame | undefined;
}

const storage = new AsyncLocalStorage<Held>();
const NOTHING: Held = {
  task: undefined,
  maxUsd: undefined,
  maxInputTokens: undefined,
  final: false,
  turn: undefined,
  frame: undefined,
};

/** What holds where this is called. */
export function held(): Held {
  return storage.getStore() ?? NOTHING;
}

/** Runs `fn` under a task. */
export function under<T>(task: Task, fn: () => T): T {
  const run = () => storage.run({ ...held(), task }, fn);
  return task.trace === undefined ? run() : task.trace.within(run);
}

/** Runs `fn` below a framework's hook, which told `frame` what it knows. */
export function below<T>(frame: Frame, fn: () => T): T {
  return storage.run({ ...held(), frame }, fn);
}

/** The task the calling code runs under, if there is one. */
export function current(): Task | undefined {
  return held().task;
}

/**
 * Says what single calls of a guarded client can come to, each of those inside `fn`.
 *
 * For requests that cannot be bounded by reading them, as those that go on from text the provider
 * keeps, and for holding less than the computed worst case. What is not given stays as above.
 *
 * @throws {InvalidInput} a number that cannot be.
 * @example
 * await call({ maxInputTokens: 8_000 }, () =>
 *   client.responses.create({ model: "gpt-4o", input: "and?", previous_response_id: first.id }));
 */
export function call<T>(options: CallOptions, fn: () => T): T {
  known(options, ["maxUsd", "maxInputTokens", "final", "turn"], "call");
  const above = held();
  const most = options.maxUsd === undefined ? undefined : new Money(options.maxUsd);
  if (most !== undefined && most.nanos < 0n) throw new InvalidInput(`\`maxUsd\` is negative: ${most}`);
  const maxUsd = most?.usd ?? above.maxUsd;
  const maxInputTokens = maybeCount(options.maxInputTokens, "maxInputTokens") ?? above.maxInputTokens;
  const final = options.final === undefined ? above.final : yes(options.final, "final");
  const turn = maybeText(options.turn, "turn") ?? above.turn;
  return storage.run({ ...above, maxUsd, maxInputTokens, final, turn }, fn);
}
