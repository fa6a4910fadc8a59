/**
 * What do the program's own OpenTelemetry traces and metrics say of tasks and calls?
 *
 * Nothing, until `telemetry()` asks for it. Invariant: what goes wrong there is told once as a warning, and
 * spoils no call. No span or measurement has a prompt, an answer or a key; a metric has only attributes of
 * few values.
 */

import { InvalidInput, Unsupported } from "./errors.js";
import { known } from "./money.js";
import type { TaskTrace, Telemetry } from "./spans.js";
import type { Task } from "./task.js";

/** How `telemetry` tells. */
export interface TelemetryOptions {
  /**
   * `spans`; `attributes` of the span that is current when a call is reserved, and only our own metrics, where
   * another instrumentation makes the spans; or `off`.
   */
  mode?: "spans" | "attributes" | "off";
  /** Where spans go; the global one if absent. */
  tracerProvider?: { getTracer(name: string, version?: string): object };
  /** Where measurements go; the global one if absent. */
  meterProvider?: { getMeter(name: string, version?: string): object };
}

const MODES = ["spans", "attributes", "off"];
let active: Telemetry | undefined;

/**
 * Tells the OpenTelemetry of the program what tasks opened from now on do and spend.
 *
 * Each attempt of a task becomes a span `invoke_agent`, each call of a model a span `chat` and each call of a
 * tool a span `execute_tool`, with `outlay.cost.usd` and its like beside the attributes of the GenAI
 * conventions; docs/telemetry.md has all of them, and the metrics. No prompts and no answers.
 *
 * @throws {InvalidInput} a mode or a provider that is none.
 * @throws {Unsupported} the package `@opentelemetry/api` is not installed.
 * @example
 * telemetry();
 * await task("refund", { usd: 0.5, store: "memory:" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
 *   await call.settle({ inputTokens: 1000, outputTokens: 500 }); // a span `chat gpt-4o`
 * });
 * telemetry({ mode: "off" });
 */
export function telemetry(options: TelemetryOptions = {}): void {
  known(options, ["mode", "tracerProvider", "meterProvider"], "telemetry");
  const { mode = "spans", tracerProvider, meterProvider } = options;
  provides(tracerProvider, "tracerProvider", "getTracer");
  provides(meterProvider, "meterProvider", "getMeter");
  if (!MODES.includes(mode)) throw new InvalidInput(`mode \`${mode}\` is none of \`${MODES.join("`, `")}\``);
  if (mode === "off") {
    active = undefined;
    return;
  }
  try {
    require.resolve("@opentelemetry/api");
  } catch {
    throw new Unsupported("telemetry needs the package `@opentelemetry/api`");
  }
  const spans = require("./spans.js") as typeof import("./spans.js");
  active = new spans.Telemetry(mode === "spans", tracerProvider, meterProvider);
}

function provides(given: object | undefined, name: string, method: string): void {
  if (given === undefined || typeof Object(given)[method] === "function") return;
  throw new InvalidInput(`\`${name}\` has no \`${method}\``);
}

/**
 * What tells of a task; undefined where nobody asked.
 *
 * @internal
 */
export function traced(task: Task, above?: TaskTrace): TaskTrace | undefined {
  return active?.task(task, above);
}
