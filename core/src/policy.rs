//! May it go on? Pure functions of (state, request, now); nothing here reads a clock or a store.

pub mod alert;
pub mod breaker;
pub mod budget;
pub mod deadline;
pub(crate) mod doomed;
pub mod limit;
pub mod router;
pub mod scope;

pub use alert::{Threshold, Thresholds};
pub use breaker::{Breaker, Detector, Evidence, Level, Step, StepKind, Verdict};
pub use budget::{Ask, Balance, Denial, Grant, Output, View, decide};
pub use deadline::{Deadline, Deadlines};
pub use limit::{Amounts, Ceiling, Limit, Slot, Unit, Window};
pub use scope::Scope;
