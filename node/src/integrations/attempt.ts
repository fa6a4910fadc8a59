/**
 * How does one HTTP attempt of a client get its reservation, and how does that end?
 *
 * Invariant: an attempt's bytes leave only under a reservation of its own, which is ended once. An
 * answer that came is never lost because its end could not be recorded: the call then stays held, and
 * a warning says so. What a request costs and a response used is read in the core, not here.
 */

import { held } from "../context.js";
import type { OutgoingFacts } from "../core.js";
import { InvalidInput, type OutlayError } from "../errors.js";
import { native, unwrap, unwrapped } from "../native.js";
import { patiently } from "../patience.js";
import type { Asked, TaskTrace, Told } from "../spans.js";
import { currentOrDefault } from "../task.js";
import { type Usage, usageSpec } from "../usage.js";
import type { Bill } from "./billed.js";
import type { Frame } from "./frame.js";

/** How an attempt without a response ended. */
export type Failure = "not_sent" | "given_back" | "timeout" | "connection" | "cancelled";

const unreachable = new FinalizationRegistry(async ({ handle, isSent, told }: Held) => {
  if (told !== undefined) {
    await record(native.streamEnd(handle));
    await record(native.attemptFailed(handle, isSent ? "connection" : "not_sent"));
    told.check("abandoned");
  }
  native.releaseAttempt(handle);
});
const unreadable = new FinalizationRegistry((handle: number) => native.releaseRequest(handle));
const warned = new Set<string>();

/** What outlives an attempt. */
interface Held {
  readonly handle: number;
  isSent: boolean;
  /** Whom to tell that it ended because nobody could reach it any more. */
  told?: Told;
}

/** One request as the guard sees it; reserved for anew at each of its HTTP attempts. */
export class Ask {
  readonly #handle: number;
  readonly #waitMs: number;
  readonly #above: Frame | undefined;
  readonly #trace: TaskTrace | undefined;
  readonly #asked: Asked;

  private constructor(
    facts: OutgoingFacts,
    above: Frame | undefined,
    trace: TaskTrace | undefined,
    asked: Asked,
  ) {
    const { handle, waitMs } = facts;
    this.#handle = handle;
    this.#waitMs = waitMs;
    this.#above = above;
    this.#trace = trace;
    this.#asked = asked;
    unreadable.register(this, handle);
  }

  /**
   * Reads a request; null if it is free, or goes through unmetered.
   *
   * @param base what the url is relative to, if it is.
   * @throws {Unsupported} it is billed and cannot be metered, under a hard limit on money.
   * @throws {Unbounded | Unpriced | InvalidInput | ApprovalRequired | BreakerTripped} as `of`.
   */
  static async read(
    bill: Bill,
    method: string,
    url: string,
    body: unknown,
    base: string = url,
  ): Promise<Ask | null> {
    const api = bill.api(method, url);
    if (api === null) return null;
    const json = api === "" ? undefined : jsonOf(body);
    if (json === undefined) {
      await refuseUnmetered(`${bill.provider} ${method.toUpperCase()} ${bill.path(url)}`);
      return null;
    }
    const host = URL.canParse(url, base) ? new URL(url, base).hostname : undefined;
    return Ask.of(api, json, host === undefined ? {} : { host });
  }

  /**
   * Reads a request of an API from its JSON.
   *
   * @param from the host it goes to, and whether whoever sends it can send no other model.
   * @throws {Unbounded | Unpriced | InvalidInput} its worst case cannot be known.
   * @throws {ApprovalRequired | BreakerTripped} the task is watched, and goes in circles by what is new in it.
   */
  static async of(api: string, json: string, from: { host?: string; keepsModel?: true }): Promise<Ask> {
    const { maxUsd, maxInputTokens, final, turn: said, frame } = held();
    const turn = said ?? frame?.turn;
    const task = await currentOrDefault();
    const terms = {
      ...from,
      ...(turn !== undefined && { turn }),
      ...(final && { final }),
      ...(maxUsd !== undefined && { maxUsd }),
      ...(maxInputTokens !== undefined && { maxInputTokens }),
      ...(frame?.isTold && { watched: true }),
    };
    const { trace } = task;
    const asked = { api, host: from.host, model: () => modelOf(json) };
    try {
      task.watch?.goOn();
      const facts = await unwrapped(native.readRequest(task.handle, api, json, terms));
      return new Ask(facts, frame, trace, asked);
    } catch (error) {
      trace?.refused(asked, error);
      throw error;
    }
  }

  /**
   * Holds the worst case for one attempt, waiting for money that other calls hold.
   *
   * @throws {BudgetExceeded} it does not fit; nothing may be sent.
   */
  async reserve(signal?: AbortSignal | null): Promise<Attempt> {
    // What a hook above holds for this very call, because it could not know of us.
    await this.#above?.giveBack();
    const tryOnce = async (isLast: boolean) => {
      const facts = await unwrapped(native.reserveAttempt(this.#handle, !isLast));
      return facts === null ? undefined : new Attempt(facts.handle, facts.patch ?? null, this.#trace);
    };
    try {
      return await patiently(this.#waitMs, tryOnce, signal);
    } catch (error) {
      this.#trace?.refused(this.#asked, error);
      throw error;
    }
  }
}

/**
 * Refuses a billed request that cannot be metered, if there is a hard limit on money over it.
 *
 * @throws {Unsupported} what cannot be metered, by name.
 */
export async function refuseUnmetered(what: string): Promise<void> {
  const task = await currentOrDefault();
  unwrap(await native.unmetered(task.handle, what));
}

/** One HTTP attempt under a reservation. */
export class Attempt {
  readonly #handle: number;
  /** The top-level fields to set in the body. */
  readonly patch: Readonly<Record<string, unknown>>;
  readonly #held: Held;

  constructor(handle: number, patch: string | null, trace?: TaskTrace) {
    this.#handle = handle;
    this.patch = patch === null ? {} : (JSON.parse(patch) as Record<string, unknown>);
    this.#held = { handle, isSent: false };
    unreachable.register(this, this.#held);
    trace?.started(this, handle);
  }

  /** May a byte of it have left? */
  get isSent(): boolean {
    return this.#held.isSent;
  }

  /** Tells `told`, which must not reach it, once it was ended because nothing else could. */
  whenLeft(told: Told): void {
    this.#held.told = told;
  }

  /** Notes that the request is about to be sent. */
  sent(): void {
    unwrap(native.attemptSent(this.#handle));
    this.#held.isSent = true;
  }

  /** Ends it by the response. */
  answered(status: number, body: string): Promise<void> {
    return record(native.attemptAnswered(this.#handle, status, body));
  }

  /**
   * Ends it with what it used, as a framework reports it.
   *
   * @throws {InvalidInput} a usage that cannot be; the attempt is still open.
   */
  async settle(usage: Usage): Promise<void> {
    try {
      unwrap(await native.attemptSettle(this.#handle, usageSpec(usage)));
    } catch (error) {
      if (InvalidInput.isInstance(error)) throw error;
      await record(Promise.reject(error as Error));
    }
  }

  /** Ends it without a response. */
  failed(kind: Failure): Promise<void> {
    return record(native.attemptFailed(this.#handle, kind));
  }

  /**
   * Takes bytes of the stream; returns those to hand on.
   *
   * @throws {BudgetExceeded} the reservation is used up: stop reading.
   */
  async push(chunk: Uint8Array): Promise<Uint8Array> {
    return (await unwrapped(native.streamPush(this.#handle, chunk))) ?? chunk;
  }

  /** Takes the end of the stream; returns what was kept back. */
  async finish(): Promise<Uint8Array | null> {
    let rest: Uint8Array | null = null;
    const finishing = native.streamFinish(this.#handle).then((answer) => {
      rest = unwrap(answer);
      return 0;
    });
    await record(finishing);
    return rest;
  }

  /** Ends the stream, read to its end or not; only the first end counts. */
  end(): Promise<void> {
    return record(native.streamEnd(this.#handle));
  }
}

/** Ends an attempt; where the ledger cannot, its worst case stays held and is in doubt later. */
async function record(ending: Promise<unknown>): Promise<void> {
  try {
    unwrap(await ending);
  } catch (error) {
    const { code, message } = error as OutlayError;
    if (warned.has(code)) return;
    warned.add(code);
    process.emitWarning(
      `a call was answered, but its end could not be recorded (${message}); its worst case stays held`,
      "OutlayWarning",
    );
  }
}

/** Network errors after which no byte of the request can have left. */
const NOT_SENT = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** What is known of an attempt that gave no response. */
export function failureOf(error: unknown): Failure {
  const seen = new Set<unknown>();
  for (let cause = error; cause instanceof Error && !seen.has(cause); cause = cause.cause) {
    const { code } = cause as { code?: unknown };
    if (typeof code === "string" && NOT_SENT.has(code)) return "not_sent";
    // Of several addresses tried, each must have refused.
    if (cause instanceof AggregateError && cause.errors.every((each) => NOT_SENT.has(each?.code))) {
      return "not_sent";
    }
    seen.add(cause);
  }
  return error instanceof Error && error.name === "AbortError" ? "cancelled" : "connection";
}

function modelOf(json: string): unknown {
  try {
    return (JSON.parse(json) as { model?: unknown } | null)?.model;
  } catch {
    return undefined;
  }
}

/** A request's body as JSON, undefined if it is none. */
function jsonOf(body: unknown): string | undefined {
  if (typeof body === "string") return body;
  if (typeof body !== "object" || body === null) return undefined;
  const prototype = Object.getPrototypeOf(body);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  return JSON.stringify(body);
}
