//! Which price has a model?
//!
//! A name stands for one model or for none: see [`Rule`]. What the user says comes first, then the book.

use std::{
    borrow::Cow,
    collections::hash_map::Entry,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use rustc_hash::{FxHashMap, FxHasher};

use super::{
    ModelPrice, Rule, custom,
    names::{dashed_date, resolve},
    row::{self, Dated, Row},
    similar::similar,
    table::{Line, Section, Table},
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    sync::{Mutex, lock},
    value::Millis,
};

const BUNDLED: &str = include_str!("../../../prices/book.txt");
/// Names remembered with their prices; an agent uses a few.
const REMEMBERED_MAX: usize = 1_000;
/// Longer names are no model's.
const NAME_MAX: usize = 512;

/// Everything known about prices: a book, and what the user says over it.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct PriceBook {
    table: Arc<Table>,
    custom: Arc<FxHashMap<Box<str>, Dated>>,
    discounts: Arc<FxHashMap<Box<str>, custom::Discount>>,
    version: Arc<str>,
    remembered: Arc<Mutex<FxHashMap<u64, Remembered>>>,
}

/// A name as it was asked for, and what it led to.
struct Remembered {
    provider: Option<Box<str>>,
    model: Box<str>,
    rows: Option<Arc<[Row]>>,
}

/// One model of the book, for whoever looks through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing<'b> {
    /// The provider's id.
    pub provider: &'b str,
    /// The model's main name.
    pub model: &'b str,
}

impl PriceBook {
    /// The prices this crate came with.
    pub fn bundled() -> &'static Self {
        static BOOK: OnceLock<PriceBook> = OnceLock::new();
        BOOK.get_or_init(|| {
            Self::unchecked(Cow::Borrowed(BUNDLED)).expect("the bundled book is read by a test")
        })
    }

    /// The prices of another book, such as a newer one than this crate came with.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: the text is no price book, or some of it does not read.
    ///
    /// ```
    /// use outlay::{ErrorKind, meter::PriceBook};
    ///
    /// let book = "outlay prices 1\t2027-01-01\tby hand\n:acme\tacme\nacme-1\tm4096\ti2.5 o10\n";
    /// assert!(PriceBook::read(book)?.find(Some("acme"), "acme-1", 0).is_ok());
    /// assert_eq!(PriceBook::read("{}").unwrap_err().kind(), ErrorKind::InvalidInput);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn read(text: &str) -> Result<Self> {
        let book = Self::of(Table::new(Cow::Owned(text.to_owned()))?);
        book.table.check_names()?;
        for section in book.table.sections() {
            for line in book.table.models(section) {
                row::read(line, section, Rule::Listed, &book.version)
                    .map_err(|error| Error::invalid(error.to_string()))?;
            }
        }
        Ok(book)
    }

    /// A book that was read once before: a line of it that does not read has no price.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: the text is no price book.
    pub fn unchecked(text: Cow<'static, str>) -> Result<Self> {
        Table::new(text).map(Self::of)
    }

    fn of(table: Table) -> Self {
        Self {
            version: (*table.version).into(),
            table: Arc::new(table),
            custom: Arc::default(),
            discounts: Arc::default(),
            remembered: Arc::default(),
        }
    }

    /// These prices with the user's own over them.
    ///
    /// `json` is an object from model name to prices, in USD per million tokens (`request` and
    /// `web_search`: in USD apiece), as numbers or decimal strings. `input` and `output` belong
    /// together and replace *all* prices of the model; a price left out is the plain one.
    /// Facts (`max_output_tokens`, `context_window`, `reasoning`) may also stand alone, for a model
    /// that has a price. `as` gives the name another model's prices, and `discount` (`"15%"`) takes
    /// something off; for all models of a provider under `"PROVIDER/*"`, of all under `"*"`. Another
    /// name binds exactly itself, with or without its provider.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: not such an object, an unknown key, a negative or absurd price, facts alone
    /// for a model without a price.
    ///
    /// ```
    /// use outlay::{Usage, meter::PriceBook};
    ///
    /// let book = PriceBook::bundled().with_overrides(r#"{
    ///     "my-model": {"input": "2.50", "output": 10},
    ///     "azure/prod-chat": {"as": "azure/gpt-4o"},
    ///     "anthropic/*": {"discount": "20%"}
    /// }"#)?;
    /// let charge = |name| book.find(None, name, 0)?.charge(&Usage::tokens(1_000, 500));
    /// assert_eq!(charge("my-model")?.amount.to_string(), "0.0075 USD");
    /// assert_eq!(charge("azure/prod-chat")?.amount.to_string(), "0.0075 USD");
    /// assert_eq!(charge("claude-haiku-4-5")?.amount.to_string(), "0.0028 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn with_overrides(&self, json: &str) -> Result<Self> {
        let version: Arc<str> = custom::version(&self.version, json).into();
        let (mut prices, mut discounts) = ((*self.custom).clone(), (*self.discounts).clone());
        for (name, entry) in custom::read(json)? {
            let name = name.to_ascii_lowercase();
            if let Some(provider) = name.strip_suffix('*') {
                let provider = provider.strip_suffix('/').unwrap_or(provider);
                let id = self.table.provider(provider).map_or(provider, |section| &*section.id);
                discounts.insert(id.into(), entry.discount_alone(&name)?);
                continue;
            }
            let known = self.rows(None, entry.like().unwrap_or(&name));
            prices.insert(name.as_str().into(), entry.applied(&name, known.as_deref(), &version)?);
        }
        let remembered = Arc::default();
        let (custom, discounts) = (Arc::new(prices), Arc::new(discounts));
        Ok(Self { table: self.table.clone(), custom, discounts, version, remembered })
    }

    /// Which edition of the prices this is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the prices come from.
    pub fn source(&self) -> &str {
        &self.table.source
    }

    /// The price of `model` at the time `at`.
    ///
    /// The provider may be given apart (`openai`, `bedrock` or another name of theirs), before the
    /// model (`openai/gpt-4o`, `anthropic:claude-opus-5`, `models/gemini-2.5-pro`), or not at all:
    /// then it is the one that makes the model.
    ///
    /// # Errors
    ///
    /// `Unpriced`, with the fields `provider` and `model`: no price is known, or it is not counted in
    /// tokens. A provider that resells has the price the book gives for it, not the maker's.
    ///
    /// ```
    /// use outlay::{ErrorKind, meter::{PriceBook, Rule}};
    ///
    /// let book = PriceBook::bundled();
    /// let price = book.find(None, "anthropic/claude-opus-4-1-20250805", 0)?;
    /// assert_eq!((&*price.model, price.rule), ("claude-opus-4-1", Rule::Snapshot));
    /// assert_eq!(book.find(None, "gpt-4o-turbo", 0).unwrap_err().kind(), ErrorKind::Unpriced);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn find(&self, provider: Option<&str>, model: &str, at: Millis) -> Result<Arc<ModelPrice>> {
        let rows = self.rows(provider, model).ok_or_else(|| self.unknown(provider, model))?;
        let row = row::at(&rows, at).ok_or_else(|| unpriced(provider, model, &[]))?;
        row.price.clone().ok_or_else(|| not_in_tokens(provider, model, &row.other))
    }

    /// The same, without the words why there is none: these take a while to find.
    pub(crate) fn known(&self, provider: Option<&str>, model: &str, at: Millis) -> Option<Arc<ModelPrice>> {
        row::at(&self.rows(provider, model)?, at)?.price.clone()
    }

    /// All prices of `model`, each with the time it holds from; the first from the beginning.
    ///
    /// # Errors
    ///
    /// `Unpriced`: as [`find`](Self::find), at any time.
    pub fn history(&self, provider: Option<&str>, model: &str) -> Result<Vec<(Millis, Arc<ModelPrice>)>> {
        let rows = self.rows(provider, model).ok_or_else(|| self.unknown(provider, model))?;
        let priced = rows.iter().filter_map(|row| Some((row.from, row.price.clone()?)));
        let priced: Vec<_> = priced.collect();
        if priced.is_empty() {
            return Err(not_in_tokens(provider, model, &rows[0].other));
        }
        Ok(priced)
    }

    /// Every model of the book.
    pub fn listings(&self) -> impl Iterator<Item = Listing<'_>> {
        self.table.sections().iter().flat_map(|section| {
            self.table.models(section).map(|line| Listing { provider: &section.id, model: line.name })
        })
    }

    pub(super) fn own_names(&self) -> impl Iterator<Item = &str> {
        self.custom.keys().map(|name| &**name)
    }

    pub(super) fn rows(&self, provider: Option<&str>, model: &str) -> Option<Arc<[Row]>> {
        if model.len() > NAME_MAX || provider.is_some_and(|name| name.len() > NAME_MAX) {
            return None;
        }
        let mut hasher = FxHasher::default();
        (provider, model).hash(&mut hasher);
        let key = hasher.finish();
        let mut remembered = lock(&self.remembered);
        if let Some(known) = remembered.get(&key)
            && (known.provider.as_deref(), &*known.model) == (provider, model)
        {
            return known.rows.clone();
        }
        let rows = self.looked_up(provider, model);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        let known =
            Remembered { provider: provider.map(Into::into), model: model.into(), rows: rows.clone() };
        match remembered.entry(key) {
            Entry::Occupied(mut entry) => drop(entry.insert(known)),
            Entry::Vacant(entry) => drop(entry.insert(known)),
        }
        rows
    }

    fn looked_up(&self, provider: Option<&str>, model: &str) -> Option<Arc<[Row]>> {
        let model = &*lower(model);
        let provider = provider.map(lower);
        let provider = provider.as_deref();
        let (head, name) = self.split(model);
        if let Some(own) = self.own(provider, model, head.and(Some(name))) {
            return Some(own.to_vec().into());
        }
        let (section, bare, whole) = match (provider, head) {
            (None, None) => {
                let makers = || self.table.sections().iter().filter(|section| section.is_maker);
                return makers().find_map(|maker| self.of_provider(maker, model));
            }
            (None, Some(head)) => (head, name, model),
            (Some(given), head) => {
                let section = self.table.provider(given)?;
                (section, head.filter(|head| head.id == section.id).map_or(model, |_| name), model)
            }
        };
        // Some providers begin their names with what is another's, or their own; where the provider
        // is given apart, the name is most likely whole.
        let names = if provider.is_some() { [whole, bare] } else { [bare, whole] };
        let found = names.into_iter().find_map(|name| self.of_provider(section, name));
        found.or_else(|| self.local(section, bare))
    }

    /// The error of a name nobody knows, with those that look like it.
    fn unknown(&self, provider: Option<&str>, model: &str) -> Error {
        let lowered = lower(model);
        let (head, name) = self.split(&lowered);
        let given = provider.and_then(|name| self.table.provider(&lower(name)));
        let is_theirs = given.zip(head).is_none_or(|(given, head)| given.id == head.id);
        let name = if is_theirs { name } else { &lowered };
        let sections = || self.table.sections().iter();
        let listed: Vec<_> = match given.or(head) {
            Some(section) => self.table.models(section).collect(),
            None => sections().filter(|one| one.is_maker).flat_map(|one| self.table.models(one)).collect(),
        };
        let known = listed.iter().map(|line| line.name).chain(self.own_names());
        unpriced(provider, model, &similar(name, known))
    }

    fn own(&self, provider: Option<&str>, model: &str, bare: Option<&str>) -> Option<&Dated> {
        if self.custom.is_empty() {
            return None;
        }
        let qualified = provider.and_then(|name| self.custom.get(format!("{name}/{model}").as_str()));
        qualified.or_else(|| self.custom.get(model)).or_else(|| self.custom.get(bare?))
    }

    /// The provider a name begins with, and the rest; no provider and the whole name if it has none.
    fn split<'a>(&self, model: &'a str) -> (Option<&Section>, &'a str) {
        let Some(cut) = model.find(['/', ':']) else { return (None, model) };
        let (head, rest) = (&model[..cut], &model[cut + 1..]);
        let last = || model.rsplit('/').next().unwrap_or(model);
        match head {
            // `publishers/anthropic/models/…` is Google's own way to name what it resells.
            "models" | "publishers" | "projects" => (self.table.provider("google"), last()),
            "arn" => (self.table.provider("aws"), last()),
            _ => match self.table.provider(head) {
                Some(section) => {
                    let ways = ["models/", "converse/", "invoke/"];
                    (Some(section), ways.iter().find_map(|way| rest.strip_prefix(way)).unwrap_or(rest))
                }
                None => (None, model),
            },
        }
    }

    fn of_provider(&self, section: &Section, name: &str) -> Option<Arc<[Row]>> {
        let read = |line, rule| row::read(line, section, rule, &self.version).ok();
        let mut rows = match self.listed(section, name) {
            Some((line, rule)) => read(line, rule)?,
            None => {
                let sections = self.table.sections();
                let maker = || section.resells.iter().find_map(|maker| self.listed(&sections[*maker], name));
                read(maker()?.0, Rule::Maker)?
            }
        };
        let discount = self.discounts.get(&*section.id).or_else(|| self.discounts.get(""));
        if let Some(discount) = discount {
            rows = rows.iter().map(|row| discount.applied(row)).collect();
        }
        Some(rows.into())
    }

    /// What runs on the user's own machine costs nothing; a name that ends in `-cloud` does not.
    fn local(&self, section: &Section, name: &str) -> Option<Arc<[Row]>> {
        let free = section.is_free && !name.is_empty() && !name.ends_with("-cloud");
        let line = Line { name, facts: "", own: "", prices: "i0 o0" };
        let rows = free.then(|| row::read(line, section, Rule::Local, &self.version).ok())??;
        Some(rows.into())
    }

    fn listed<'t>(&'t self, section: &Section, name: &str) -> Option<(Line<'t>, Rule)> {
        let is_stem = |name: &str| self.table.line(section, name).map(|(_, is_stem)| is_stem);
        let found = |name: &str| {
            let (base, rule) = resolve(name, is_stem)?;
            self.table.line(section, base).map(|(line, _)| (line, rule))
        };
        // Some gateways write `-20251211` for a snapshot listed as `-2025-12-11`.
        found(name).or_else(|| found(&dashed_date(name)?))
    }
}

impl std::fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let own = self.custom.len() + self.discounts.len();
        write!(f, "PriceBook({}, {own} of the user's)", self.version)
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn unpriced(provider: Option<&str>, model: &str, similar: &[&str]) -> Error {
    let advice = "give one in USD per million tokens";
    let shown = shown(model);
    let example = format!("prices = {{\"{shown}\": {{\"input\": \"…\", \"output\": \"…\"}}}}");
    let alike = similar.join("`, `");
    let alike = if similar.is_empty() { alike } else { format!(" did you mean `{alike}`?") };
    no_price(provider, model, &format!("has no known price;{alike} {advice}: {example}"))
        .with("similar", Field::Text(similar.join(" ")))
}

fn not_in_tokens(provider: Option<&str>, model: &str, other: &str) -> Error {
    if other.is_empty() {
        return no_price(provider, model, "is listed without a price of tokens");
    }
    no_price(provider, model, &format!("is not priced by tokens alone, but by `{other}` (USD)"))
}

fn no_price(provider: Option<&str>, model: &str, why: &str) -> Error {
    let shown = shown(model);
    let of = provider.map(|name| format!(" of provider `{name}`")).unwrap_or_default();
    let absent = || Field::Absent;
    Error::new(ErrorKind::Unpriced, format!("model `{shown}`{of} {why}"))
        .with("provider", provider.map_or_else(absent, |name| Field::Text(name.to_owned())))
        .with("model", Field::Text(shown))
}

fn shown(model: &str) -> String {
    model.chars().take(100).flat_map(char::escape_default).collect()
}
