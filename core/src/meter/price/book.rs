//! Which price has a model?
//!
//! A name stands for one model or for none: it is listed, or it is a listed stem followed by a
//! snapshot (`-2026-04-23`, `@20260423`, `-latest`, `-001`), or a fine-tune of a listed base. It is
//! never a neighbour: `gpt-4o-turbo` is not priced as `gpt-4o`.

use std::{
    ptr, slice,
    sync::{Arc, OnceLock},
};

use rustc_hash::FxHashMap;

use super::{
    ModelPrice, custom,
    table::{Dated, ProviderFile, Shared},
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    value::Millis,
};

const FILES: [&str; 3] = [
    include_str!("../../../prices/openai.json"),
    include_str!("../../../prices/anthropic.json"),
    include_str!("../../../prices/google.json"),
];

/// Everything known about prices: the bundled files, and what the user says over them.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct PriceBook {
    providers: Arc<[Provider]>,
    custom: Arc<FxHashMap<Box<str>, Dated>>,
    version: Arc<str>,
}

struct Provider {
    aliases: Vec<String>,
    models: Vec<Dated>,
    names: FxHashMap<Box<str>, usize>,
    stems: FxHashMap<Box<str>, usize>,
    /// Longest first.
    prefixes: Vec<(Box<str>, usize)>,
}

impl PriceBook {
    /// The prices this crate came with; read once, at the first use.
    pub fn bundled() -> &'static Self {
        static BUNDLED: OnceLock<PriceBook> = OnceLock::new();
        BUNDLED.get_or_init(|| Self::read(&FILES).expect("the bundled files are read by a test"))
    }

    /// These prices with the user's own over them.
    ///
    /// `json` is an object from model name to prices, in USD per million tokens (`request` and
    /// `web_search`: in USD apiece), as numbers or decimal strings. `input` and `output` belong
    /// together and replace *all* prices of the model; a cache, audio or image price left out is the
    /// plain one. Facts (`max_output_tokens`, `context_window`, `reasoning`) may also stand alone,
    /// for a model that has a price. A name binds exactly itself, with or without its provider.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: not such an object, an unknown key, a negative or absurd price, facts alone
    /// for a model without a price.
    ///
    /// ```
    /// use outlay::{Usage, meter::PriceBook};
    ///
    /// let book = PriceBook::bundled().with_overrides(r#"{"my-model": {"input": "2.50", "output": 10}}"#)?;
    /// let price = book.find(None, "my-model", 0)?;
    /// assert_eq!(price.charge(&Usage::tokens(1_000, 500))?.amount.to_string(), "0.0075 USD");
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn with_overrides(&self, json: &str) -> Result<Self> {
        let version: Arc<str> = custom::version(&self.version, json).into();
        let mut prices = (*self.custom).clone();
        for (name, entry) in custom::read(json)? {
            let known = self.dated(None, &name);
            prices.insert(name.to_ascii_lowercase().into(), entry.applied(&name, known, &version)?);
        }
        Ok(Self { providers: self.providers.clone(), custom: Arc::new(prices), version })
    }

    /// Which edition of the prices this is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The price of `model` at the time `at`.
    ///
    /// The provider may be given apart (`openai`, `anthropic`, `google` or another name of theirs),
    /// before the model (`openai/gpt-4o`, `anthropic:claude-opus-5`, `models/gemini-2.5-pro`), or
    /// not at all: then it is the one that makes the model.
    ///
    /// # Errors
    ///
    /// `Unpriced`, with the fields `provider` and `model`: no price is known. A provider that only
    /// resells, such as a gateway, has no price of the maker's.
    ///
    /// ```
    /// use outlay::{ErrorKind, meter::PriceBook};
    ///
    /// let book = PriceBook::bundled();
    /// assert_eq!(&*book.find(None, "anthropic/claude-opus-4-1-20250805", 0)?.model, "claude-opus-4-1");
    /// assert_eq!(book.find(None, "gpt-4o-turbo", 0).unwrap_err().kind(), ErrorKind::Unpriced);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn find(&self, provider: Option<&str>, model: &str, at: Millis) -> Result<Arc<ModelPrice>> {
        let dated = self.dated(provider, model).ok_or_else(|| unpriced(provider, model))?;
        let row = dated.iter().rev().find(|(from, _)| *from <= at).unwrap_or(&dated[0]);
        Ok(row.1.clone())
    }

    fn read(files: &[&str]) -> Result<Self> {
        let mut providers = Vec::new();
        let mut checked = String::new();
        for text in files {
            let file: ProviderFile = serde_json::from_str(text)
                .map_err(|error| Error::corrupt(format!("a bundled price file does not read: {error}")))?;
            checked = checked.max(file.checked.clone());
            providers.push(Provider::new(&file)?);
        }
        Ok(Self { providers: providers.into(), custom: Arc::default(), version: checked.into() })
    }

    fn dated(&self, provider: Option<&str>, model: &str) -> Option<&Dated> {
        let lower;
        let model = if model.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = model.to_ascii_lowercase();
            lower.as_str()
        } else {
            model
        };
        let (head, name) = self.split(model);
        if let Some(own) = self.custom(provider, model, head.and(Some(name))) {
            return Some(own);
        }
        let given = provider.map(|name| self.provider(name));
        let among = match (given, head) {
            (None, None) => &self.providers,
            (None, Some(head)) => slice::from_ref(head),
            (Some(given), None) => slice::from_ref(given?),
            // `publishers/anthropic/models/…` is Google's own way to name what it resells.
            (Some(given), Some(head)) => slice::from_ref(given.filter(|given| ptr::eq(*given, head))?),
        };
        let listed = |name: &str| among.iter().find_map(|provider| provider.model(name));
        // Some gateways write `-20251211` for a snapshot listed as `-2025-12-11`.
        listed(name).or_else(|| listed(&dashed_date(name)?))
    }

    fn custom(&self, provider: Option<&str>, model: &str, bare: Option<&str>) -> Option<&Dated> {
        if self.custom.is_empty() {
            return None;
        }
        let qualified = provider.and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.custom.get(format!("{name}/{model}").as_str())
        });
        qualified.or_else(|| self.custom.get(model)).or_else(|| self.custom.get(bare?))
    }

    fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers
            .iter()
            .find(|provider| provider.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name)))
    }

    /// The provider a name begins with, and the rest; no provider and the whole name if it has none.
    fn split<'a>(&self, model: &'a str) -> (Option<&Provider>, &'a str) {
        let Some(cut) = model.find(['/', ':']) else { return (None, model) };
        let (head, rest) = (&model[..cut], &model[cut + 1..]);
        if matches!(head, "models" | "publishers" | "projects") {
            let name = model.rsplit('/').next().unwrap_or(model);
            return (self.provider("google"), name);
        }
        match self.provider(head) {
            Some(provider) => (Some(provider), rest.strip_prefix("models/").unwrap_or(rest)),
            None => (None, model),
        }
    }
}

impl std::fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PriceBook({}, {} of the user's)", self.version, self.custom.len())
    }
}

impl Provider {
    fn new(file: &ProviderFile) -> Result<Self> {
        let shared =
            Shared { provider: file.provider.as_str().into(), version: file.checked.as_str().into() };
        let mut provider = Self {
            aliases: file.aliases.clone(),
            models: Vec::with_capacity(file.models.len()),
            names: FxHashMap::default(),
            stems: FxHashMap::default(),
            prefixes: Vec::new(),
        };
        for (index, model) in file.models.iter().enumerate() {
            provider.models.push(model.dated(file, &shared)?);
            provider.names.extend(model.names.iter().map(|name| (name.as_str().into(), index)));
            provider.stems.extend(model.stems.iter().map(|stem| (stem.as_str().into(), index)));
            provider.prefixes.extend(model.prefixes.iter().map(|prefix| (prefix.as_str().into(), index)));
        }
        provider.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(provider)
    }

    fn model(&self, name: &str) -> Option<&Dated> {
        self.index(name).map(|index| &self.models[index])
    }

    fn index(&self, name: &str) -> Option<usize> {
        if let Some(index) = self.names.get(name).or_else(|| self.stems.get(name)) {
            return Some(*index);
        }
        let mut stem = name;
        while let Some(shorter) = without_snapshot(stem) {
            if let Some(index) = self.stems.get(shorter) {
                return Some(*index);
            }
            stem = shorter;
        }
        self.prefixes.iter().find(|(prefix, _)| name.starts_with(&**prefix)).map(|(_, index)| *index)
    }
}

/// The name without one trailing mark of a snapshot; none if it has no such mark.
fn without_snapshot(name: &str) -> Option<&str> {
    // A date, or after a preview a day or a month. Two digits alone are a version, not a snapshot.
    if let Some(stem) = without_digits(name, &[2, 2, 4]) {
        return Some(stem);
    }
    if let Some(stem) = without_digits(name, &[2, 2]).or_else(|| without_digits(name, &[4, 2])) {
        return ["-preview", "-exp"].iter().any(|mark| stem.ends_with(mark)).then_some(stem);
    }
    let (stem, mark) = name.split_at(name.rfind(['-', '@', ':'])?);
    let word = &mark[1..];
    let known = matches!(word, "latest" | "default" | "preview" | "exp" | "thinking")
        || matches!(word.len(), 3 | 4 | 8) && is_digits(word)
        || word.strip_prefix('v').is_some_and(is_digits);
    known.then_some(stem)
}

/// The name without trailing `-` groups of so many digits, the last first.
fn without_digits<'a>(name: &'a str, groups: &[usize]) -> Option<&'a str> {
    groups.iter().try_fold(name, |rest, length| {
        let (before, group) = rest.rsplit_once('-')?;
        (group.len() == *length && is_digits(group)).then_some(before)
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn dashed_date(name: &str) -> Option<String> {
    let (stem, date) = name.rsplit_once('-')?;
    let compact = date.len() == 8 && date.starts_with("20") && is_digits(date);
    compact.then(|| format!("{stem}-{}-{}-{}", &date[..4], &date[4..6], &date[6..]))
}

fn unpriced(provider: Option<&str>, model: &str) -> Error {
    let shown: String = model.chars().take(100).flat_map(char::escape_default).collect();
    let of = provider.map(|name| format!(" of provider `{name}`")).unwrap_or_default();
    let absent = || Field::Absent;
    Error::new(
        ErrorKind::Unpriced,
        format!(
            "model `{shown}`{of} has no known price; give one in USD per million tokens: \
             prices = {{\"{shown}\": {{\"input\": \"…\", \"output\": \"…\"}}}}"
        ),
    )
    .with("provider", provider.map_or_else(absent, |name| Field::Text(name.to_owned())))
    .with("model", Field::Text(shown))
}
