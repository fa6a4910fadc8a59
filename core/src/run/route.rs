//! Does a call go to a cheaper model?
//!
//! Where a task or the configuration names cheaper models, a call goes to the first that can take it
//! once money gets short: when the call would pass a soft limit, or not fit under a hard one. From
//! then on the attempt stays with that model, as every change loses what the provider's cache holds.

use regex_lite::Regex;
use serde::Deserialize;

use super::{config::Config, ledger::Ledger, request::Request, task::Task};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::{commit::Facts, flag, held},
    meter::{Abilities, Ability},
    policy::{
        Ask, View,
        budget::observe,
        router::{Candidate, Unfit, judge},
    },
    sync::{Arc, Mutex, lock},
    value::{Millis, Tags, tags::checked_text},
};

/// The most models a list can name, and the most a task keeps the replacements of.
const MODELS_MAX: usize = 32;
/// The longest pattern of a rule.
const PATTERN_MAX: usize = 1_000;

/// Models named in advance, the one to be tried first at the front.
pub type Models = Arc<[Box<str>]>;

/// Reads a list of models to fall back to.
///
/// # Errors
///
/// `InvalidInput`: more than 32, or a name that cannot be.
pub fn models<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Models> {
    let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
    if names.len() > MODELS_MAX {
        return Err(Error::invalid(format!(
            "`{}` models to fall back to; at most {MODELS_MAX}",
            names.len()
        )));
    }
    names.iter().try_for_each(|name| checked_text("model", name))?;
    Ok(names.into())
}

/// When a rule holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once money gets short.
    #[default]
    Short,
    /// From the first call.
    Always,
}

/// A rule as a file or a caller writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteChoice {
    /// Which models it is about: a regular expression, found anywhere in the name unless anchored.
    pub model: String,
    /// Only tasks of this kind; all where it is absent.
    pub kind: Option<String>,
    /// The models to try, the first that can take the call is taken.
    pub fallback: Vec<String>,
    /// When; once money gets short where it is absent.
    #[serde(default)]
    pub when: When,
}

/// A rule of the configuration: which models may take the calls of which.
#[derive(Clone, Debug)]
pub struct Route {
    model: Regex,
    kind: Option<String>,
    /// The models to try.
    pub fallback: Models,
    /// When.
    pub when: When,
}

impl Route {
    pub(super) fn read(choice: &RouteChoice) -> Result<Self> {
        let wrong = |why: String| Error::invalid(format!("route `{}`: {why}", choice.model));
        if choice.model.len() > PATTERN_MAX {
            return Err(wrong(format!("the pattern is longer than {PATTERN_MAX} bytes")));
        }
        Ok(Self {
            model: Regex::new(&choice.model).map_err(|error| wrong(error.to_string()))?,
            kind: choice.kind.clone(),
            fallback: models(choice.fallback.iter().map(String::as_str))?,
            when: choice.when,
        })
    }

    /// Is it about this model, asked for in a task of this kind?
    pub fn is_about(&self, model: &str, kind: Option<&str>) -> bool {
        self.kind.as_deref().is_none_or(|own| Some(own) == kind) && self.model.is_match(model)
    }
}

/// Which models may take the calls of a task.
#[derive(Clone, Debug)]
pub(super) enum Fallback {
    /// These, whatever model is asked for.
    Own(Models),
    /// Those of the first rule about it.
    Configured(Arc<[Route]>),
}

impl Fallback {
    /// A task's own, those of the task above, or the configured ones; nothing where a list is empty.
    pub fn inherited(own: Option<Models>, above: Option<&Task>, rules: &Arc<[Route]>) -> Option<Self> {
        match (own, above) {
            (Some(models), _) => (!models.is_empty()).then_some(Self::Own(models)),
            (None, Some(above)) => above.fallback().cloned(),
            (None, None) => (!rules.is_empty()).then(|| Self::Configured(Arc::clone(rules))),
        }
    }

    fn of(&self, model: &str, tags: &Tags) -> Option<(Models, When)> {
        match self {
            Self::Own(models) => Some((Arc::clone(models), When::Short)),
            Self::Configured(routes) => configured(routes, model, tags.get("kind")),
        }
    }
}

/// Which models an attempt has replaced, and by what.
#[derive(Debug, Default)]
pub(super) struct Replaced(Mutex<Vec<(Box<str>, Box<str>)>>);

impl Replaced {
    fn get(&self, asked: &str) -> Option<Box<str>> {
        lock(&self.0).iter().find(|(model, _)| **model == *asked).map(|(_, other)| other.clone())
    }

    fn keep(&self, asked: &str, other: &str) {
        let mut kept = lock(&self.0);
        if kept.len() < MODELS_MAX && !kept.iter().any(|(model, _)| **model == *asked) {
            kept.push((asked.into(), other.into()));
        }
    }
}

/// A request whose model can be another one.
pub(super) trait Routable: Sized {
    /// What it asks for.
    fn request(&self) -> &Request;
    /// The same asked of another model.
    fn asking(&self, model: &str) -> Result<Self>;
    /// Can no other model go on with its conversation now?
    fn is_open(&self) -> bool;
    /// What a model must be able to take to answer it.
    fn needs(&self) -> Abilities;
    /// The same of a model that has answered before.
    fn needs_to_go_on(&self) -> Abilities {
        self.needs()
    }
    /// How much of its input the provider may have in its cache, in tokens.
    fn cached_tokens(&self) -> u64;
}

/// Of what is asked without a body only the figures are known.
impl Routable for Request {
    fn request(&self) -> &Request {
        self
    }

    fn asking(&self, model: &str) -> Result<Self> {
        let facts = Facts { flags: self.facts.flags | flag::ROUTED, ..self.facts };
        Ok(Self { model: model.to_owned(), facts, ..self.clone() })
    }

    fn is_open(&self) -> bool {
        false
    }

    fn needs(&self) -> Abilities {
        let media = self.exposure.input_media;
        let told = [(media.image, Ability::Images), (media.audio, Ability::Audio)];
        told.into_iter().filter_map(|(holds, ability)| holds.then_some(ability)).collect()
    }

    fn cached_tokens(&self) -> u64 {
        0
    }
}

impl Task {
    /// The request as it is to be sent: of a cheaper model, or as it was asked.
    ///
    /// Not a word is said where no model can take it: the request then gets the answer it would have
    /// got anyway.
    pub(super) fn routed<T: Routable>(&self, ledger: &Ledger, asked: T, now: Millis) -> Result<T> {
        let name = asked.request().model.clone();
        let Some((models, when)) = self.fallback().and_then(|fallback| fallback.of(&name, self.tags()))
        else {
            return Ok(asked);
        };
        let Ok((own, ask)) = candidate(self, ledger, &asked, asked.cached_tokens(), now) else {
            return Ok(asked);
        };
        let before = self.replaced().get(&name);
        let stays = before.is_some();
        let is_due = stays || when == When::Always || self.is_short(ledger, ask)?;
        if !is_due || !stays && asked.is_open() {
            return Ok(asked);
        }
        let needs = if stays { asked.needs_to_go_on() } else { asked.needs() };
        let tried = before.iter().chain(models.iter().filter(|_| !stays)).filter(|model| ***model != *name);
        for model in tried {
            // A model nobody knows the price of takes no call; nor does one the request is none for.
            let Ok(other) = asked.asking(model) else { continue };
            let Ok((candidate, _)) = candidate(self, ledger, &other, 0, now) else { continue };
            let unfit = judge(&own, &candidate, needs);
            if unfit.is_none() || stays && unfit == Some(Unfit::Cost) {
                self.replaced().keep(&name, model);
                return Ok(other);
            }
        }
        Ok(asked)
    }

    /// Would this pass a soft limit, or not fit under a hard one whatever the calls in flight give back?
    fn is_short(&self, ledger: &Ledger, ask: Ask) -> Result<bool> {
        let no = self.no();
        ledger.act(move |tx| {
            let now = tx.now()?;
            let balances = held::balances(tx, no)?;
            // A cheaper model makes nobody less late.
            let views =
                balances.iter().map(|(account, balance)| View { deadline: None, ..account.view(*balance) });
            let views: Vec<_> = views.collect();
            let (grant, denied) = observe(&views, &ask, now);
            Ok(grant.over_soft || denied.is_some_and(|denial| !denial.contended))
        })
    }
}

/// The models that the first rule about this one names, and when it holds.
pub fn configured(routes: &[Route], model: &str, kind: Option<&str>) -> Option<(Models, When)> {
    let rule = routes.iter().find(|rule| rule.is_about(model, kind))?;
    Some((Arc::clone(&rule.fallback), rule.when))
}

/// A model as it would take a call, and why it cannot, if so; or why nothing is known of it.
pub type Judged = Result<(Candidate, Option<Unfit>)>;

/// What would be said of the models that may take a call.
#[derive(Debug)]
pub struct Explained {
    /// The model asked for.
    pub asked: Candidate,
    /// When the others are looked at.
    pub when: When,
    /// The others in their order, each with why it cannot take the call, if so.
    pub others: Vec<(Box<str>, Judged)>,
}

impl Explained {
    /// Which of the others takes the call.
    pub fn taken(&self) -> Option<usize> {
        self.others.iter().position(|(_, found)| matches!(found, Ok((_, None))))
    }
}

/// Which model would take a call of a task of this `kind` when money gets short; asks no ledger.
///
/// `needs` is what its request asks a model to take, beside media that the request shows. `own` are the
/// models the task names itself; without, the rules of `config` hold.
///
/// # Errors
///
/// `Unpriced`, `InvalidInput`: of the model asked for. `NotFound`: no rule is about it.
///
/// ```
/// use std::sync::Arc;
///
/// use outlay::{Config, Request, meter::{Abilities, Ability}, run::route};
///
/// let request = Request::model("gpt-4o").input_tokens(4_000).max_output_tokens(4_000);
/// let own = route::models(["claude-haiku-4-5", "gpt-4o-mini"])?;
/// let needs = Abilities::PLAIN.and(Ability::Tools);
/// let explained = route::explain(&Arc::new(Config::default()), &request, needs, None, Some(own))?;
/// assert_eq!(explained.taken(), Some(1));
/// # Ok::<(), outlay::Error>(())
/// ```
pub fn explain(
    config: &Arc<Config>,
    request: &Request,
    needs: Abilities,
    kind: Option<&str>,
    own: Option<Models>,
) -> Result<Explained> {
    let name = &*request.model;
    let found = own.map(|models| (models, When::Short)).or_else(|| configured(&config.routes, name, kind));
    let (models, when) = found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("no rule of the configuration is about model `{name}`"))
    })?;
    let ledger = Ledger::in_memory();
    ledger.set_config(Arc::clone(config));
    let (task, now) = (ledger.default_task()?, ledger.now());
    let (asked, _) = candidate(&task, &ledger, request, 0, now)?;
    let needs = needs.with(request.needs());
    let others = models.iter().map(|model| {
        let other = request.asking(model).and_then(|other| candidate(&task, &ledger, &other, 0, now));
        let judged = other.map(|(other, _)| {
            let unfit = judge(&asked, &other, needs);
            (other, unfit)
        });
        (model.clone(), judged)
    });
    let others = others.collect();
    Ok(Explained { asked, when, others })
}

/// What a call would be with its model, `cached` tokens of which the provider has in its cache.
fn candidate<T: Routable>(
    task: &Task,
    ledger: &Ledger,
    call: &T,
    cached: u64,
    now: Millis,
) -> Result<(Candidate, Ask)> {
    let request = call.request();
    let (ask, _, model) = request.worst(task, ledger, now)?;
    let price = model.price()?;
    let output_tokens = ask.output.most();
    let output = i128::from(output_tokens) * i128::from(ask.choices) * i128::from(ask.output_pico);
    let cached = i128::from(cached.min(ask.input_tokens));
    let prices = price.prices(ask.input_tokens);
    // As dear as its input is reserved: where caches are written unasked, by the price of that.
    let each = price.worst(&request.exposure)?.input_pico / i128::from(ask.input_tokens.max(1));
    let saved = cached * (each - i128::from(prices.cache_read)).max(0);
    let sees = price.image_tokens.is_some();
    let abilities = if sees { price.abilities } else { price.abilities.without(Ability::Images) };
    let candidate = Candidate {
        model: request.model.as_str().into(),
        provider: price.provider.as_ref().into(),
        reasoning: price.reasoning,
        context_window: price.context_window,
        max_output_tokens: price.max_output_tokens,
        abilities,
        input_tokens: ask.input_tokens,
        output_tokens,
        cost_pico: ask.fixed_pico + output - saved,
    };
    Ok((candidate, ask))
}
