/**
 * What is in a span of a task, a call or a tool, and in its measurements?
 *
 * Loaded only where `telemetry()` was asked for. The span of a call is made when the call has ended, with the
 * time and the parent it had when it was reserved: until then it costs nobody anything, and a call that is
 * dropped leaves no open span behind.
 */

import {
  type Attributes,
  type Context,
  type Counter,
  context,
  type Histogram,
  type MeterProvider,
  metrics,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";

import type { Call } from "./call.js";
import type { TraceEnd, TraceNames } from "./core.js";
import { OutlayError } from "./errors.js";
import type { Attempt } from "./integrations/attempt.js";
import { Money } from "./money.js";
import { native, unwrap } from "./native.js";
import type { Request, Task } from "./task.js";

/** A request of a guarded client. */
export interface Asked {
  readonly api: string;
  readonly host: string | undefined;
  /** The model it asks, read when somebody wants to know. */
  readonly model: () => unknown;
}

/** Whom the end of a call is told. */
export interface Told {
  check(errorType?: string): void;
}

type State = () => ReturnType<typeof native.callTrace>;

/** Runs a tool. */
export type Running = <T>(run: () => Promise<T>) => Promise<T>;

// As the conventions have them.
const powers = Array.from({ length: 14 }, (_, power) => power);
const TOKEN_BUCKETS = powers.map((power) => 4 ** power);
const SECOND_BUCKETS = powers.map((power) => 0.01 * 2 ** power);
const USAGE = ["cache_read.input", "cache_creation.input", "reasoning.output"];
const LIMIT = ["budget", "unit", "limit", "spent", "requested", "scope", "detector"];
// Given back before it was sent, because a client below reserves for itself: nothing happened.
const NOTHING = "given_back";

const warned = new Set<string>();

/** What goes wrong in `tell` is told once of each kind; the answer is undefined then. */
function safely<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch (error) {
    const what = String(error);
    if (warned.size < 100 && !warned.has(what)) {
      warned.add(what);
      process.emitWarning(`OpenTelemetry could not be told: ${what}`, "OutlayWarning");
    }
    return undefined;
  }
}

/** Where spans and measurements go. */
export class Telemetry {
  readonly spans: boolean;
  readonly tracer: Tracer;
  readonly tokens: Histogram;
  readonly duration: Histogram;
  readonly cost: Counter;
  readonly refusals: Counter;

  constructor(spans: boolean, tracers: object = trace, meters: object = metrics) {
    this.spans = spans;
    this.tracer = (tracers as TracerProvider).getTracer("outlay", native.version());
    const meter = (meters as MeterProvider).getMeter("outlay", native.version());
    this.tokens = meter.createHistogram("gen_ai.client.token.usage", {
      unit: "{token}",
      description: "Number of input and output tokens used.",
      advice: { explicitBucketBoundaries: TOKEN_BUCKETS },
    });
    this.duration = meter.createHistogram("gen_ai.client.operation.duration", {
      unit: "s",
      description: "GenAI operation duration.",
      advice: { explicitBucketBoundaries: SECOND_BUCKETS },
    });
    const charged = { unit: "{USD}", description: "What calls were charged." };
    this.cost = meter.createCounter("outlay.cost", charged);
    const refused = { unit: "{call}", description: "Calls that were not let happen." };
    this.refusals = meter.createCounter("outlay.refusals", refused);
  }

  /** What tells of a task. */
  task(task: Task, above?: TaskTrace): TaskTrace | undefined {
    return safely(() => new TaskTrace(this, task, above));
  }
}

/** One attempt at a task, and what is told of its calls. */
export class TaskTrace {
  readonly telemetry: Telemetry;
  readonly attributes: Attributes;
  readonly kind: Attributes;
  readonly above: TaskTrace | undefined;
  span: Span | undefined;
  readonly #agent: string;
  readonly #count: Task["toolCall"];

  constructor(telemetry: Telemetry, task: Task, above?: TaskTrace) {
    const { kind, agent = task.name, conversation } = task.tags;
    this.telemetry = telemetry;
    this.above = above;
    this.#agent = agent;
    this.kind = kind === undefined ? {} : { "outlay.kind": kind };
    this.attributes = {
      "outlay.task.name": task.name,
      "outlay.task.id": task.id,
      "outlay.attempt": task.attempt,
      ...this.kind,
      ...(conversation !== undefined && { "gen_ai.conversation.id": conversation }),
    };
    const [reserve, reserveSync] = [task.reserve.bind(task), task.reserveSync.bind(task)];
    this.#count = task.toolCall.bind(task);
    task.reserve = async (request) => {
      try {
        return this.#explicit(await reserve(request));
      } catch (error) {
        throw this.#notReserved(request, error);
      }
    };
    task.reserveSync = (request) => {
      try {
        return this.#explicit(reserveSync(request));
      } catch (error) {
        throw this.#notReserved(request, error);
      }
    };
    // How long the tool runs is not known here.
    task.toolCall = async (tool, options) => (await this.countTool(tool, options))(async () => undefined);
  }

  /** Opens its span. */
  begin(): void {
    if (!this.telemetry.spans) return;
    const told = { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": this.#agent };
    const attributes = { ...told, ...this.attributes };
    this.span = safely(() =>
      this.telemetry.tracer.startSpan(`invoke_agent ${this.#agent}`, { attributes }, this.parent()),
    );
  }

  /** Runs `fn` with its span as the current one. */
  within<T>(fn: () => T): T {
    return within(this.span, fn);
  }

  /** Closes its span. */
  end(outcome: string, errorType: string | undefined): void {
    const { span } = this;
    if (span === undefined) return;
    safely(() => {
      span.setAttribute("outlay.outcome", outcome);
      if (outcome !== "succeeded") failed(span, errorType ?? "_OTHER");
      span.end();
    });
  }

  /** Below what a span of its belongs: the current one, or its own if that is further up. */
  parent(): Context {
    const now = context.active();
    const current = trace.getSpan(now);
    let nearest: TaskTrace | undefined = this;
    while (nearest !== undefined && nearest.span === undefined) nearest = nearest.above;
    if (nearest?.span === undefined) return now;
    let further = nearest.above;
    while (further !== undefined && further.span !== current) further = further.above;
    // A task that `openTask` opened is current nowhere.
    if (current !== undefined && further === undefined) return now;
    return trace.setSpan(now, nearest.span);
  }

  /**
   * Counts the call of a tool; what it answers runs the tool, with its span as the current one.
   *
   * @throws {BudgetExceeded} no call of a tool is left.
   */
  async countTool(tool: string, options?: { turn?: string }): Promise<Running> {
    const named = { "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool };
    const name = `execute_tool ${tool}`;
    try {
      await this.#count(tool, options);
    } catch (error) {
      this.#refused(name, named, error, SpanKind.INTERNAL);
      throw error;
    }
    if (!this.telemetry.spans) return (run) => run();
    const attributes = { ...named, ...this.attributes };
    const span = safely(() => this.telemetry.tracer.startSpan(name, { attributes }, this.parent()));
    return async (run) => {
      try {
        return await within(span, run);
      } catch (error) {
        if (span !== undefined) safely(() => failed(span, classOf(error)));
        throw error;
      } finally {
        safely(() => span?.end());
      }
    };
  }

  /** An attempt of a guarded client was reserved: tells of its end. */
  started(attempt: Attempt, handle: number): void {
    const call = attemptOf(this, handle);
    if (call === undefined) return;
    const { answered, settle, failed, push, finish, end } = attempt;
    const statusOf = (status: number, _body: string) => (status >= 400 ? String(status) : undefined);
    attempt.answered = telling(call, answered.bind(attempt), statusOf);
    attempt.settle = telling(call, settle.bind(attempt));
    attempt.failed = telling(call, failed.bind(attempt), (kind) => kind);
    const read = push.bind(attempt);
    // Of what an answer streams only an error ends it, so the core is not asked about every chunk.
    attempt.push = (...chunk) =>
      read(...chunk).catch((error: unknown) => {
        call.check(classOf(error));
        throw error;
      });
    attempt.finish = telling(call, finish.bind(attempt));
    attempt.end = telling(call, end.bind(attempt));
    attempt.whenLeft(call);
  }

  /** A request of a guarded client was not let happen. */
  refused(asked: Asked, error: unknown): void {
    safely(() => {
      const names = unwrap(native.genaiNames(asked.api, asked.host));
      const [operation = "chat", provider = ""] = names;
      const model = String(asked.model() ?? "");
      const named = namedOf({ operation, provider, model });
      this.#refused(`${operation} ${model}`, named, error, SpanKind.CLIENT);
    });
  }

  /** Makes a span, or puts what is ours on the one of somebody else. */
  tell(
    name: string,
    told: { parent: Context; kind: SpanKind; attributes: Attributes; errorType: string | undefined },
    times?: { start: number; end: number },
  ): void {
    const { parent, kind, attributes, errorType } = told;
    if (!this.telemetry.spans) {
      const theirs = trace.getSpan(parent);
      const own = Object.entries(attributes).filter(([key]) => key.startsWith("outlay."));
      if (theirs?.isRecording()) theirs.setAttributes(Object.fromEntries(own));
      return;
    }
    const start = times === undefined ? {} : { startTime: times.start };
    const span = this.telemetry.tracer.startSpan(name, { kind, attributes, ...start }, parent);
    if (errorType !== undefined) failed(span, errorType);
    span.end(times?.end);
  }

  #explicit(call: Call): Call {
    // Reserved before under its id: whoever made it then tells of it.
    if (!call.created) return call;
    const told = callOf(this, call.handle);
    if (told === undefined) return call;
    const settleSync = call.settleSync.bind(call);
    call.settleSync = (usage) => {
      const settled = settleSync(usage);
      told.check();
      return settled;
    };
    call.settle = telling(told, call.settle.bind(call));
    call.void = telling(told, call.void.bind(call));
    call.doubt = telling(told, call.doubt.bind(call));
    call[Symbol.asyncDispose] = telling(told, call[Symbol.asyncDispose].bind(call));
    left.register(call, told);
    return call;
  }

  #notReserved(request: Request, error: unknown): unknown {
    const { provider = "", model } = Object(request) as Partial<Request>;
    const named = namedOf({ operation: "chat", provider, model: String(model ?? "") });
    this.#refused(`chat ${String(model ?? "")}`, named, error, SpanKind.CLIENT);
    return error;
  }

  #refused(name: string, named: Attributes, error: unknown, kind: SpanKind): void {
    if (!OutlayError.isInstance(error)) return;
    safely(() => {
      const { code: errorType, fields } = error;
      const limit: Attributes = {};
      for (const key of LIMIT) {
        const field = fields[key];
        if (field != null) limit[`outlay.${key}`] = field instanceof Money ? field.usd : String(field);
      }
      const attributes = { ...named, ...this.attributes, ...limit, "outlay.outcome": "refused" };
      this.tell(name, { parent: this.parent(), kind, attributes, errorType });
      const { "outlay.unit": unit } = limit;
      const few = { ...named, ...this.kind, "error.type": errorType };
      this.telemetry.refusals.add(1, unit === undefined ? few : { ...few, "outlay.unit": unit });
    });
  }
}

// A call that the program can no longer reach is in doubt.
const left = new FinalizationRegistry<CallTrace>((call) => {
  call.ended({ state: "in_doubt", estimated: false }, "abandoned");
});

/** One call, from its reservation to its end. */
class CallTrace implements Told {
  readonly #task: TaskTrace;
  readonly #parent: Context;
  readonly #start = Date.now();
  readonly #begun = performance.now();
  readonly #names: TraceNames;
  readonly #state: State;
  #hasEnded = false;

  constructor(task: TaskTrace, names: TraceNames, state: State) {
    this.#task = task;
    this.#names = names;
    this.#state = state;
    this.#parent = task.parent();
  }

  /** Tells what it came to, if it has ended. */
  check(errorType?: string): void {
    if (this.#hasEnded) return;
    safely(() => {
      const end = unwrap(this.#state());
      if (end.state !== "open") this.ended(end, errorType);
    });
  }

  /** Tells what it came to; only the first end counts. */
  ended(end: TraceEnd, errorType?: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (errorType === NOTHING) return;
    const { operation, model, id, reserved, maxOutputTokens } = this.#names;
    const named = namedOf(this.#names);
    if (end.model !== undefined) named["gen_ai.response.model"] = end.model;
    const ms = performance.now() - this.#begun;
    safely(() => {
      const attributes = {
        ...named,
        ...this.#task.attributes,
        "outlay.call.id": id,
        "outlay.held.usd": usd(reserved),
        "gen_ai.request.max_tokens": maxOutputTokens,
        ...outcomeOf(end),
      };
      const told = { parent: this.#parent, kind: SpanKind.CLIENT, attributes, errorType };
      this.#task.tell(`${operation} ${model}`, told, { start: this.#start, end: this.#start + ms });
      this.#measure(end, named, errorType, ms);
    });
  }

  #measure(end: TraceEnd, named: Attributes, errorType: string | undefined, ms: number): void {
    const { telemetry, kind } = this.#task;
    if (telemetry.spans) {
      const error = errorType === undefined ? {} : { "error.type": errorType };
      telemetry.duration.record(ms / 1000, { ...named, ...error });
      // Only what the provider counted, and only of calls that did not fail.
      if (end.tokens !== undefined && !end.estimated && errorType === undefined) {
        const [input = 0, output = 0] = end.tokens;
        telemetry.tokens.record(input, { ...named, "gen_ai.token.type": "input" });
        telemetry.tokens.record(output, { ...named, "gen_ai.token.type": "output" });
      }
    }
    if (end.charge !== undefined) telemetry.cost.add(usd(end.charge), { ...named, ...kind });
  }
}

// Apart from what they are of: a closure beside it would keep that from being collected.
function attemptOf(task: TaskTrace, handle: number): CallTrace | undefined {
  const state = () => native.attemptTrace(handle);
  return safely(() => new CallTrace(task, unwrap(native.traceAttempt(handle)), state));
}

function callOf(task: TaskTrace, handle: number): CallTrace | undefined {
  const state = () => native.callTrace(handle);
  return safely(() => new CallTrace(task, unwrap(native.traceCall(handle)), state));
}

/** The same `act`, after which is told whether the call has ended. */
function telling<A extends unknown[], T>(
  call: CallTrace,
  act: (...args: A) => Promise<T>,
  errorOf: (...args: A) => string | undefined = () => undefined,
): (...args: A) => Promise<T> {
  return async (...args) => {
    try {
      const done = await act(...args);
      call.check(errorOf(...args));
      return done;
    } catch (error) {
      call.check(classOf(error));
      throw error;
    }
  };
}

function within<T>(span: Span | undefined, fn: () => T): T {
  return span === undefined ? fn() : context.with(trace.setSpan(context.active(), span), fn);
}

function namedOf(names: { operation: string; provider: string; model: string }): Attributes {
  return {
    "gen_ai.operation.name": names.operation,
    ...(names.provider !== "" && { "gen_ai.provider.name": names.provider }),
    ...(names.model !== "" && { "gen_ai.request.model": names.model }),
  };
}

function outcomeOf({ state, charge, overrun, estimated, tokens }: TraceEnd): Attributes {
  const told: Attributes = { "outlay.outcome": state };
  if (charge !== undefined) {
    told["outlay.cost.usd"] = usd(charge);
    told["outlay.estimated"] = estimated;
  }
  if (overrun !== undefined && overrun > 0n) told["outlay.overrun.usd"] = usd(overrun);
  if (tokens !== undefined) {
    const [input = 0, output = 0, ...parts] = tokens;
    told["gen_ai.usage.input_tokens"] = input;
    told["gen_ai.usage.output_tokens"] = output;
    for (const [at, part] of USAGE.entries()) {
      const count = parts[at] ?? 0;
      if (count > 0) told[`gen_ai.usage.${part}_tokens`] = count;
    }
  }
  return told;
}

function classOf(error: unknown): string {
  if (OutlayError.isInstance(error)) return error.code;
  return (error instanceof Error && error.constructor.name) || "_OTHER";
}

function failed(span: Span, errorType: string): void {
  span.setAttribute("error.type", errorType);
  span.setStatus({ code: SpanStatusCode.ERROR, message: errorType });
}

function usd(nanos: bigint): number {
  return Number(nanos) / 1e9;
}
