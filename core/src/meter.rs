//! What did it use, and what does that cost?
//!
//! Everything here is a pure function of what it is handed: no clock, no network, no file. A
//! [`Request`] is read into an upper bound of what it can use, a response ([`usage`], [`StreamReader`])
//! into what it did use; a model's [price](PriceBook::find) turns either into money.

mod api;
mod count;
mod extract;
mod genai;
mod json;
mod price;
pub mod ratios;
mod request;
#[cfg(test)]
#[path = "../tests/fixture/samples.rs"]
mod samples;
mod script;
mod stream;
pub mod tokens;

pub use api::{Api, is_regional};
pub use count::Counted;
pub use extract::{Extracted, usage};
pub use genai::genai_provider;
pub use price::{
    Abilities, Ability, CacheWrite, Charge, ChargeLine, Exposure, Listing, Media, ModelPrice, PriceBook,
    PriceChange, Rule, ServiceTier, UnitPrices, Worst,
};
pub(crate) use price::{UNKNOWN_PRIOR_PER_MILLE, charge_lines};
pub use ratios::{Learned, LearnedWhole, Ratios};
pub(crate) use request::newest;
pub use request::{Facts, InputBound, Message, Method, Piece, Request};
pub use script::Script;
pub use stream::{Delta, Lane, StreamReader, usage_of_events, usage_of_text};
