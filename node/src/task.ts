/**
 * Which unit of work is this?
 *
 * `task("refund", { usd: 0.50 }, fn)` round a run, and the run cannot cost more. Everything called
 * inside falls under it, however deep.
 */

// For programs whose own `lib` has no `Symbol.asyncDispose`.
/// <reference lib="esnext.disposable" preserve="true" />

import type { Breaker, BreakerConfig } from "./breaker.js";
import { Call } from "./call.js";
import { current, under } from "./context.js";
import {
  BudgetExceeded,
  Conflict,
  fromNative,
  InvalidInput,
  type OutlayError,
  Stopped,
  Unsupported,
} from "./errors.js";
import { type Ledger, ledger } from "./ledger.js";
import {
  type Amount,
  count,
  decimal,
  known,
  Limit,
  limitSpecs,
  Money,
  maybeCount,
  maybeText,
  maybeTexts,
  maybeYes,
  shown,
  tagTexts,
  text,
  thresholds,
  type UnitLimits,
  yes,
} from "./money.js";
import { failure, native, type TaskSpec, unwrap, unwrapped, whole } from "./native.js";
import { patiently } from "./patience.js";
import { Summary } from "./report.js";
import type { TaskTrace } from "./spans.js";
import { traced } from "./telemetry.js";
import { soon } from "./turn.js";
import { Watch } from "./watch.js";

/** How a task is opened. */
export interface TaskOptions extends UnitLimits {
  /**
   * The class of the task, for comparing like with like. What is configured for it (`configure({ kinds })`,
   * `[kinds.NAME]` in outlay.toml) holds where the option is not given here.
   */
  kind?: string;
  /** Inherited by tasks inside; shared budgets go by them. */
  tags?: Record<string, string>;
  /** Entering a task of the same id again is its next attempt. */
  id?: string;
  /**
   * `memory:`, `memory:NAME` or `sqlite:PATH`; default: the task above's, the configured one,
   * `$OUTLAY_STORE`, or a file in the user's data folder.
   */
  store?: string;
  /** False denies nothing and records what would have been denied. */
  enforce?: boolean;
  /** Lower a request's own maximum of output tokens where only that makes it fit. */
  clamp?: boolean;
  /** Wait so long for money that other calls hold, before denying. */
  waitMs?: number;
  /** Who opens it, for the ledger entry when a limit is raised. */
  by?: string;
  /**
   * Watches the steps that a hook or a guarded client sees for loops: true for the default thresholds, or a
   * configuration. Tasks inside are watched with it. False: by none of its own, whatever is configured for its kind.
   */
  breaker?: BreakerConfig | boolean;
  /**
   * Cheaper models of the same provider, the first to be tried at the front. Once a call would pass a soft
   * limit, or not fit under a hard one, the first that can take it does, and the attempt stays with it. Tasks
   * inside use them too; an empty list switches off those of the configuration.
   */
  fallback?: readonly string[];
  /**
   * What a call throws that a hard limit refuses: `raise` `BudgetExceeded`, or `ask` `ApprovalRequired`. Under
   * `finish`, which needs `wrapUpUsd`, the hooks of frameworks throw nothing and let the agent answer by one last
   * call, without tools; elsewhere it is as `raise`.
   */
  onLimit?: "raise" | "ask" | "finish";
  /**
   * When its last call may start: so many seconds after the task was opened for the first time, or a `Date`.
   * Calls after it, in any attempt and in tasks inside, are `BudgetExceeded`. `new Limit(300, { soft: true })`
   * refuses nothing: calls after it are `overSoft`, and `statusText()` says by when it was to be done. An array
   * may hold one of each. Waits for an approval do not count.
   */
  deadline?: number | Date | Limit | readonly (number | Date | Limit)[];
  /**
   * Put so much by for one last call when the attempt starts, and one call of a model, under every limit it
   * falls under. `reserve({ final: true })` or `call({ final: true }, fn)` takes its place; no call follows it in
   * the attempt. It counts as pending until then, and goes back when the attempt ends.
   */
  wrapUpUsd?: Amount;
  /** At which shares of its limits to tell, as `[0.5, "80%", "90% for 10m"]`; see `onAlert`. */
  alerts?: readonly (number | string)[];
  /** The most all attempts after the first may cost together. */
  retryUsd?: Amount;
}

/** What is known of a call before it is made. */
export interface Request {
  /** The model's name. */
  model: string;
  /** The most input tokens the request has; no margin is added. */
  inputTokens?: number;
  /** The most output tokens of each answer; chosen for you if absent. */
  maxOutputTokens?: number;
  /** How many answers are asked for. */
  choices?: number;
  /** Who bills it, where the name of the model does not say. */
  provider?: string;
  /** A name unique within the attempt; reserving it again gives the same call. */
  id?: string;
  /** The most it can cost by your own word, held instead of the computed worst case. */
  maxUsd?: Amount;
  /** Wait so long for money that other calls hold. */
  waitMs?: number;
  /** The service tier it asks for, such as "flex" or "priority"; the dearer of it and standard is held. */
  serviceTier?: string;
  /** What the user's input is called that it helps to answer; limits per turn go by it. */
  turn?: string;
  /** Is it the last call of the attempt, paid from what `wrapUpUsd` has put by? */
  final?: boolean;
}

/** How much of each unit a task has used. */
export interface Used {
  readonly usd: Money;
  readonly tokens: number;
  readonly llmCalls: number;
  readonly toolCalls: number;
}

const OPTIONS = ["usd", "tokens", "llmCalls", "toolCalls", "kind", "tags", "id", "store", "enforce"];
const MORE = ["clamp", "waitMs", "by", "breaker", "fallback", "onLimit", "deadline"];
const ALL_OPTIONS = [...OPTIONS, ...MORE, "wrapUpUsd", "alerts", "retryUsd"];
const CENTURY_S = 100 * 366 * 86_400;
const AGENTS_MAX = 100;
const HOT = ["model", "inputTokens", "maxOutputTokens"];
const REQUEST = [...HOT, "choices", "provider", "id", "maxUsd", "waitMs", "serviceTier", "turn", "final"];
const MODELS_MAX = 10_000;

const models = new Map<string, number>();
// A task nobody can reach any more can be ended by nobody else.
const unreachable = new FinalizationRegistry((handle: number) => native.releaseTask(handle));

/** One attempt at a task, as `task` and `openTask` give it. */
export class Task {
  /** @internal */
  readonly handle: number;
  /** Its name. */
  readonly name: string;
  /** Its id in the ledger, a UUID. */
  readonly id: string;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  /** Its tags, inherited ones too. */
  readonly tags: Readonly<Record<string, string>>;
  /** The store of its ledger. */
  readonly store: string;
  /** @internal */
  readonly blocking: boolean;
  /** @internal */
  readonly watch: Watch | undefined;
  /**
   * May an agent finish by one last call, once a limit refuses one?
   *
   * @internal
   */
  readonly finishes: boolean;
  /**
   * Has a hook met a limit, and will now ask for the last answer?
   *
   * @internal
   */
  isFinishing = false;
  /**
   * Of the budget, how much was used when a hook last told the agent so.
   *
   * @internal
   */
  toldPercent = 0;
  /** How errors call the limits of its own and of the tasks above. */
  readonly #labels: readonly string[];
  /** @internal */
  readonly trace: TaskTrace | undefined;
  readonly #waitMs: number;
  readonly #inherited: Partial<TaskSpec>;
  readonly #agents = new Map<string, Promise<Task>>();
  readonly #opened: Task[] = [];
  #outcome: readonly [string, string?] | undefined;
  #value: string | undefined;
  #ended = false;

  /** @internal */
  constructor(handle: number, watch?: Watch, inherited: Partial<TaskSpec> = {}, above?: Task) {
    const facts = unwrap(native.taskFacts(handle));
    this.handle = handle;
    this.name = facts.name;
    this.id = facts.id;
    this.attempt = facts.attempt;
    this.tags = facts.tags;
    this.store = facts.store;
    this.blocking = facts.blocking;
    this.finishes = facts.onLimit === "finish";
    this.#labels = [`task \`${facts.name}\``, ...(above === undefined ? [] : above.#labels)];
    this.#waitMs = facts.waitMs;
    this.watch = watch;
    watch?.over(this);
    this.#inherited = { ...inherited, onLimit: facts.onLimit };
    this.trace = traced(this, above?.trace);
    unreachable.register(this, handle);
  }

  /**
   * Reserves the most a call can cost, before the call is made.
   *
   * The amount is held against every budget the call falls under, as one act: all of them hold it,
   * or none does. End the call with exactly one of `settle` and `void`.
   *
   * @throws {BudgetExceeded} a hard limit would be passed. Nothing is held.
   * @throws {Unpriced} the model has no known price. Nothing is held.
   * @throws {InvalidInput} a number that cannot be.
   * @throws {Conflict} the attempt has ended, or the id was used with another request.
   * @throws {StoreUnavailable} the ledger could not answer. Do not make the call.
   * @example
   * const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
   * String(call.reserved); // "0.0425 USD"
   */
  async reserve(request: Request): Promise<Call> {
    known(request, REQUEST, "a request");
    const waitMs = maybeCount(request.waitMs, "waitMs") ?? this.#waitMs;
    if (!this.blocking && waitMs === 0) return this.#reserveNow(request);
    const spec = requestSpec(request);
    const handle = await patiently(waitMs, async (isLast) => {
      const polls = !isLast;
      const answer = this.blocking
        ? await soon(
            () => native.tryReserve(this.handle, spec, polls),
            () => native.reserve(this.handle, spec, polls),
          )
        : whole(native.reserveRequestSync(this.handle, spec, polls));
      return answer === 0 ? undefined : answer;
    });
    return new Call(handle, this.blocking);
  }

  /**
   * The same at once, for a ledger in memory; it never waits.
   *
   * @throws {Unsupported} the ledger is in a file, which the event loop must not wait for.
   */
  reserveSync(request: Request): Call {
    if (this.blocking) {
      throw new Unsupported(`\`reserveSync\` is for a ledger in memory, not \`${this.store}\``);
    }
    return this.#reserveNow(request);
  }

  #reserveNow(request: Request): Call {
    if (typeof request !== "object" || request === null) known(request, REQUEST, "a request");
    const { model, inputTokens, maxOutputTokens } = request;
    let answer: number;
    if (inputTokens !== undefined && isHot(request)) {
      const most = maxOutputTokens === undefined ? -1 : count(maxOutputTokens, "maxOutputTokens");
      const tokens = count(inputTokens, "inputTokens");
      answer = native.reserveSync(this.handle, modelNumber(model), tokens, most);
    } else {
      answer = native.reserveRequestSync(this.handle, requestSpec(request), false);
    }
    if (answer < 0) throw failure();
    return new Call(answer, false);
  }

  /**
   * Counts a call of a tool against `toolCalls`, and in a turn against what that may use.
   *
   * @throws {BudgetExceeded} no call of a tool is left.
   */
  async toolCall(tool: string, options: { turn?: string } = {}): Promise<void> {
    text(tool, "tool");
    known(options, ["turn"], "toolCall");
    const turn = maybeText(options.turn, "turn");
    if (!this.blocking) whole(native.toolCallSync(this.handle, tool, turn));
    else {
      await soon(
        () => native.tryToolCall(this.handle, tool, turn),
        () => native.toolCall(this.handle, tool, turn),
      );
    }
  }

  /** Settled and in doubt, over all attempts. */
  async spent(): Promise<Money> {
    return Money.fromNanos((await this.#balance()).spent);
  }

  /** What open calls hold. */
  async pending(): Promise<Money> {
    return Money.fromNanos((await this.#balance()).pending);
  }

  /** What calls hold whose outcome nobody knows. */
  async inDoubt(): Promise<Money> {
    return Money.fromNanos((await this.#balance()).inDoubt);
  }

  /** The least left over every hard limit on money it falls under; null without any. */
  async available(): Promise<Money | null> {
    const left = await unwrapped(native.taskAvailable(this.handle));
    return left === null ? null : Money.fromNanos(left);
  }

  /** How much of each unit was used. */
  async used(): Promise<Used> {
    const { spent, tokens, llmCalls, toolCalls } = await this.#balance();
    return { usd: Money.fromNanos(spent), tokens, llmCalls, toolCalls };
  }

  #balance() {
    return unwrapped(native.taskBalance(this.handle));
  }

  /** The latest verdict against it, whoever swallowed the error; null if there is none. */
  get stopped(): OutlayError | null {
    const verdict = native.taskStopped(this.handle);
    const own = this.watch?.tripped ?? (verdict == null ? null : fromNative(verdict));
    return own ?? this.#opened.reduce<OutlayError | null>((found, agent) => found ?? agent.stopped, null);
  }

  /**
   * Throws the latest verdict against it, if there is one.
   *
   * @throws {Stopped} what was refused, and why.
   */
  raiseIfStopped(): void {
    const verdict = this.stopped;
    if (verdict !== null) throw verdict;
  }

  /** What watches it for loops; null without `breaker`. */
  get breaker(): Breaker | null {
    return this.watch?.breaker ?? null;
  }

  /**
   * A person lets it go on after a pause or a stop by its breaker.
   *
   * What repeats now is forgiven, and the ladder begins again; the hard cap keeps counting.
   */
  excuse(): void {
    this.watch?.excuse();
  }

  /**
   * Notes that the attempt did what was wanted, whatever happens until its end.
   *
   * @param options `value`: what that is worth, in a unit of your own, with up to nine decimals: tickets
   * closed, points. `value()` and `outlay report value` hold it against what was spent.
   * @throws {InvalidInput} a value that is no decimal number, negative, or beyond nine billion.
   * @example
   * t.succeed({ value: 2.5 });
   */
  succeed(options: { value?: Amount } = {}): void {
    known(options, ["value"], "succeed");
    const worth = options.value === undefined ? undefined : new Money(options.value);
    if (worth !== undefined && worth.nanos < 0n) {
      throw new InvalidInput(`value \`${options.value}\` is negative`);
    }
    this.#value = worth?.usd;
    this.#outcome = ["succeeded"];
  }

  /**
   * Notes that the attempt did not do what was wanted.
   *
   * @param reason kept in the ledger; no text of prompts or answers belongs here.
   */
  fail(reason?: string): void {
    this.#outcome = reason === undefined ? ["failed"] : ["failed", text(reason, "reason")];
  }

  /**
   * What is used and left under its hard limits, shared ones too, for people and agents.
   *
   * What open calls hold counts as used. Empty without a hard limit.
   */
  async statusText(): Promise<string> {
    return (await this.status()).text;
  }

  /**
   * The same, with how many per cent are used of the limit that is the most used up.
   *
   * @internal
   */
  async status() {
    return unwrapped(native.taskStatus(this.handle));
  }

  /**
   * Did a limit refuse it that this task falls under, not only a task inside it?
   *
   * @internal
   */
  isUnder({ budget }: BudgetExceeded): boolean {
    const { stopped } = this;
    // What refused it, or an agent inside it, may also be a shared budget.
    return this.#labels.includes(budget) || (BudgetExceeded.isInstance(stopped) && stopped.budget === budget);
  }

  /** What it spent, by model and attempt, and which part bought nothing. */
  async summary(): Promise<Summary> {
    return new Summary(await unwrapped(native.taskSummary(this.handle)));
  }

  /** Runs `fn` under this task, without ending it. */
  run<T>(fn: () => T): T {
    return under(this, fn);
  }

  /** Ends the attempt: as noted, else succeeded. Calls it left open are in doubt from then on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end(this.#outcome ?? ["succeeded"]);
  }

  /** @internal */
  async fellTo(error: unknown): Promise<unknown> {
    const verdict = this.stopped;
    await this.#end(this.#outcome ?? outcomeOf(error));
    return verdict !== null && isBehind(error) ? because(verdict, error) : error;
  }

  /**
   * The task of what an agent of this name does inside this one; the two end together.
   *
   * @internal
   */
  async ofAgent(name: string): Promise<Task> {
    if (this.tags.agent === name || this.#ended) return this;
    const found = this.#agents.get(name);
    if (found !== undefined || this.#agents.size >= AGENTS_MAX) return found ?? this;
    const opening = this.#openAgent(name);
    this.#agents.set(name, opening);
    return opening;
  }

  async #openAgent(name: string): Promise<Task> {
    const { handle } = await ledger(this.store);
    const spec = { name, limits: [], tags: { agent: name }, observe: false, clamp: false };
    const inside = { ...spec, ...this.#inherited, under: this.handle };
    try {
      const opened = await unwrapped(native.openTask(handle, inside));
      const agent = new Task(opened, this.watch, this.#inherited, this);
      agent.trace?.begin();
      this.#opened.push(agent);
      return agent;
    } catch (error) {
      // Too deep, or a budget holds for another agent's name: then it is this task's doing.
      if (Conflict.isInstance(error) || InvalidInput.isInstance(error)) return this;
      throw error;
    }
  }

  async #end(end: readonly [string, string?]): Promise<void> {
    this.#ended = true;
    await Promise.allSettled(this.#agents.values());
    for (const agent of this.#opened) {
      agent.#outcome ??= this.#outcome;
      await agent.#end(end);
    }
    const [outcome, reason] = end;
    try {
      unwrap(await native.endTask(this.handle, outcome, reason, this.#value));
    } finally {
      // What the caller gives as a reason may be any text.
      this.trace?.end(outcome, this.#outcome === undefined ? reason : undefined);
    }
  }
}

/**
 * Opens a task round `fn`: what runs inside cannot use more than its limits.
 *
 * @param name what the task is, as reports show it.
 * @param options its limits and what else holds for it; may be left out.
 * @returns what `fn` returns.
 * @throws {InvalidInput} a name, tag or limit that cannot be.
 * @throws {Conflict} the id has an open attempt in a running process, or other limits now.
 * @throws {StoreUnavailable} the ledger could not answer.
 * @example
 * await task("refund", { usd: 0.5, store: "memory:" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 });
 * });
 */
export async function task<T>(name: string, fn: (task: Task) => T | Promise<T>): Promise<T>;
export async function task<T>(
  name: string,
  options: TaskOptions,
  fn: (task: Task) => T | Promise<T>,
): Promise<T>;
export async function task<T>(
  name: string,
  options: TaskOptions | ((task: Task) => T | Promise<T>),
  fn?: (task: Task) => T | Promise<T>,
): Promise<T> {
  const run = typeof options === "function" ? options : fn;
  if (typeof run !== "function") throw new InvalidInput("a task needs a function to run inside it");
  const opened = await openTask(name, typeof options === "function" ? {} : options);
  let result: T;
  try {
    result = await under(opened, () => run(opened));
  } catch (error) {
    throw await opened.fellTo(error);
  }
  await opened[Symbol.asyncDispose]();
  return result;
}

/**
 * Opens a task that ends with its block: `await using t = await openTask("refund", { usd: 0.5 })`.
 *
 * What guarded clients do falls under it inside `t.run(...)` only.
 *
 * @throws {InvalidInput | Conflict | StoreUnavailable} as `task`.
 */
export async function openTask(name: string, options: TaskOptions = {}): Promise<Task> {
  text(name, "name");
  known(options, ALL_OPTIONS, "a task");
  const above = current();
  const held: Ledger = await ledger(options.store);
  const parent = above?.store === held.store ? above : undefined;
  const tags = tagTexts(options.tags);
  if (options.kind !== undefined) tags.kind = text(options.kind, "kind");
  const id = maybeText(options.id, "id");
  const by = maybeText(options.by, "by");
  const waitMs = maybeCount(options.waitMs, "waitMs");
  const onLimit = maybeText(options.onLimit, "onLimit");
  const fallback = maybeTexts(options.fallback, "fallback");
  const alerts = thresholds(options.alerts);
  const { retryUsd, wrapUpUsd } = options;
  const inherited = {
    observe: maybeYes(options.enforce, "enforce") === false,
    clamp: maybeYes(options.clamp, "clamp") === true,
    ...(waitMs !== undefined && { waitMs }),
    ...(onLimit !== undefined && { onLimit }),
  };
  const spec = {
    name,
    limits: limitSpecs(options),
    tags,
    ...inherited,
    ...(id !== undefined && { id }),
    ...(by !== undefined && { by }),
    ...(fallback !== undefined && { fallback }),
    ...deadlineSpec(options.deadline),
    ...(alerts !== undefined && { alerts }),
    ...(retryUsd != null && { retryUsd: decimal(retryUsd, "retryUsd") }),
    ...(wrapUpUsd != null && { wrapUpUsd: decimal(wrapUpUsd, "wrapUpUsd") }),
    ...(parent !== undefined && { under: parent.handle }),
  };
  const breaker = options.breaker ?? kindBreaker(held, tags.kind);
  // Before the task opens: a configuration without meaning must not leave an attempt behind.
  const watch = breaker ? new Watch(breaker, options.enforce !== false) : above?.watch;
  const task = new Task(await unwrapped(native.openTask(held.handle, spec)), watch, inherited, parent);
  task.trace?.begin();
  return task;
}

let warned = false;

/**
 * The task the calling code runs under, or the process's default task.
 *
 * @internal
 * @throws {Unsupported} there is none, and `unbound: "refuse"` is configured.
 */
export async function currentOrDefault(): Promise<Task> {
  const found = current();
  if (found !== undefined) return found;
  if (unwrap(native.refusesUnbound())) {
    throw new Unsupported("this call runs under no task; open one with `task(...)`");
  }
  if (!warned) {
    warned = true;
    process.emitWarning(
      "a call runs under no task and is charged to the task `default`, which has no limit; " +
        "open one with `task(...)`",
      "OutlayWarning",
    );
  }
  return new Task(await unwrapped(native.defaultTask((await ledger()).handle)));
}

/** The breaker that is configured for tasks of a kind. */
function kindBreaker(held: Ledger, kind: string | undefined): BreakerConfig | undefined {
  const config = kind === undefined ? undefined : unwrap(native.kindBreaker(held.handle, kind));
  return config == null ? undefined : (JSON.parse(config) as BreakerConfig);
}

/** When the last call may start, or is late, as the core takes it. */
function deadlineSpec(deadline: TaskOptions["deadline"]): Partial<TaskSpec> {
  if (deadline === undefined || deadline === null) return {};
  const several: readonly unknown[] = Array.isArray(deadline) ? deadline : [deadline];
  const found = several.map(oneDeadline);
  if (new Set(found.map(({ softDeadlineMs }) => softDeadlineMs !== undefined)).size < found.length) {
    throw new InvalidInput("a task has one hard and one soft deadline at most");
  }
  return Object.assign({}, ...found) as Partial<TaskSpec>;
}

function oneDeadline(deadline: unknown): Partial<TaskSpec> {
  const wrong = () => new InvalidInput(`deadline \`${shown(deadline)}\` is neither seconds nor a Date`);
  if (deadline instanceof Date) {
    if (Number.isNaN(deadline.getTime())) throw wrong();
    return { deadlineAtMs: deadline.getTime() };
  }
  const isLimit = deadline instanceof Limit && deadline.window === "life";
  const seconds = isLimit ? Number(deadline.amount || Number.NaN) : deadline;
  // A hundred years: of what is no number, the comparison is false too.
  if (typeof seconds !== "number" || !(seconds >= 0 && seconds <= CENTURY_S)) throw wrong();
  const length = Math.floor(seconds * 1000);
  return isLimit && deadline.soft ? { softDeadlineMs: length } : { deadlineMs: length };
}

function isHot(request: Request): boolean {
  for (const name in request) {
    if (name !== "model" && name !== "inputTokens" && name !== "maxOutputTokens") return false;
  }
  return models.size < MODELS_MAX;
}

function modelNumber(model: string): number {
  let number = models.get(model);
  if (number === undefined) {
    number = whole(native.internModel(text(model, "model")));
    models.set(model, number);
  }
  return number;
}

function requestSpec(request: Request) {
  known(request, REQUEST, "a request");
  maybeCount(request.waitMs, "waitMs");
  const counts = ["inputTokens", "maxOutputTokens", "choices"] as const;
  const texts = ["provider", "id", "serviceTier", "turn"] as const;
  return {
    model: text(request.model, "model"),
    ...Object.fromEntries(counts.map((name) => [name, maybeCount(request[name], name)])),
    ...Object.fromEntries(texts.map((name) => [name, maybeText(request[name], name)])),
    ...(request.maxUsd !== undefined && { maxUsd: decimal(request.maxUsd, "maxUsd") }),
    ...(request.final !== undefined && { final: yes(request.final, "final") }),
  };
}

function outcomeOf(error: unknown): readonly [string, string?] {
  if (Stopped.isInstance(error)) return ["stopped", error.code];
  // The name of the class only: a message may quote a prompt.
  return ["failed", (error instanceof Error && error.constructor.name) || typeof error];
}

/** Is `error` somebody else's wrapping of one of our verdicts? */
function isBehind(error: unknown): boolean {
  const seen = new Set<unknown>();
  for (let cause = error; cause instanceof Error && !seen.has(cause); cause = cause.cause) {
    if (Stopped.isInstance(cause)) return cause !== error;
    seen.add(cause);
  }
  return false;
}

function because(verdict: OutlayError, cause: unknown): OutlayError {
  Object.defineProperty(verdict, "cause", { value: cause, configurable: true });
  return verdict;
}
