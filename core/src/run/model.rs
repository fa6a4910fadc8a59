//! What is known of a model in one ledger: its price, and the dictionary ids of its names.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::config::Config;
use crate::{
    error::{Error, Result},
    ledger::commit::Names,
    meter::{Extracted, ModelPrice, ServiceTier, UnitPrices},
    sync::{Arc, Mutex, lock},
    value::{Millis, Money, Usage, tags::checked_text},
};

const MODELS_MAX: usize = 1_000;
/// Reasoning models need more room by default, as they think before they answer.
const REASONING_DEFAULT: u64 = 4;
const REASONING_MIN: u64 = 16;
const MINUTE: Millis = 60_000;

/// Stands for the unit prices of a charge the provider told.
const TOLD_PRICE: &str = "told by the provider";
/// Follows the edition in the unit prices of a call bound to a region.
const IN_REGION: &str = "regional";

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub provider: Option<&'a str>,
    pub model: &'a str,
    pub tier: ServiceTier,
    pub is_regional: bool,
}

impl<'a> Asked<'a> {
    /// A model by its name alone, served as usual.
    pub fn plain(model: &'a str) -> Self {
        Self { provider: None, model, tier: ServiceTier::Standard, is_regional: false }
    }

    /// A model as it was asked for by a call whose unit prices the ledger keeps under this name.
    pub fn again(provider: Option<&'a str>, model: &'a str, price: &str) -> Self {
        let head = price.split_once(": ").map_or(price, |(head, _)| head).trim_end_matches(':');
        let words = || head.rsplit(' ').take(2);
        let tier = words().find_map(ServiceTier::read).unwrap_or_default();
        Self { provider, model, tier, is_regional: words().any(|word| word == IN_REGION) }
    }
}

/// A model as asked for.
#[derive(Debug)]
pub(crate) struct Model {
    pub asked: Arc<str>,
    pub tier: ServiceTier,
    is_regional: bool,
    /// Its price, or why there is none.
    price: Result<Arc<ModelPrice>>,
    /// The output tokens of a request that sets no maximum.
    pub default_output: u64,
    /// Fewer output tokens are not worth a call.
    pub least_output: u64,
    names: OnceLock<[u32; 3]>,
    /// Prices may change with the date and the hour.
    minute: Millis,
}

impl Model {
    fn new(config: &Config, asked: Asked<'_>, now: Millis) -> Self {
        let mut price = config.prices.find(asked.provider, asked.model, now);
        if asked.is_regional {
            price = price.and_then(|price| price.in_region().map(Arc::new));
        }
        let reasons = price.as_ref().is_ok_and(|price| price.reasoning);
        let times = |tokens: u64, times| if reasons { tokens.saturating_mul(times) } else { tokens };
        Self {
            asked: asked.model.into(),
            tier: asked.tier,
            is_regional: asked.is_regional,
            price,
            default_output: times(config.default_max_output_tokens, REASONING_DEFAULT),
            least_output: times(config.min_output_tokens, REASONING_MIN),
            names: OnceLock::new(),
            minute: now.div_euclid(MINUTE),
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
            Ok(price) => {
                let text = price_text(price, (self.tier, self.is_regional), price.first_prices(self.tier));
                (Arc::clone(&price.provider), text)
            }
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
    /// What the provider says it charges is the truth.
    pub fn charge(
        &self,
        usage: &Usage,
        told: Option<&Extracted>,
        tier: ServiceTier,
    ) -> Result<(Money, Option<Arc<str>>)> {
        if let Some(cost) = told.and_then(|told| told.cost) {
            return Ok((cost, Some(TOLD_PRICE.into())));
        }
        let own = self.price()?;
        let is_regional = self.is_regional || told.is_some_and(|told| told.region.is_some());
        let bound;
        let price = if is_regional && !self.is_regional {
            bound = own.in_region()?;
            &bound
        } else {
            own
        };
        let (amount, prices) = price.amount_served(usage, tier)?;
        let reserved = own.first_prices(self.tier);
        let same = tier == self.tier && (std::ptr::eq(prices, reserved) || prices == reserved);
        Ok((amount, (!same).then(|| price_text(price, (tier, is_regional), prices))))
    }

    /// The tier it was served in, when the response said `word`.
    pub fn tier_told(&self, word: Option<&str>) -> ServiceTier {
        let of_capacity = self.price.as_ref().is_ok_and(|price| &*price.provider == "anthropic");
        self.tier.told(of_capacity, word)
    }
}

/// Unit prices as the dictionary keeps them: pico-USD per token and apiece, with the edition. What is
/// not written costs what it is part of.
fn price_text(price: &ModelPrice, served: (ServiceTier, bool), prices: &UnitPrices) -> Arc<str> {
    let (tier, is_regional) = served;
    let mut head = format!("{} {}", price.model, price.version);
    for (word, is_told) in [(tier.code(), tier != ServiceTier::Standard), (IN_REGION, is_regional)] {
        if is_told {
            head = format!("{head} {word}");
        }
    }
    let mut words = vec![format!("{head}:")];
    words.extend(prices.apart().map(|(unit, pico)| format!("{unit}={pico}")));
    let request = Some(price.request_nanos()).filter(|fee| *fee > 0);
    for (unit, fee) in [("request", request), ("web_search", price.web_search_nanos())] {
        words.extend(fee.map(|nanos| format!("{unit}={}", i128::from(nanos) * 1_000)));
    }
    words.join(" ").into()
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
        asked: Asked<'_>,
        now: Millis,
    ) -> Result<Arc<Model>> {
        let Asked { provider, model: name, tier, is_regional } = asked;
        let mut models = lock(&self.0);
        let whole;
        let key = match (provider, tier, is_regional) {
            (None, ServiceTier::Standard, false) => name,
            _ => {
                whole = format!("{}\0{tier}\0{is_regional}\0{name}", provider.unwrap_or_default());
                whole.as_str()
            }
        };
        let minute = now.div_euclid(MINUTE);
        if let Some(model) = models.get(key).filter(|model| model.minute == minute) {
            return Ok(Arc::clone(model));
        }
        checked_text("model", name)?;
        if models.len() >= MODELS_MAX {
            models.clear();
        }
        let model = Arc::new(Model::new(&config(), asked, now));
        models.insert(key.into(), Arc::clone(&model));
        Ok(model)
    }

    /// Forgets all of them: prices or names have changed.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}
