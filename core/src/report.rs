//! What happened? Reports as pure folds over entries.
//!
//! A report adds up what entries say and prices nothing again: its totals are the balances the
//! ledger keeps, cut up another way. What a call used is attributed once, so no cent stands in
//! two rows.
//!
//! ```
//! use outlay::{Ledger, Limit, Request, Usage, report::{By, ReportOptions}};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.task("refund", [Limit::usd("0.50")?])?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000))?;
//! call.settle(&Usage::tokens(1_000, 500))?;
//!
//! let report = ledger.report(&ReportOptions::by(By::Model))?;
//! assert_eq!(report.rows[0].key.as_deref(), Some("gpt-4o"));
//! assert_eq!(report.totals.spent().to_string(), "0.0075 USD");
//! # Ok::<(), outlay::Error>(())
//! ```

mod attempts;
pub mod attribution;
pub mod audit;
pub mod checkpoint;
pub mod export;
pub mod forecast;
mod forecast_table;
pub mod import;
pub mod kinds;
mod lines;
pub mod live;
pub mod margin;
pub mod meter;
mod names;
pub mod observed;
pub mod page;
pub mod plan;
mod repriced;
pub mod rows;
mod runs;
pub mod since;
pub mod slo;
mod spending;
pub mod standing;
pub mod suggest;
pub mod summary;
pub mod tax;
pub mod text;
pub mod tokenizers;
pub mod trend;
pub mod value;
mod verdicts;
pub mod waste;
mod wasted;
pub mod whatif;
mod whatif_table;

pub use attribution::{Figures, Tokens};
pub use audit::{Audit, Place, Problem};
pub use checkpoint::Checkpoint;
pub use export::{ExportFormat, ExportOptions, Exported};
pub use forecast::{BudgetForecast, Forecast, ForecastRow, UsedUp};
pub use import::{Imported, Source, import};
pub use kinds::{KindRow, KindsReport, RunFigures};
pub use live::{Live, Running};
pub use margin::{MarginOptions, MarginReport, MarginRow};
pub use meter::{MeterReport, MeterRow};
pub use observed::{ObservedReport, ObservedRow};
pub use plan::{Flow, Plan, PlanRow, Policy};
pub use rows::{By, Report, ReportOptions, Row};
pub use since::Since;
pub use slo::{SloReport, SloRow, SloWhat};
pub use standing::{BudgetState, DoubtedCall, LimitState, Standing, TaskState};
pub use suggest::{Share, SuggestedLimit, SuggestedLimits, Suggestions};
pub use summary::{AttemptLine, Loss, Summary};
pub use tax::{RunCost, Tax, TaxReport, TaxRow};
pub use tokenizers::{RatioSource, TokenRatio};
pub use trend::{Backtest, Projection, Trend};
pub use value::{RunWorth, ValueBy, ValueReport, ValueRow, Worth};
pub use verdicts::Judged;
pub use waste::{ContextLoad, Waste, WasteItem, WasteKind, WasteReport};
pub use whatif::{Repriced, WhatIfOptions, WhatIfReport, WhatIfRow};
