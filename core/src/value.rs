//! What is it? Plain data without I/O: money, usage, ids, times, tags, keys.

pub mod clock;
pub mod id;
pub mod money;
pub mod signing;
pub mod tags;
pub mod usage;

pub use clock::{Clock, ManualClock, Millis};
pub use id::{Id, IdSource};
pub use money::Money;
pub use signing::{PublicKey, SecretKey};
pub use tags::Tags;
pub use usage::Usage;

/// A value of JSON as a person wrote it: of a text what it says.
pub(crate) fn as_written(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
