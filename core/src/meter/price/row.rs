//! What does a line of the book say?
//!
//! Prices are words: a unit and its price (`i2.5`: input, in USD per million tokens; `s.01`: a search,
//! in USD), and marks that begin something: `@DATE` prices from a date on, `~HHMM-HHMM` prices in some
//! hours (UTC) of the dates before, `>TOKENS` a context tier, `!TIER` a service tier, `?` what another
//! source says, `/UNIT=USD` a unit that is no token. A mark of time without anything behind it repeats
//! the standard prices before it; `/` alone says that there are none.

use std::{str::SplitAsciiWhitespace, sync::Arc};

use jiff::{civil::Date, tz::TimeZone};

use super::{
    Abilities, ByContext, ModelPrice, Rule, Served, ServiceTier,
    table::{Line, Section},
    units::Rates,
};
use crate::{
    error::{Error, Result},
    meter::tokens::{self, Encoding},
    value::{Millis, money::decimal},
};

/// The prior of a tokenizer nobody knows: the largest ratio measured, rounded up.
pub(crate) const UNKNOWN_PRIOR_PER_MILLE: u32 = 1_700;
const MINUTE: Millis = 60_000;
const DAY_MINUTES: i64 = 24 * 60;
const PICO_PLACES: i32 = 6;
const NANO_PLACES: i32 = 9;

/// One model's prices, each with when it holds, the latest last; the first from the beginning.
pub(super) type Dated = Box<[Row]>;

/// Prices, and when they hold.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub from: Millis,
    /// Minutes of the day (UTC), the first included; may pass midnight.
    pub hours: Option<(i64, i64)>,
    /// None where what it costs is not counted in tokens.
    pub price: Option<Arc<ModelPrice>>,
    /// Units that are no tokens.
    pub other: Box<str>,
}

/// The row in force at a time.
pub(super) fn at(rows: &[Row], at: Millis) -> Option<&Row> {
    let minute = at.div_euclid(MINUTE).rem_euclid(DAY_MINUTES);
    let now = |hours: Option<(i64, i64)>| match hours {
        None => true,
        Some((from, to)) if from <= to => from <= minute && minute < to,
        Some((from, to)) => minute >= from || minute < to,
    };
    // Hours belong to their date: a later date ends them.
    let day = rows.iter().rev().find(|row| row.hours.is_none() && row.from <= at).or(rows.first())?;
    rows.iter().rev().find(|row| row.from == day.from && now(row.hours))
}

/// Reads a line; `rule` and `version` go into every price.
pub(super) fn read(line: Line<'_>, section: &Section, rule: Rule, version: &Arc<str>) -> Result<Dated> {
    let wrong = |word: &str| Error::corrupt(format!("the prices of `{}` have the word `{word}`", line.name));
    let facts = facts(line, section, rule, version).map_err(wrong)?;
    let mut words = Words { words: line.prices.split_ascii_whitespace(), next: None };
    let mut rows: Vec<Row> = Vec::new();
    let mut from = Millis::MIN;
    let mut standard = Raw::default();
    while let Some(word) = words.peek().or_else(|| rows.is_empty().then_some("")) {
        let mut hours = None;
        if let Some(date) = word.strip_prefix('@') {
            from = midnight(date).ok_or_else(|| wrong(word))?;
            words.take();
        } else if let Some(given) = word.strip_prefix('~') {
            hours = Some(self::hours(given).ok_or_else(|| wrong(word))?);
            words.take();
        } else if !rows.is_empty() {
            return Err(wrong(word));
        }
        rows.push(row(&mut words, &facts, &mut standard, from, hours).map_err(wrong)?);
    }
    if !rows.is_sorted_by_key(|row| row.from) {
        return Err(Error::corrupt(format!("the prices of `{}` are not in order of their dates", line.name)));
    }
    Ok(rows.into())
}

struct Words<'t> {
    words: SplitAsciiWhitespace<'t>,
    next: Option<&'t str>,
}

impl<'t> Words<'t> {
    fn peek(&mut self) -> Option<&'t str> {
        self.next = self.next.or_else(|| self.words.next());
        self.next
    }

    fn take(&mut self) -> Option<&'t str> {
        self.peek();
        self.next.take()
    }
}

/// The prices as words give them, before what they leave out is filled in.
#[derive(Clone, Debug, Default)]
struct Raw {
    rates: Rates,
    tiers: Vec<(u64, Rates)>,
    request: i64,
    search: Option<i64>,
    priced: bool,
}

/// Reads a row up to the mark that begins the next.
fn row<'t>(
    words: &mut Words<'t>,
    facts: &ModelPrice,
    before: &mut Raw,
    from: Millis,
    hours: Option<(i64, i64)>,
) -> Result<Row, &'t str> {
    let mut raw = raw(words, &Raw::default())?;
    if raw.priced {
        *before = raw.clone();
    } else if words.peek().is_none_or(|word| !word.starts_with('/')) {
        raw = before.clone();
    }
    let disputed = alternative(words, &raw)?;
    let mut tiers = Vec::new();
    let mut other = String::new();
    while let Some(word) = words.peek().filter(|word| word.starts_with(['!', '/'])) {
        words.take();
        if let Some(unit) = word.strip_prefix('/') {
            other += if other.is_empty() { "" } else { " " };
            other += unit;
            continue;
        }
        let tier = ServiceTier::read(&word[1..]).ok_or(word)?;
        let own = self::raw(words, &raw)?;
        let disputed = alternative(words, &raw)?.as_ref().map(by_context);
        tiers.push((tier, Served { disputed, charged: by_context(&own) }));
    }
    let price = raw.priced.then(|| {
        Arc::new(ModelPrice {
            standard: Served { charged: by_context(&raw), disputed: disputed.as_ref().map(by_context) },
            served: tiers.into(),
            request_nanos: raw.request,
            web_search_nanos: raw.search,
            web_search_most_nanos: raw.search.max(disputed.and_then(|other| other.search)),
            ..facts.clone()
        })
    });
    Ok(Row { from, hours, price, other: other.into() })
}

fn alternative<'t>(words: &mut Words<'t>, base: &Raw) -> Result<Option<Raw>, &'t str> {
    if words.peek() != Some("?") {
        return Ok(None);
    }
    words.take();
    raw(words, base).map(Some)
}

/// Reads prices on top of those of `base` without its context tiers.
fn raw<'t>(words: &mut Words<'t>, base: &Raw) -> Result<Raw, &'t str> {
    let mut raw = Raw { tiers: Vec::new(), ..base.clone() };
    let mut rates = base.rates;
    while let Some(word) = words.peek().filter(|word| !word.starts_with(['@', '~', '!', '?', '/'])) {
        words.take();
        if let Some(above) = word.strip_prefix('>') {
            let above = above.parse().map_err(|_| word)?;
            raw.tiers.push((above, rates));
            continue;
        }
        let digits = word.find(|c: char| !c.is_ascii_lowercase()).ok_or(word)?;
        let (unit, amount) = word.split_at(digits);
        let places = if matches!(unit, "q" | "s") { NANO_PLACES } else { PICO_PLACES };
        let amount = decimal(amount, places).and_then(|amount| i64::try_from(amount).ok());
        let amount = amount.filter(|amount| *amount >= 0).ok_or(word)?;
        set(&mut raw, &mut rates, unit, amount).ok_or(word)?;
        raw.priced = true;
        match raw.tiers.last_mut() {
            Some((_, tier)) => *tier = rates,
            None => raw.rates = rates,
        }
    }
    if raw.tiers.is_sorted_by_key(|(above, _)| *above) { Ok(raw) } else { Err(">") }
}

fn set(raw: &mut Raw, rates: &mut Rates, unit: &str, amount: i64) -> Option<()> {
    match unit {
        "i" => rates.input = amount,
        "o" => rates.output = amount,
        "r" => rates.cache_read = Some(amount),
        "w" => rates.cache_write = Some(amount),
        "h" => rates.cache_write_1h = Some(amount),
        "ia" => rates.input_audio = Some(amount),
        "im" => rates.input_image = Some(amount),
        "iv" => rates.input_video = Some(amount),
        "ra" => rates.cache_audio_read = Some(amount),
        "rm" => rates.cache_image_read = Some(amount),
        "t" => rates.reasoning = Some(amount),
        "oa" => rates.output_audio = Some(amount),
        "om" => rates.output_image = Some(amount),
        "ov" => rates.output_video = Some(amount),
        "q" => raw.request = amount,
        "s" => raw.search = Some(amount),
        _ => return None,
    }
    Some(())
}

fn by_context(raw: &Raw) -> ByContext {
    let tiers = raw.tiers.iter().map(|(above, rates)| (*above, rates.resolved())).collect();
    ByContext { base: raw.rates.resolved(), tiers }
}

/// All of a model but its prices.
fn facts<'t>(
    line: Line<'t>,
    section: &Section,
    rule: Rule,
    version: &Arc<str>,
) -> Result<ModelPrice, &'t str> {
    let mut model = ModelPrice { rule, ..unknown(&section.id, line.name, version) };
    model.automatic_cache_writes = section.writes_caches;
    let words = [line.facts, line.own].into_iter().flat_map(str::split_ascii_whitespace);
    for word in words {
        let (mark, rest) = word.split_at(1);
        let count = || rest.parse::<u64>().map_err(|_| word);
        match mark {
            "w" => model.context_window = Some(count()?),
            "m" => model.max_output_tokens = Some(count()?),
            "p" => model.prior_per_mille = rest.parse().map_err(|_| word)?,
            "k" => model.abilities = Abilities::read(rest).ok_or(word)?,
            "u" => model.regional_per_mille = Some(rest.parse().map_err(|_| word)?),
            "g" => {
                let (low, most) = rest.split_once(',').ok_or(word)?;
                let pair = low.parse().ok().zip(most.parse().ok()).ok_or(word)?;
                model.image_tokens = Some(pair.into());
            }
            _ => traits(&mut model, word).ok_or(word)?,
        }
    }
    Ok(model)
}

fn traits(model: &mut ModelPrice, letters: &str) -> Option<()> {
    for letter in letters.bytes() {
        match letter {
            b'R' => model.reasoning = true,
            b'T' => model.thinks_on_request = true,
            b'E' => model.exact_frames = true,
            b'S' => model.unreported_searches = true,
            b'O' => model.searches_as_one = true,
            b'o' => model.encoding = Encoding::O200k,
            b'c' => model.encoding = Encoding::Cl100k,
            _ => return None,
        }
    }
    Some(())
}

/// A model of which nothing is known but its name; its price is nothing yet.
pub(super) fn unknown(provider: &str, name: &str, version: &Arc<str>) -> ModelPrice {
    let (encoding, prior_per_mille) =
        tokens::family(name).unwrap_or((Encoding::O200k, UNKNOWN_PRIOR_PER_MILLE));
    let nothing = ByContext { base: Rates::default().resolved(), tiers: Box::default() };
    ModelPrice {
        provider: provider.into(),
        model: name.into(),
        rule: Rule::Listed,
        version: version.clone(),
        context_window: None,
        max_output_tokens: None,
        reasoning: false,
        thinks_on_request: false,
        encoding,
        prior_per_mille,
        exact_frames: false,
        image_tokens: None,
        abilities: Abilities::PLAIN,
        unreported_searches: false,
        searches_as_one: false,
        regional_per_mille: None,
        standard: Served { charged: nothing, disputed: None },
        served: Arc::from([]),
        request_nanos: 0,
        web_search_nanos: None,
        web_search_most_nanos: None,
        automatic_cache_writes: false,
    }
}

fn midnight(date: &str) -> Option<Millis> {
    let date: Date = date.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Minutes of the day from `HHMM-HHMM`.
fn hours(text: &str) -> Option<(i64, i64)> {
    let minutes = |text: &str| {
        let (hours, minutes) = text.split_at_checked(2)?;
        let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
        ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
    };
    let (from, to) = text.split_once('-')?;
    Some((minutes(from)?, minutes(to)?))
}
