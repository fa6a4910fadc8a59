/** What is one call, from its reservation to its end? */

// For programs whose own `lib` has no `Symbol.asyncDispose`.
/// <reference lib="esnext.disposable" preserve="true" />

import { count, Money } from "./money.js";
import { native, unwrap, whole } from "./native.js";
import { soon } from "./turn.js";
import { type Usage, usageSpec } from "./usage.js";

/** How a call stands. */
export type CallState = "open" | "settled" | "voided" | "in_doubt";

// A call nobody can reach any more can be ended by nobody else.
const unreachable = new FinalizationRegistry((handle: number) => {
  native.releaseCall(Math.abs(handle), handle < 0);
});

/** One reserved call. End it with `settle` or `void`, or let `await using` leave it in doubt. */
export class Call {
  readonly #handle: number;
  readonly #blocking: boolean;
  #facts: ReturnType<typeof facts> | undefined;

  /** @internal */
  constructor(handle: number, blocking: boolean) {
    this.#handle = handle;
    this.#blocking = blocking;
    unreachable.register(this, blocking ? -handle : handle);
  }

  /** @internal */
  get handle(): number {
    return this.#handle;
  }

  /** Its id in the ledger. */
  get id(): string {
    return this.#known.id;
  }

  /** The model it is reserved for; this must go into the request. */
  get model(): string {
    return this.#known.model;
  }

  /** The most output tokens each answer may have; this must go into the request. */
  get maxOutputTokens(): number {
    return this.#known.maxOutputTokens;
  }

  /** Is this the first reservation under its id? Only then may the call be sent. */
  get created(): boolean {
    return this.#known.created;
  }

  /** What is held for it. */
  get reserved(): Money {
    return Money.fromNanos(this.#known.reserved);
  }

  /** Does it pass a soft limit? */
  get overSoft(): boolean {
    return this.#known.overSoft;
  }

  /** Why it would have been denied, under a task that only observes. */
  get wouldDeny(): string | null {
    return this.#known.wouldDeny ?? null;
  }

  /** How it stands. */
  get state(): CallState {
    return unwrap(native.callEnd(this.#handle)).state as CallState;
  }

  /**
   * Ends the call with what it used.
   *
   * @param usage what the provider reported.
   * @throws {InvalidInput} a usage that cannot be; the call is still open.
   * @throws {Conflict} it ended otherwise before.
   * @throws {StoreUnavailable} the ledger could not answer; settle it again.
   * @example
   * const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 500 });
   * const { charge } = await call.settle({ inputTokens: 1000, outputTokens: 500 });
   */
  async settle(usage: Usage): Promise<Settled> {
    if (!this.#blocking) return this.#settle(usage);
    const used = usageSpec(usage);
    await soon(
      () => native.trySettle(this.#handle, used),
      () => native.settle(this.#handle, used),
    );
    return new Settled(this.#handle, this);
  }

  /** The same at once, for a ledger in memory; for one in a file it blocks the event loop. */
  settleSync(usage: Usage): Settled {
    return this.#settle(usage);
  }

  /**
   * Ends the call as not billed.
   *
   * @throws {Conflict} it ended otherwise before.
   * @throws {StoreUnavailable} the ledger could not answer; the call is still open.
   */
  void(): Promise<void> {
    return this.#end("void");
  }

  /**
   * Ends the call as one of which nobody knows whether it was billed.
   *
   * @throws {Conflict} it ended otherwise before.
   * @throws {StoreUnavailable} the ledger could not answer; the call is still open.
   */
  doubt(): Promise<void> {
    return this.#end("doubt");
  }

  /** Ends it as the block round it ends: in doubt, if it is still open. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#end("leave");
  }

  #settle(usage: Usage): Settled {
    if (isPlain(usage)) {
      const { inputTokens = 0, outputTokens = 0 } = usage;
      const input = count(inputTokens, "inputTokens");
      whole(native.settleSync(this.#handle, input, count(outputTokens, "outputTokens")));
    } else {
      whole(native.settleUsageSync(this.#handle, usageSpec(usage)));
    }
    return new Settled(this.#handle, this);
  }

  async #end(how: string): Promise<void> {
    if (!this.#blocking) whole(native.endCallSync(this.#handle, how));
    else {
      await soon(
        () => native.tryEndCall(this.#handle, how),
        () => native.endCall(this.#handle, how),
      );
    }
  }

  get #known(): ReturnType<typeof facts> {
    this.#facts ??= facts(this.#handle);
    return this.#facts;
  }
}

/** What a call came to. */
export class Settled {
  readonly #handle: number;
  #end: ReturnType<typeof ending> | undefined;

  /** @internal */
  constructor(
    handle: number,
    // Held, so that the handle stays good.
    protected readonly call: Call,
  ) {
    this.#handle = handle;
  }

  /** What it cost. */
  get charge(): Money {
    return Money.fromNanos(this.#known.charge);
  }

  /** What the charge was above the reservation. */
  get overrun(): Money {
    return Money.fromNanos(this.#known.overrun);
  }

  /** Is it our count, not the provider's? */
  get estimated(): boolean {
    return this.#known.estimated;
  }

  get #known(): ReturnType<typeof ending> {
    this.#end ??= ending(this.#handle);
    return this.#end;
  }
}

function facts(handle: number) {
  return unwrap(native.callFacts(handle));
}

function ending(handle: number) {
  return unwrap(native.callEnd(handle));
}

function isPlain(usage: Usage): boolean {
  if (typeof usage !== "object" || usage === null) return false;
  for (const kind in usage) {
    if (kind !== "inputTokens" && kind !== "outputTokens") return false;
  }
  return true;
}
