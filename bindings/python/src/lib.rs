//! The Python face of outlay: converts in, calls the core, converts out.

// What PyO3 calls takes `&self` and owned arguments, and returns `Result` where Python may raise.
#![allow(
    clippy::trivially_copy_pass_by_ref,
    clippy::unnecessary_wraps,
    clippy::fn_params_excessive_bools,
    clippy::struct_excessive_bools
)]

mod alert;
mod audit;
mod breaker;
mod call;
mod convert;
mod count;
mod elsewhere;
mod error;
mod exchange;
mod export;
mod forecast;
mod import;
mod kinds;
mod ledger;
mod margin;
mod plan;
mod price;
mod report;
mod suggest;
mod task;
mod tracing;
mod usage;
mod value;
mod waste;

use pyo3::prelude::*;

/// The native part of `outlay`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::alert::{Alert, alerts, on_alert};
    #[pymodule_export]
    use super::audit::{Audit, Problem};
    #[pymodule_export]
    use super::breaker::{Breaker, Verdict};
    #[pymodule_export]
    use super::call::{Call, Settled};
    #[pymodule_export]
    use super::convert::{Limit, Money};
    #[pymodule_export]
    use super::count::{Count, count};
    #[pymodule_export]
    use super::elsewhere::{WhatIfReport, WhatIfRow};
    #[pymodule_export]
    use super::exchange::{Exchange, Outgoing};
    #[pymodule_export]
    use super::export::{Exported, export};
    #[pymodule_export]
    use super::forecast::{BudgetForecast, Forecast, ForecastRow};
    #[pymodule_export]
    use super::import::{Imported, import_logs};
    #[pymodule_export]
    use super::kinds::{KindRow, KindsReport, SloReport, SloRow};
    #[pymodule_export]
    use super::ledger::{
        Ledger, after_fork_in_child, after_fork_in_parent, before_fork, close_all, configure, error_codes,
        ledger, reset_options, run_command, unbound_policy, unmetered_policy, version,
    };
    #[pymodule_export]
    use super::margin::{MarginReport, MarginRow};
    #[pymodule_export]
    use super::plan::{Plan, PlanRow, plan};
    #[pymodule_export]
    use super::price::{Charge, price};
    #[pymodule_export]
    use super::report::{
        AttemptLine, Figures, Loss, MeterReport, MeterRow, ObservedRow, Report, ReportRow, Summary,
    };
    #[pymodule_export]
    use super::suggest::{SuggestedLimits, Suggestions};
    #[pymodule_export]
    use super::task::Task;
    #[pymodule_export]
    use super::tracing::genai_names;
    #[pymodule_export]
    use super::usage::{Usage, extract_usage};
    #[pymodule_export]
    use super::value::{ValueReport, Worth};
    #[pymodule_export]
    use super::waste::{TaxReport, TaxRow, Waste, WasteItem, WasteReport};
}
