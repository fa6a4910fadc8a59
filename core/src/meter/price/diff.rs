//! Which prices differ between two books?

use std::collections::{BTreeMap, BTreeSet};

use super::{ModelPrice, PriceBook, ServiceTier};
use crate::value::Millis;

/// One price that is not the same in two books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// The provider's id; empty for a name only the user prices.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The unit, its service tier and its context, as in `cache_read flex >272000`.
    pub unit: String,
    /// What it was, in pico-USD; nothing if it had no price.
    pub before: Option<i64>,
    /// What it is.
    pub after: Option<i64>,
}

impl PriceBook {
    /// Every price of this book that is not the one of `before`, at the time `at`, the user's own
    /// prices and discounts on both sides included.
    ///
    /// ```
    /// use outlay::meter::PriceBook;
    ///
    /// let book = PriceBook::bundled();
    /// let ours = book.with_overrides(r#"{"gpt-4": {"input": 20, "output": 60}}"#)?;
    /// let changes = ours.changes(book, 1_790_000_000_000);
    /// let inputs: Vec<_> = changes.iter().filter(|change| change.unit == "input").collect();
    /// assert_eq!((inputs[0].before, inputs[0].after), (Some(30_000_000), Some(20_000_000)));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn changes(&self, before: &Self, at: Millis) -> Vec<PriceChange> {
        let mut asked = BTreeSet::new();
        for book in [before, self] {
            asked.extend(book.listings().map(|listing| (listing.provider, listing.model)));
            asked.extend(book.own_names().map(|name| ("", name)));
        }
        let mut changes = Vec::new();
        for (provider, model) in asked {
            let price = |book: &Self| {
                let given = Some(provider).filter(|name| !name.is_empty());
                book.find(given, model, at).map(|price| units(&price)).unwrap_or_default()
            };
            let (before, after) = (price(before), price(self));
            let units: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for unit in units {
                let (before, after) = (before.get(unit).copied(), after.get(unit).copied());
                if before != after {
                    let (provider, model) = (provider.to_owned(), model.to_owned());
                    changes.push(PriceChange { provider, model, unit: unit.clone(), before, after });
                }
            }
        }
        changes
    }
}

/// Every price of a model by its unit, service tier and context.
fn units(price: &ModelPrice) -> BTreeMap<String, i64> {
    let mut units = BTreeMap::new();
    for (tier, above, prices) in price.all_prices() {
        let tier = if tier == ServiceTier::Standard { String::new() } else { format!(" {tier}") };
        let context = if above == 0 { String::new() } else { format!(" >{above}") };
        for (unit, pico) in prices.apart() {
            units.insert(format!("{unit}{tier}{context}"), pico);
        }
    }
    let fee = |nanos: i64| nanos.saturating_mul(1_000);
    units.extend(price.web_search_nanos().map(|nanos| ("web_search".to_owned(), fee(nanos))));
    units.extend((price.request_nanos() > 0).then(|| ("request".to_owned(), fee(price.request_nanos()))));
    units
}
