//! Where is it? The append-only record, the balances folded from it, and where both are kept.
//!
//! Money changes in one place: an *act* (in `commit`) reads rows, judges them by `policy`, and
//! writes entries and balance rows in one transaction of a store. The stores know rows, not rules.

pub mod alert;
pub mod approval;
mod at_once;
pub mod chain;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod deadline;
pub mod entry;
pub mod halt;
pub(crate) mod held;
pub(crate) mod history;
pub(crate) mod journal;
pub(crate) mod last;
pub(crate) mod lesson;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod sqlite;
pub(crate) mod store;
pub(crate) mod verdict;

pub use alert::Alert;
pub use approval::Approval;
pub use at_once::at_once;
pub(crate) use at_once::gave_up;
pub use entry::{Entry, Kind, flag};
pub use halt::Halt;
