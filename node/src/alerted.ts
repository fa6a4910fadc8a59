/**
 * Who hears of an alert without asking? The process's warnings, and the user's own OpenTelemetry.
 *
 * A warning is what Python's logger is: it stands on stderr, `process.on("warning")` takes it, and
 * `--disable-warning=OUTLAY_ALERT` silences it. A channel of `diagnostics_channel` would be heard by nobody
 * who does not ask, and for who does there is `onAlert`.
 */

import type * as Threads from "node:worker_threads";

import type { AlertFacts } from "./core.js";
import { native, unwrapped } from "./native.js";

/** As much of `@opentelemetry/api` 1 as is used. */
interface OpenTelemetry {
  metrics?: { getMeter(name: string): { createCounter(name: string, options: object): Counter } };
}

interface Counter {
  add(amount: number, attributes: Record<string, string>): void;
}

// Where every copy of that package finds what the program has set up.
const OPEN_TELEMETRY = Symbol.for("opentelemetry.js.api.1");

let listening: Promise<unknown> | undefined;

/** Is this the thread the process ends with? Asked late, for an import would wait for the answer. */
export function isMainThread(): boolean {
  return (require("node:worker_threads") as typeof Threads).isMainThread;
}

/** Tells of what the ledgers of the process record from now on; by its main thread, which outlives the others. */
export function listened(): Promise<unknown> {
  listening ??= listen();
  return listening;
}

async function listen(): Promise<void> {
  // One more turn for what the last call has passed.
  process.once("beforeExit", () => setImmediate(() => {}));
  if (isMainThread()) await unwrapped(native.onAlert("log", tell));
}

// Never throws: an exception here would end the process.
function tell(alert: AlertFacts): void {
  warn(alert.text, alert.id);
  try {
    count(alert);
  } catch (error) {
    warn(`OpenTelemetry could not be told: ${error}`, alert.id);
  }
}

function warn(text: string, id: string): void {
  process.emitWarning(text, { type: "OutlayWarning", code: "OUTLAY_ALERT", detail: `alert ${id}` });
}

function count({ budget, unit, threshold }: AlertFacts): void {
  const api = (globalThis as Record<symbol, OpenTelemetry | undefined>)[OPEN_TELEMETRY];
  const options = { unit: "{alert}", description: "Shares of limits that were spent." };
  const counter = api?.metrics?.getMeter("outlay").createCounter("outlay.alerts", options);
  // Few values each.
  counter?.add(1, { "outlay.budget": budget, "outlay.unit": unit, "outlay.threshold": threshold });
}
