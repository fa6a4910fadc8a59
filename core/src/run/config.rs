//! What did the user choose for the whole process?
//!
//! Options come from an explicit call or from a TOML file at `$OUTLAY_CONFIG` or in the user's
//! configuration folder; never from the working directory, which an agent may write to.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::{
    approval::Approvers,
    cost::{Rates, Slo, SloChoice, slos},
    kinds::{self, KindChoice, Kinds},
    prices,
    route::{Route, RouteChoice},
};
use crate::{
    error::{Error, Result},
    ledger::sqlite::Durability,
    meter::PriceBook,
    policy::Thresholds,
    sync::Arc,
};

/// What happens to a call under no task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unbound {
    /// It is charged to the owner's default task, and a warning says so once.
    #[default]
    Warn,
    /// It is refused.
    Refuse,
}

/// What happens to a billed method that cannot be metered, under a hard limit on money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmetered {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes through unrecorded.
    Allow,
}

/// How the input of a request is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// By its count, as good as the model's tokenizer is known.
    #[default]
    Counted,
    /// By its bytes: dearer holds that are never passed.
    Strict,
}

/// Whether a streamed chat completion is told to end with its usage, which OpenAI tells on demand only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// It is, by `stream_options`.
    #[default]
    Ask,
    /// It is sent as it is, for servers that refuse `stream_options`. A stream without usage is
    /// settled at the upper count of its text, marked as estimated.
    Leave,
}

/// What happens when the ledger cannot answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// The call is refused.
    #[default]
    Refuse,
    /// The call goes through unrecorded; see [`unrecorded_calls`](super::Ledger::unrecorded_calls).
    Allow,
}

/// The options of a process. The defaults are the safe ones.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ledger of tasks that name none: `memory:`, `memory:NAME` or `sqlite:PATH`.
    pub store: Option<String>,
    /// When a commit of a ledger opened from now on is safe.
    pub durability: Durability,
    /// What happens to calls under no task.
    pub unbound: Unbound,
    /// What happens to billed methods that cannot be metered.
    pub unmetered: Unmetered,
    /// What happens when the ledger cannot answer.
    pub on_unavailable: OnUnavailable,
    /// How the input of requests is bounded.
    pub bound: Bound,
    /// Whether streams are told to end with their usage.
    pub stream_usage: StreamUsage,
    /// The prices, the user's own over the bundled ones.
    pub prices: PriceBook,
    /// Whose signature a grant needs; with nobody named, none.
    pub approvers: Approvers,
    /// The most output tokens of a request that sets none; reasoning models have four times that.
    pub default_max_output_tokens: u64,
    /// Fewer output tokens are not worth a call; reasoning models need sixteen times that.
    pub min_output_tokens: u64,
    /// Which models may take the calls of which, in tasks that name none themselves.
    pub routes: Arc<[Route]>,
    /// At which parts of their limits new budgets that say nothing of it record alerts.
    pub alerts: Thresholds,
    /// What tasks of a kind take that their callers give nothing of.
    pub kinds: Arc<Kinds>,
    /// What runs may cost, by their kind; for reports alone.
    pub slos: BTreeMap<String, Slo>,
    /// What runs cost beside models; for reports alone.
    pub rates: Rates,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: None,
            durability: Durability::default(),
            unbound: Unbound::default(),
            unmetered: Unmetered::default(),
            on_unavailable: OnUnavailable::default(),
            bound: Bound::default(),
            stream_usage: StreamUsage::default(),
            prices: PriceBook::bundled().clone(),
            approvers: Approvers::default(),
            default_max_output_tokens: 4_096,
            alerts: Thresholds::usual(),
            min_output_tokens: 256,
            routes: Arc::new([]),
            kinds: Arc::default(),
            slos: BTreeMap::new(),
            rates: Rates::default(),
        }
    }
}

/// The options as a file or a caller writes them; what is absent stays as it was.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// See [`Config::store`].
    pub store: Option<String>,
    /// `os` or `disk`.
    pub durability: Option<String>,
    /// See [`Config::unbound`].
    pub unbound: Option<Unbound>,
    /// See [`Config::unmetered`].
    pub unmetered: Option<Unmetered>,
    /// See [`Config::on_unavailable`].
    pub on_unavailable: Option<OnUnavailable>,
    /// See [`Config::bound`].
    pub bound: Option<Bound>,
    /// See [`Config::stream_usage`].
    pub stream_usage: Option<StreamUsage>,
    /// Prices by model, in USD per million tokens; see [`PriceBook::with_overrides`].
    pub prices: Option<serde_json::Value>,
    /// Public Ed25519 keys by the name of their owner; see [`Approvers::parse`].
    pub approvers: Option<BTreeMap<String, String>>,
    /// See [`Config::default_max_output_tokens`].
    pub default_max_output_tokens: Option<u64>,
    /// See [`Config::min_output_tokens`].
    pub min_output_tokens: Option<u64>,
    /// See [`Config::routes`]; the first rule about a model holds.
    pub routes: Option<Vec<RouteChoice>>,
    /// See [`Config::alerts`]; shares as numbers or as [`Threshold`](crate::policy::Threshold) reads them.
    pub alerts: Option<Vec<serde_json::Value>>,
    /// See [`Config::kinds`]; all of them, in place of those there were.
    pub kinds: Option<BTreeMap<String, KindChoice>>,
    /// See [`Config::slos`]: by kind.
    pub slo: Option<BTreeMap<String, SloChoice>>,
    /// See [`Rates::compute_usd_per_hour`].
    pub compute_usd_per_hour: Option<serde_json::Value>,
    /// See [`Rates::orchestration_usd_per_entry`].
    pub orchestration_usd_per_entry: Option<serde_json::Value>,
}

impl Config {
    /// The options of the user's file, or the defaults where there is none, over the user's own price
    /// book ([`prices`]) if there is one.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a file cannot be read or says what cannot be.
    pub fn load() -> Result<Self> {
        let named = std::env::var_os("OUTLAY_CONFIG").map(PathBuf::from);
        let own = Self { prices: prices::installed()?, ..Self::default() };
        let path = match &named {
            Some(path) => path.clone(),
            None => match dirs::config_dir() {
                Some(folder) => folder.join("outlay").join("outlay.toml"),
                None => return Ok(own),
            },
        };
        if named.is_none() && !path.exists() {
            return Ok(own);
        }
        let wrong = |why: String| Error::invalid(format!("configuration `{}`: {why}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let choices = Choices::from_toml(&text).map_err(|error| wrong(error.to_string()))?;
        own.with(&choices).map_err(|error| wrong(error.to_string()))
    }

    /// The same options but for those chosen.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a price, a durability, a key or a count that cannot be.
    ///
    /// ```
    /// use outlay::run::config::{Choices, Config};
    ///
    /// let choices = Choices::from_json(r#"{"prices": {"house-7b": {"input": "0", "output": "0"}}}"#)?;
    /// let config = Config::default().with(&choices)?;
    /// assert!(config.prices.find(None, "house-7b", 0).is_ok());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn with(mut self, choices: &Choices) -> Result<Self> {
        self.store = choices.store.clone().or(self.store);
        self.durability = match choices.durability.as_deref() {
            None => self.durability,
            Some("os") => Durability::Os,
            Some("disk") => Durability::Disk,
            Some(other) => return Err(Error::invalid(format!("durability `{other}` is not `os` or `disk`"))),
        };
        self.unbound = choices.unbound.unwrap_or(self.unbound);
        self.unmetered = choices.unmetered.unwrap_or(self.unmetered);
        self.on_unavailable = choices.on_unavailable.unwrap_or(self.on_unavailable);
        self.bound = choices.bound.unwrap_or(self.bound);
        self.stream_usage = choices.stream_usage.unwrap_or(self.stream_usage);
        if let Some(prices) = &choices.prices {
            self.prices = self.prices.with_overrides(&prices.to_string())?;
        }
        if let Some(keys) = &choices.approvers {
            self.approvers = Approvers::parse(keys)?;
        }
        self.default_max_output_tokens =
            choices.default_max_output_tokens.unwrap_or(self.default_max_output_tokens);
        self.min_output_tokens = choices.min_output_tokens.unwrap_or(self.min_output_tokens);
        if self.default_max_output_tokens == 0 || self.min_output_tokens == 0 {
            return Err(Error::invalid("output token counts in the configuration must be positive"));
        }
        if let Some(routes) = &choices.routes {
            self.routes = routes.iter().map(Route::read).collect::<Result<_>>()?;
        }
        if let Some(alerts) = &choices.alerts {
            self.alerts = kinds::thresholds(alerts)?;
        }
        if let Some(choices) = &choices.kinds {
            self.kinds = Arc::new(kinds::read(choices)?);
        }
        if let Some(choices) = &choices.slo {
            self.slos = slos(choices)?;
        }
        let (hour, entry) = (&choices.compute_usd_per_hour, &choices.orchestration_usd_per_entry);
        self.rates = self.rates.with(hour.as_ref(), entry.as_ref())?;
        Ok(self)
    }
}

impl Choices {
    /// Reads TOML; prices may be numbers or texts, and are read by their decimal form.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no TOML, or an unknown option.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let place = before.map(|before| format!("line {}: ", before.matches('\n').count() + 1));
            Error::invalid(format!("{}{}", place.unwrap_or_default(), error.message()))
        })
    }

    /// Reads JSON.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no JSON, or an unknown option.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("options: {error}")))
    }
}
