/**
 * Bounds, records and explains what AI agents spend.
 *
 * `instrument()` puts the guard into the OpenAI and Anthropic clients, so that a task bounds whatever
 * runs inside it without another line.
 *
 * @example
 * import { task } from "outlay";
 *
 * await task("refund", { usd: 0.5, store: "memory:" }, async (t) => {
 *   const call = await t.reserve({ model: "gpt-4o", inputTokens: 1000, maxOutputTokens: 4000 });
 *   const settled = await call.settle({ inputTokens: 1000, outputTokens: 500 });
 *   console.log(String(settled.charge)); // 0.0075 USD
 * });
 */

export { type Alert, alerts, onAlert } from "./alerts.js";
export type { Audit, Problem } from "./audit.js";
export {
  Breaker,
  type BreakerConfig,
  type Detector,
  type Ladder,
  type Step,
  type ToolRule,
  type Verdict,
} from "./breaker.js";
export type { Call, CallState, Settled } from "./call.js";
export { type CallOptions, call, current } from "./context.js";
export {
  type BudgetForecast,
  type Expected,
  type Forecast,
  type ForecastRow,
  forecast,
  type Repriced,
  type WhatIfOptions,
  type WhatIfReport,
  type WhatIfRow,
  whatIf,
} from "./elsewhere.js";
export {
  ApprovalRequired,
  BreakerTripped,
  BudgetExceeded,
  Conflict,
  Corrupt,
  type Evidence,
  Fault,
  type Fields,
  Halted,
  InvalidInput,
  LeaseLost,
  Misuse,
  NotFound,
  OutlayError,
  Stopped,
  StoreUnavailable,
  Unbounded,
  Unknowable,
  Unpriced,
  Unsupported,
} from "./errors.js";
export { type Exported, type ExportOptions, exportLedger } from "./exports.js";
export { instrument, uninstrument } from "./instrument.js";
export type { KindOptions } from "./kind_options.js";
export {
  type KindRow,
  type KindsReport,
  kinds,
  type RunFigures,
  type SloReport,
  type SloRow,
  slo,
} from "./kinds.js";
export {
  type Budget,
  budget,
  configure,
  forget,
  type Ledger,
  ledger,
  meterReport,
  type Options,
  report,
  reportHtml,
  resolve,
  version,
} from "./ledger.js";
export { type Imported, importLogs } from "./logs.js";
export { type MarginFigures, type MarginReport, type MarginRow, margin } from "./margin.js";
export { type Charge, type Count, type Countable, count, type PriceOptions, price } from "./meter.js";
export { type Amount, Limit, type LimitOptions, type Limits, Money, type UnitLimits } from "./money.js";
export { approve, halt, type ObservedRow, observed, unhalt, waitApproval } from "./orders.js";
export { type Plan, type PlanRow, plan } from "./plan.js";
export type {
  AttemptLine,
  Figures,
  Loss,
  MeterReport,
  MeterRow,
  Outcome,
  Report,
  ReportRow,
  Summary,
} from "./report.js";
export { type SuggestedLimits, type Suggestions, suggestLimits } from "./suggest.js";
export { openTask, type Request, type Task, type TaskOptions, task, type Used } from "./task.js";
export { type TelemetryOptions, telemetry } from "./telemetry.js";
export { type ExtractedUsage, extractUsage, type Usage } from "./usage.js";
export {
  type Span,
  type TaxFigures,
  type TaxReport,
  type TaxRow,
  tax,
  type ValueReport,
  type ValueRow,
  type ValueRun,
  value,
  type WasteItem,
  type WasteKind,
  type WasteReport,
  type Worth,
  waste,
} from "./worth.js";
