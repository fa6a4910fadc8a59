/**
 * What follows from a verdict of the breaker over a task?
 *
 * A nudge goes to the model with the answer of its tool, a refusal in place of it. A pause and a stop are
 * thrown, and again by every later step of the task, until a person lets it go on. Here a hook tells the
 * breaker what it sees; of what it does not see, the core reads the requests of the task.
 */

import { Breaker, type BreakerConfig, type Step, type Verdict } from "./breaker.js";
import { ApprovalRequired, BreakerTripped, type OutlayError } from "./errors.js";
import { native, whole } from "./native.js";

/** A breaker over a task and the agents inside it; without `enforce` it only looks on. */
export class Watch {
  readonly breaker: Breaker;
  readonly #enforce: boolean;
  /** Is what it says recorded in a file? */
  #waits: boolean | undefined;
  #tripped: OutlayError | null = null;

  constructor(config: BreakerConfig | true, enforce: boolean) {
    this.breaker = new Breaker(config === true ? undefined : config);
    this.#enforce = enforce;
  }

  /** What stopped the task, if something did. */
  get tripped(): OutlayError | null {
    return this.#tripped;
  }

  /** From now on it is asked about the requests of this task too; the first one's ledger has its verdicts. */
  over(task: { readonly handle: number; readonly blocking: boolean }): void {
    this.#waits ??= task.blocking;
    whole(native.watchTask(task.handle, this.breaker.handle));
  }

  /** What to answer instead of making this call of a tool, if it is refused. */
  async ask(call: Omit<Step, "kind">): Promise<string | null> {
    this.goOn();
    const step: Step = { kind: "tool", atMs: Date.now(), ...call };
    if (!this.#enforce || this.breaker.check(step).level === "ok") return null;
    return this.#follow(await this.#observe({ ...step, refused: true }));
  }

  /** What to tell the model about what has just happened. */
  async tell(step: Step): Promise<string | null> {
    return this.#follow(await this.#observe({ atMs: Date.now(), ...step }));
  }

  /** Throws what stopped the task, if a hook, a client or a stream did. */
  goOn(): void {
    if (this.#tripped !== null) throw this.#tripped;
    whole(native.goOnBreaker(this.breaker.handle));
  }

  /** A person lets the task go on. */
  excuse(): void {
    this.breaker.excuse();
    this.#tripped = null;
  }

  async #observe(step: Step): Promise<Verdict> {
    return this.#waits ? this.breaker.observed(step) : this.breaker.observe(step);
  }

  #follow({ level, detector, evidence, message }: Verdict): string | null {
    if (!this.#enforce || level === "ok") return null;
    if (level !== "pause" && level !== "stop") return message;
    const Kind = level === "stop" ? BreakerTripped : ApprovalRequired;
    this.#tripped = new Kind(message, { detector, evidence });
    throw this.#tripped;
  }
}
