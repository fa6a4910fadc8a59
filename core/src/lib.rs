//! Bounds, records and explains what AI agents spend.
#![forbid(unsafe_code)]

mod error;
mod sync;
pub mod value;

pub use error::{Error, ErrorKind, Family, Field, Result};
pub use value::{Clock, Id, ManualClock, Millis, Money, Tags, Usage};
