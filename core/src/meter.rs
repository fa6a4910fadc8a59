//! What did it use, and what does that cost?
//!
//! Everything here is a pure function of what it is handed: no clock, no network, no file. A model's
//! [price](PriceBook::find) turns usage into a [charge](ModelPrice::charge), and a request into its
//! [worst case](ModelPrice::worst).

mod price;
pub mod tokens;

pub use price::{CacheWrite, Charge, Exposure, Media, ModelPrice, PriceBook, UnitPrices, Worst};
