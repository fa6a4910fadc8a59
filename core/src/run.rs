//! Doing it: ledgers, tasks and calls as a program holds them.

pub mod alert;
mod approval;
mod calibration;
pub mod call;
pub mod config;
pub mod cost;
pub mod exchange;
mod halt;
pub mod kinds;
mod last;
pub mod ledger;
mod memo;
pub(crate) mod model;
pub mod options;
mod prefix;
pub mod prices;
pub mod process;
pub mod request;
pub mod route;
mod status;
mod stream;
pub mod task;
mod turn;
mod watch;

pub use approval::{Approvers, OnLimit};
pub use call::{Call, Kept, Outcome, Settled};
pub use config::{Bound, Config, OnUnavailable, StreamUsage, Unbound, Unmetered};
pub use cost::{Rates, Slo};
pub use exchange::{Exchange, Failure, Outgoing, Terms};
pub use ledger::Ledger;
pub use options::{BudgetOptions, TaskOptions};
pub use request::Request;
pub use status::Status;
pub use task::{Attempt, Task};
pub use watch::Watch;
