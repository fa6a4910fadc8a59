//! Doing it: ledgers, tasks and calls as a program holds them.

pub mod call;
pub mod config;
pub mod ledger;
pub(crate) mod model;
pub mod process;
pub mod task;

pub use call::{Call, Outcome, Request, Settled};
pub use config::{Config, OnUnavailable, Unbound, Unmetered};
pub use ledger::{BudgetOptions, Ledger};
pub use task::{Attempt, Task, TaskOptions};
