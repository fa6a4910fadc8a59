//! What is known of a model in one ledger: its price, and the dictionary ids of its names.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use rustc_hash::FxHashMap;

use crate::{
    error::{Error, Result},
    ledger::commit::Name,
    meter::{Charge, ModelPrice, PriceBook, UnitPrices},
    sync::{Arc, Mutex, lock},
    value::{Millis, Usage},
};

const MODELS_MAX: usize = 1_000;
const DAY: Millis = 24 * 3_600_000;

/// A model as asked for.
#[derive(Debug)]
pub(crate) struct Model {
    pub asked: Arc<str>,
    /// Its price, or why there is none.
    price: Result<Arc<ModelPrice>>,
    numbers: [AtomicU32; 3],
    base: OnceLock<(UnitPrices, Arc<str>)>,
    /// Prices may change at midnight, UTC.
    day: Millis,
}

impl Model {
    pub fn price(&self) -> Result<&Arc<ModelPrice>> {
        self.price.as_ref().map_err(Error::clone)
    }

    /// Provider, model and unit prices, for the dictionary.
    pub fn names(&self) -> [Name; 3] {
        let (provider, price) = match &self.price {
            Ok(price) => (Arc::clone(&price.provider), self.base_price(price)),
            Err(_) => (Arc::from(""), Arc::from("")),
        };
        let texts = [("provider", provider), ("model", Arc::clone(&self.asked)), ("price", price)];
        let mut numbers = self.numbers.iter();
        texts.map(|(key, value)| {
            let no = numbers.next().map_or(0, |no| no.load(Ordering::Relaxed));
            Name { key, value, no }
        })
    }

    /// Keeps the dictionary ids a commit gave to the names.
    pub fn remember(&self, numbers: [u32; 3]) {
        for (kept, no) in self.numbers.iter().zip(numbers) {
            kept.store(no, Ordering::Relaxed);
        }
    }

    /// What a usage costs, and the name of its unit prices where they are not those of the reserve.
    pub fn charge(&self, usage: &Usage) -> Result<(Charge, Option<Arc<str>>)> {
        let price = self.price()?;
        let charge = price.charge(usage)?;
        let base = self.base_price(price);
        let is_base = self.base.get().is_some_and(|(prices, _)| *prices == charge.prices);
        let text = if is_base { None } else { Some(price_text(price, &charge.prices)) };
        debug_assert!(!base.is_empty());
        Ok((charge, text))
    }

    fn base_price(&self, price: &ModelPrice) -> Arc<str> {
        let (_, text) = self.base.get_or_init(|| {
            let prices = *price.prices(0);
            (prices, price_text(price, &prices))
        });
        Arc::clone(text)
    }
}

/// Unit prices as the dictionary keeps them: pico-USD per token, with the edition.
fn price_text(price: &ModelPrice, prices: &UnitPrices) -> Arc<str> {
    let p = prices;
    format!(
        "{} {}: input={} cache_read={} cache_write={} cache_write_1h={} output={}",
        price.model, price.version, p.input, p.cache_read, p.cache_write, p.cache_write_1h, p.output
    )
    .into()
}

/// The models a ledger has met.
#[derive(Debug, Default)]
pub(crate) struct Models(Mutex<FxHashMap<Box<str>, Arc<Model>>>);

impl Models {
    pub fn get(&self, prices: &PriceBook, provider: Option<&str>, asked: &str, now: Millis) -> Arc<Model> {
        let mut models = lock(&self.0);
        let both;
        let key = match provider {
            None => asked,
            Some(provider) => {
                both = format!("{provider}\0{asked}");
                both.as_str()
            }
        };
        let day = now.div_euclid(DAY);
        if let Some(model) = models.get(key).filter(|model| model.day == day) {
            return Arc::clone(model);
        }
        if models.len() >= MODELS_MAX {
            models.clear();
        }
        let price = prices.find(provider, asked, now);
        let model =
            Model { asked: asked.into(), price, numbers: Default::default(), base: OnceLock::new(), day };
        let model = Arc::new(model);
        models.insert(key.into(), Arc::clone(&model));
        model
    }

    /// Forgets all of them: prices or names have changed.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}
