//! What is known of a model in one ledger: its price, and the dictionary ids of its names.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::config::Config;
use crate::{
    error::{Error, Result},
    ledger::commit::Names,
    meter::{Charge, ModelPrice, UnitPrices},
    sync::{Arc, Mutex, lock},
    value::{Millis, Usage, tags::checked_text},
};

const MODELS_MAX: usize = 1_000;
/// Reasoning models need more room by default, as they think before they answer.
const REASONING_DEFAULT: u64 = 4;
const REASONING_MIN: u64 = 16;
const DAY: Millis = 24 * 3_600_000;

/// A model as asked for.
#[derive(Debug)]
pub(crate) struct Model {
    pub asked: Arc<str>,
    /// Its price, or why there is none.
    price: Result<Arc<ModelPrice>>,
    /// The output tokens of a request that sets no maximum.
    pub default_output: u64,
    /// Fewer output tokens are not worth a call.
    pub least_output: u64,
    names: OnceLock<[u32; 3]>,
    /// Prices may change at midnight, UTC.
    day: Millis,
}

impl Model {
    fn new(config: &Config, provider: Option<&str>, asked: &str, now: Millis) -> Self {
        let price = config.prices.find(provider, asked, now);
        let reasons = price.as_ref().is_ok_and(|price| price.reasoning);
        let times = |tokens: u64, times| if reasons { tokens.saturating_mul(times) } else { tokens };
        Self {
            asked: asked.into(),
            price,
            default_output: times(config.default_max_output_tokens, REASONING_DEFAULT),
            least_output: times(config.min_output_tokens, REASONING_MIN),
            names: OnceLock::new(),
            day: now.div_euclid(DAY),
        }
    }

    pub fn price(&self) -> Result<&Arc<ModelPrice>> {
        self.price.as_ref().map_err(Error::clone)
    }

    /// Provider, model and unit prices.
    pub fn names(&self) -> Names {
        if let Some(known) = self.names.get() {
            return Names::Known(*known);
        }
        let (provider, price) = match &self.price {
            Ok(price) => (Arc::clone(&price.provider), price_text(price, price.prices(0))),
            Err(_) => (Arc::from(""), Arc::from("")),
        };
        let model = Arc::clone(&self.asked);
        Names::New(Box::new([("provider", provider), ("model", model), ("price", price)]))
    }

    /// Keeps the dictionary ids a commit gave to the names.
    pub fn remember(&self, names: [u32; 3]) {
        let _ = self.names.set(names);
    }

    /// What a usage costs, and the name of its unit prices where they are not those of the reserve.
    pub fn charge(&self, usage: &Usage) -> Result<(Charge, Option<Arc<str>>)> {
        let price = self.price()?;
        let charge = price.charge(usage)?;
        let other = charge.prices != *price.prices(0);
        Ok((charge, other.then(|| price_text(price, &charge.prices))))
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
    /// The model as it stands at `now`, by the options in force.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a name that cannot be.
    pub fn get(
        &self,
        config: impl FnOnce() -> Arc<Config>,
        provider: Option<&str>,
        asked: &str,
        now: Millis,
    ) -> Result<Arc<Model>> {
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
            return Ok(Arc::clone(model));
        }
        checked_text("model", asked)?;
        if models.len() >= MODELS_MAX {
            models.clear();
        }
        let model = Arc::new(Model::new(&config(), provider, asked, now));
        models.insert(key.into(), Arc::clone(&model));
        Ok(model)
    }

    /// Forgets all of them: prices or names have changed.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}
