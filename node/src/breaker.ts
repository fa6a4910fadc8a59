/** Is this run going in circles? The detectors are the core's; here are their words in camel case. */

import { type Evidence, evidenceOf, InvalidInput } from "./errors.js";
import { text } from "./money.js";
import { failure, native, unwrap, unwrapped, whole } from "./native.js";

/** One step of a run. */
export interface Step {
  kind: "tool" | "llm" | "user" | "thought" | "compaction";
  name?: string | undefined;
  args?: unknown;
  result?: unknown;
  error?: unknown;
  malformed?: boolean | undefined;
  unknownTool?: boolean | undefined;
  mutates?: boolean | undefined;
  /** The call was not made, because the breaker said so. */
  refused?: boolean | undefined;
  /** The same for all calls of a parallel batch, which counts once. */
  batch?: string | undefined;
  /** The same for all steps of one conversation: streaks are counted in each. */
  conversation?: string | undefined;
  /** What was given beside the text, as images; a digest is taken of it. */
  parts?: readonly unknown[] | undefined;
  /** When it ended, in milliseconds since 1970. */
  atMs?: number | undefined;
}

/** From which count on a detector speaks up; null for never. */
export type Ladder = Partial<Record<"nudge" | "refuse" | "pause" | "stop", number | null>>;

/** What is special about a tool. */
export interface ToolRule {
  /** The arguments that matter, or a function of them. */
  loopKey?: readonly string[] | ((args: never) => unknown);
  /** The fields of a JSON result that matter, or a function of the result. */
  progress?: readonly string[] | ((result: never) => unknown);
  /** Arguments that do not matter. */
  ignore?: readonly string[];
  mutates?: boolean;
  /** It asks whether something is done yet. */
  poll?: boolean | { maxMs?: number; minIntervalMs?: number; maxIntervalMs?: number };
  allow?: boolean;
}

/** Who looks for what; `docs/breaker.md` explains each. */
export type Detector =
  | "noProgress"
  | "cycle"
  | "sameError"
  | "unknownTool"
  | "malformed"
  | "chant"
  | "monologue"
  | "compaction"
  | "doomed"
  | "poll"
  | "mutation";

/** What a breaker goes by. */
export interface BreakerConfig extends Partial<Record<Detector, Ladder>> {
  /** So many of anything that is counted stop a run: 100, or another number from 2 to 1,000. */
  hardCap?: number;
  /** Arguments that never matter. */
  volatile?: readonly string[];
  tools?: Record<string, ToolRule>;
}

/** What the breaker says about a step. */
export interface Verdict {
  /** How far up the ladder. */
  readonly level: "ok" | "nudge" | "refuse" | "pause" | "stop";
  /** Who found something; null at `ok`. */
  readonly detector: string | null;
  /** On what grounds: `count`, `period`, `threshold`, `firstStep`, `lastStep`, `message`, and what applies. */
  readonly evidence: Evidence;
  /** What to tell the model; empty at `ok`. */
  readonly message: string;
}

const unreachable = new FinalizationRegistry((handle: number) => native.releaseBreaker(handle));

/**
 * Watches one run for loops: repeats, cycles, the same error again and again, chants, futile polls.
 *
 * @example
 * const breaker = new Breaker();
 * const step = { kind: "tool", name: "bash", args: { command: "ls" }, result: "a.txt" } as const;
 * [1, 2, 3].map(() => breaker.observe(step).level); // ["ok", "ok", "nudge"]
 */
export class Breaker {
  /** @internal */
  readonly handle: number;
  readonly #hooks = new Map<string, ToolRule>();

  /**
   * @param config thresholds, and what is special about tools; without it, the defaults.
   * @param state what `state()` gave: goes on from there, under `config` if that is given too. Functions
   *   are not in a state; give them again.
   * @throws {InvalidInput} an option that does not exist or has no meaning, or bytes that are no state.
   */
  constructor(config?: BreakerConfig, state?: Uint8Array) {
    this.handle = native.openBreaker(config === undefined ? undefined : this.#read(config), state);
    if (this.handle < 0) throw failure();
    unreachable.register(this, this.handle);
  }

  /**
   * Tells the breaker what happened, and hears what it has to say. What the breaker of a task says above
   * `ok` is an entry of its ledger; if that is in a file, this waits for it.
   *
   * @throws {InvalidInput} it has no kind, or a value of the wrong type.
   * @throws {StoreUnavailable} what it said could not be recorded; it has counted the step.
   * @throws {Conflict} the attempt it is recorded in has ended.
   */
  observe(step: Step): Verdict {
    return verdict(unwrap(native.askBreaker(this.handle, this.#told(step), false)));
  }

  /**
   * `observe`, where a verdict is recorded in a file and the event loop must not wait for that.
   *
   * @internal
   */
  async observed(step: Step): Promise<Verdict> {
    return verdict(await unwrapped(native.tellBreaker(this.handle, this.#told(step))));
  }

  /** Would this call be refused, if it gave what it gave before? Changes nothing. */
  check(step: Step): Verdict {
    return verdict(unwrap(native.askBreaker(this.handle, this.#told(step), true)));
  }

  /** Reads a piece of the model's answer as it streams in; how the text is cut does not matter. */
  observeStream(piece: string): Verdict {
    return verdict(unwrap(native.observeStream(this.handle, text(piece, "text"))));
  }

  /** A person lets the run go on: what repeats now is forgiven. The hard cap keeps counting. */
  excuse(): void {
    whole(native.excuseBreaker(this.handle));
  }

  /** Everything it knows, configuration included, as at most 8,192 bytes; digests stand for texts. */
  state(): Uint8Array {
    return unwrap(native.breakerState(this.handle));
  }

  #read(config: BreakerConfig): string {
    const plain = plainConfig(config);
    for (const [name, rule] of Object.entries(config.tools ?? {})) this.#hooks.set(name, rule);
    return json(plain);
  }

  #told(step: Step): string {
    const told = snakeAll(step, false);
    const rule = step?.name === undefined ? undefined : this.#hooks.get(step.name);
    if (typeof rule?.loopKey === "function" && "args" in step) {
      told.loop_key = json(rule.loopKey(step.args as never) ?? null);
    }
    if (typeof rule?.progress === "function" && "result" in step) {
      told.progress = json(rule.progress(step.result as never) ?? null);
    }
    return json(told);
  }
}

/** A configuration as the core names it, without functions. */
export function plainConfig(config: BreakerConfig): object {
  if (typeof config !== "object" || config === null) throw new InvalidInput("`config` is not an object");
  const { tools, ...rest } = config;
  const rules = Object.entries(tools ?? {}).map(([name, rule]) => {
    const plain = Object.entries(rule).filter(([, value]) => typeof value !== "function");
    return [name, snakeAll(Object.fromEntries(plain), true)];
  });
  return { ...snakeAll(rest, false), ...(tools && { tools: Object.fromEntries(rules) }) };
}

function verdict(told: { level: string; detector?: string; evidence?: string; message: string }): Verdict {
  return {
    level: told.level as Verdict["level"],
    detector: told.detector ?? null,
    evidence: evidenceOf(told.evidence ?? "{}"),
    message: told.message,
  };
}

function snakeAll(given: object, deep: boolean): Record<string, unknown> {
  if (typeof given !== "object" || given === null) throw new InvalidInput("this is not an object");
  const named = Object.entries(given).map(([name, value]) => {
    const isPart = deep && typeof value === "object" && value !== null && !Array.isArray(value);
    return [snake(name), isPart ? snakeAll(value, true) : value];
  });
  return Object.fromEntries(named);
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function json(value: unknown): string {
  try {
    return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
  } catch (error) {
    throw new InvalidInput(`this is no JSON: ${(error as Error).message.split("\n")[0]}`);
  }
}
