//! Bounds, records and explains what AI agents spend.
//!
//! Before a call of a model is made, its worst case is held against every budget it falls under;
//! after it, what it used is settled. A call that does not fit is refused before it is sent.
//!
//! ```
//! use outlay::{Ledger, Limit, Request, Usage};
//!
//! let ledger = Ledger::in_memory(); // or Ledger::open("sqlite:ledger.db", ...)
//! let task = ledger.task("refund", [Limit::usd("0.50")?])?;
//!
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000))?;
//! // ... make the call with call.model() and call.max_output_tokens() ...
//! call.settle(&Usage::tokens(1_000, 500))?;
//! assert_eq!(task.balance()?.settled.usd().to_string(), "0.0075 USD");
//! # Ok::<(), outlay::Error>(())
//! ```
//!
//! Data goes one way: [`value`] → [`meter`] → [`policy`] → [`ledger`] → [`run`] → [`report`].
#![forbid(unsafe_code)]

mod error;
pub mod ledger;
pub mod meter;
pub mod policy;
pub mod report;
pub mod run;
mod sync;
pub mod value;

pub use error::{Error, ErrorKind, Family, Field, Result};
pub use policy::{Amounts, Balance, Denial, Limit, Unit, Window};
pub use run::{Attempt, BudgetOptions, Call, Config, Ledger, Outcome, Request, Settled, Task, TaskOptions};
pub use value::{Clock, Id, ManualClock, Millis, Money, Tags, Usage};
