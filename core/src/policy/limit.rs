//! How much of what, over which time?
//!
//! A limit is a unit, an amount, hard or soft, and a window. A window divides time into slots;
//! what a call holds and uses belongs to the slot in which it was reserved, for ever.

use jiff::{SignedDuration, Timestamp, Zoned, civil::Weekday, tz::TimeZone};

use crate::{
    error::{Error, Result},
    value::{Millis, Money},
};

/// What can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Money, in nano-USD.
    Usd = 0,
    /// Input and output tokens together.
    Tokens = 1,
    /// Calls of a model.
    LlmCalls = 2,
    /// Calls of a tool.
    ToolCalls = 3,
}

impl Unit {
    /// Every unit, in the order of [`Amounts`].
    pub const ALL: [Self; 4] = [Self::Usd, Self::Tokens, Self::LlmCalls, Self::ToolCalls];

    /// The name used in options, reports and columns.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usd => "usd",
            Self::Tokens => "tokens",
            Self::LlmCalls => "llm_calls",
            Self::ToolCalls => "tool_calls",
        }
    }

    /// `amount` as a person reads it.
    pub fn show(self, amount: i64) -> String {
        match self {
            Self::Usd => Money::from_nanos(amount).decimal(),
            _ => amount.to_string(),
        }
    }
}

/// An amount of each unit: nano-USD, tokens, model calls, tool calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts(pub [i64; 4]);

impl Amounts {
    /// Nothing of anything.
    pub const ZERO: Self = Self([0; 4]);

    /// The amount of one unit.
    pub const fn get(&self, unit: Unit) -> i64 {
        self.0[unit as usize]
    }

    /// The money among them.
    pub const fn usd(&self) -> Money {
        Money::from_nanos(self.0[0])
    }

    /// Unit by unit; nothing when a sum does not fit.
    #[inline]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let (mut sum, mut overflows) = (*self, false);
        for (sum, other) in sum.0.iter_mut().zip(other.0) {
            let (added, overflow) = sum.overflowing_add(other);
            *sum = added;
            overflows |= overflow;
        }
        (!overflows).then_some(sum)
    }

    /// The same with the opposite sign.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self(self.0.map(i64::saturating_neg))
    }
}

/// The limits of one account, at most one hard and one soft for each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// What may not be passed.
    pub hard: [Option<i64>; 4],
    /// What may be passed but is told.
    pub soft: [Option<i64>; 4],
}

impl Ceiling {
    /// Is nothing limited?
    pub fn is_empty(&self) -> bool {
        self.hard.iter().chain(&self.soft).all(Option::is_none)
    }

    /// The same with hard limits larger by so much, where there are any.
    #[must_use]
    pub fn raised(mut self, by: &Amounts) -> Self {
        for (limit, by) in self.hard.iter_mut().zip(by.0) {
            *limit = limit.map(|limit| limit.saturating_add(by));
        }
        self
    }
}

/// The time a limit covers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Window {
    /// The life of the task or budget.
    #[default]
    Life,
    /// A calendar day in a time zone.
    Day(TimeZone),
    /// A calendar week from Monday in a time zone.
    Week(TimeZone),
    /// A calendar month in a time zone.
    Month(TimeZone),
    /// The last so many milliseconds, kept in sixty buckets.
    Rolling(Millis),
    /// One turn: a user's input and all that answers it. Calls that name none are of one turn too.
    Turn,
    /// The attempts of the task after its first.
    Retries,
}

/// One part of a window: from `start` until just before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its first millisecond; the slot's name.
    pub start: Millis,
    /// The first millisecond after it.
    pub end: Millis,
}

const BUCKETS: Millis = 60;
const ROLLING_MIN: Millis = 60_000;
const ROLLING_MAX: Millis = 366 * 24 * 3_600_000;

impl Window {
    /// Reads `life`, `day`, `week`, `month`, `rolling:24h` (units s, m, h, d), or of a task `turn` or
    /// `retries`.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: another name, an unknown time zone, a rolling window under a minute or
    /// over a year.
    ///
    /// ```
    /// use outlay::Window;
    ///
    /// let day = Window::parse("day", Some("Europe/Berlin"))?;
    /// assert_eq!(day.to_string(), "day");
    /// assert!(Window::parse("fortnight", None).is_err());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self> {
        let zone = || {
            let name = zone.unwrap_or("UTC");
            TimeZone::get(name).map_err(|_| Error::invalid(format!("time zone `{name}` is not known")))
        };
        match text {
            "life" => Ok(Self::Life),
            "day" => Ok(Self::Day(zone()?)),
            "week" => Ok(Self::Week(zone()?)),
            "month" => Ok(Self::Month(zone()?)),
            "turn" => Ok(Self::Turn),
            "retries" => Ok(Self::Retries),
            _ => rolling(text).map(Self::Rolling),
        }
    }

    /// The slot `now` lies in.
    pub fn slot(&self, now: Millis) -> Slot {
        match self {
            Self::Life | Self::Turn | Self::Retries => Slot { start: 0, end: Millis::MAX },
            Self::Day(zone) => calendar(now, zone, 1, Some),
            Self::Week(zone) => calendar(now, zone, 7, |day| {
                let back = day.weekday().since(Weekday::Monday);
                day.checked_sub(jiff::Span::new().days(i64::from(back))).ok()
            }),
            Self::Month(zone) => calendar(now, zone, 0, |day| day.with().day(1).build().ok()),
            Self::Rolling(length) => {
                let width = length / BUCKETS;
                let start = now.div_euclid(width) * width;
                Slot { start, end: start + width }
            }
        }
    }

    /// The start of the oldest slot that still counts at `now`. A rolling bucket counts until all
    /// of its money is older than the window.
    pub fn oldest(&self, now: Millis) -> Millis {
        match self {
            Self::Rolling(length) => self.slot(now - length).start,
            _ => self.slot(now).start,
        }
    }

    /// When money of the slot that starts at `start` stops counting; never for a life.
    pub fn leaves_at(&self, start: Millis) -> Option<Millis> {
        match self {
            Self::Life | Self::Turn | Self::Retries => None,
            Self::Rolling(length) => Some(start + length / BUCKETS + length),
            _ => Some(self.slot(start).end),
        }
    }

    /// Is it part of a task, so that no shared budget can have it?
    pub const fn is_of_task(&self) -> bool {
        matches!(self, Self::Turn | Self::Retries)
    }

    /// The name of the time zone, where the window has one.
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::Day(zone) | Self::Week(zone) | Self::Month(zone) => Some(zone.iana_name().unwrap_or("UTC")),
            Self::Life | Self::Rolling(_) | Self::Turn | Self::Retries => None,
        }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Life => f.write_str("life"),
            Self::Day(_) => f.write_str("day"),
            Self::Week(_) => f.write_str("week"),
            Self::Month(_) => f.write_str("month"),
            Self::Turn => f.write_str("turn"),
            Self::Retries => f.write_str("retries"),
            Self::Rolling(length) if length % 3_600_000 == 0 => write!(f, "rolling:{}h", length / 3_600_000),
            Self::Rolling(length) if length % 60_000 == 0 => write!(f, "rolling:{}m", length / 60_000),
            Self::Rolling(length) => write!(f, "rolling:{}s", length / 1_000),
        }
    }
}

fn rolling(text: &str) -> Result<Millis> {
    let wrong = || {
        let known = "`life`, `day`, `week`, `month`, `rolling:24h`, `turn` or `retries`";
        Error::invalid(format!("window `{text}` is none of {known}"))
    };
    let length = text.strip_prefix("rolling:").and_then(millis).ok_or_else(wrong)?;
    match length {
        ROLLING_MIN..=ROLLING_MAX => Ok(length),
        _ => Err(Error::invalid(format!("window `{text}` must be from one minute to one year"))),
    }
}

/// A length of time, as in `90s`, `10m`, `24h` or `7d`; one too long to be counted is the longest.
pub(super) fn millis(text: &str) -> Option<Millis> {
    let unit = match text.as_bytes().last()? {
        b's' => 1_000,
        b'm' => 60_000,
        b'h' => 3_600_000,
        b'd' => 24 * 3_600_000,
        _ => return None,
    };
    let count: Millis = text[..text.len() - 1].parse().ok()?;
    Some(count.saturating_mul(unit))
}

/// The slot of whole days that `now` lies in; `days` 0 means to the first of the next month.
fn calendar(
    now: Millis,
    zone: &TimeZone,
    days: i64,
    first: impl Fn(jiff::civil::Date) -> Option<jiff::civil::Date>,
) -> Slot {
    let bounds = || {
        let today = Timestamp::from_millisecond(now).ok()?.to_zoned(zone.clone()).date();
        let start = first(today)?;
        let length = if days == 0 { jiff::Span::new().months(1) } else { jiff::Span::new().days(days) };
        let end = start.checked_add(length).ok()?;
        let midnight = |date: jiff::civil::Date| -> Option<Zoned> { date.to_zoned(zone.clone()).ok() };
        let millis = |date| Some(midnight(date)?.timestamp().as_millisecond());
        Some(Slot { start: millis(start)?, end: millis(end)? })
    };
    // Only times outside years -9999 to 9999 get here; they all share one slot.
    bounds().unwrap_or(Slot { start: 0, end: Millis::MAX })
}

/// `at` in RFC 3339, as messages and reports print times.
pub fn show_time(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| SignedDuration::from_millis(at).to_string(),
        |time| time.round(jiff::Unit::Second).unwrap_or(time).to_string(),
    )
}

/// One limit as a caller writes it.
///
/// ```
/// use outlay::{Limit, Unit, Window};
///
/// let limit = Limit::usd("0.50")?.soft().per(Window::parse("day", None)?);
/// assert_eq!((limit.unit, limit.amount, limit.hard), (Unit::Usd, 500_000_000, false));
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub unit: Unit,
    /// How much of it: nano-USD, tokens or calls.
    pub amount: i64,
    /// May it not be passed?
    pub hard: bool,
    /// Over which time.
    pub window: Window,
}

impl Limit {
    /// A hard limit on `amount` of `unit` for the life of the task or budget.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a negative amount.
    pub fn new(unit: Unit, amount: i64) -> Result<Self> {
        if amount < 0 {
            return Err(Error::invalid(format!(
                "limit `{}` of {} is negative",
                unit.show(amount),
                unit.name()
            )));
        }
        Ok(Self { unit, amount, hard: true, window: Window::Life })
    }

    /// A hard limit on money, written as a decimal number of USD.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: not a decimal number, negative, too large, or so small that nothing is left
    /// at a nano-USD.
    pub fn usd(amount: &str) -> Result<Self> {
        let money = Money::parse(amount)?;
        let named_zero = amount
            .bytes()
            .take_while(|b| !b.eq_ignore_ascii_case(&b'e'))
            .all(|b| !(b'1'..=b'9').contains(&b));
        if money == Money::ZERO && !named_zero {
            return Err(Error::invalid(format!("limit `{amount}` is less than a nano-USD")));
        }
        Self::new(Unit::Usd, money.nanos())
    }

    /// A hard limit on a count of tokens or calls, written as a whole number.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: not a whole number, negative, or too large.
    pub fn count(unit: Unit, amount: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("limit `{amount}` of {} is not a whole number", unit.name()));
        let digits = amount.strip_suffix(".0").unwrap_or(amount);
        Self::new(unit, digits.parse().map_err(|_| wrong())?)
    }

    /// A hard limit of any unit, as [`usd`](Self::usd) and [`count`](Self::count) read it.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no such amount of this unit.
    ///
    /// ```
    /// use outlay::{Limit, Unit};
    ///
    /// assert_eq!(Limit::parse(Unit::Usd, "0.50")?, Limit::usd("0.50")?);
    /// assert_eq!(Limit::parse(Unit::Tokens, "900")?, Limit::count(Unit::Tokens, "900")?);
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn parse(unit: Unit, amount: &str) -> Result<Self> {
        match unit {
            Unit::Usd => Self::usd(amount),
            _ => Self::count(unit, amount),
        }
    }

    /// The same as a soft limit: passing it is told, not refused.
    #[must_use]
    pub fn soft(self) -> Self {
        Self { hard: false, ..self }
    }

    /// The same over another window.
    #[must_use]
    pub fn per(self, window: Window) -> Self {
        Self { window, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn calendar_slots_follow_the_zone_and_its_clock_changes() {
        let berlin = Window::parse("day", Some("Europe/Berlin")).unwrap();
        let slot = berlin.slot(at("2026-10-25T12:00:00Z"));
        assert_eq!((slot.start, slot.end), (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z")));
        let week = Window::parse("week", None).unwrap().slot(at("2026-11-22T23:59:59Z"));
        assert_eq!((week.start, week.end), (at("2026-11-16T00:00:00Z"), at("2026-11-23T00:00:00Z")));
        let month = Window::parse("month", None).unwrap().slot(at("2028-02-29T00:00:00Z"));
        assert_eq!((month.start, month.end), (at("2028-02-01T00:00:00Z"), at("2028-03-01T00:00:00Z")));
    }

    #[test]
    fn a_rolling_bucket_counts_until_all_its_money_is_old() {
        let hour = Window::parse("rolling:1h", None).unwrap();
        let now = at("2026-11-22T12:00:30Z");
        assert_eq!(hour.oldest(now), at("2026-11-22T11:00:00Z"));
        assert_eq!(hour.leaves_at(at("2026-11-22T11:00:00Z")), Some(at("2026-11-22T12:01:00Z")));
        assert_eq!(hour.oldest(at("2026-11-22T12:01:00Z")), at("2026-11-22T11:01:00Z"));
    }

    #[test]
    fn a_window_that_sixty_does_not_divide_drops_no_young_money() {
        let odd = Window::parse("rolling:61s", None).unwrap();
        let spent = at("2026-11-22T12:00:00Z");
        for start in (spent..spent + 5_000).map(|at| odd.slot(at)) {
            let gone = odd.leaves_at(start.start).unwrap();
            assert!(gone - (start.end - 1) > 61_000, "its youngest money is older than the window");
            assert!(odd.oldest(gone) > start.start && odd.oldest(gone - 1) <= start.start);
        }
    }

    #[test]
    fn odd_windows_are_refused() {
        for text in
            ["", "rolling:", "rolling:1s", "rolling:24", "rolling:-1h", "rolling:99999999999h", "rolling:é"]
        {
            assert!(Window::parse(text, None).is_err(), "{text}");
        }
        assert!(Window::parse("day", Some("Mars/Olympus")).is_err());
    }

    #[test]
    fn a_limit_too_small_to_hold_is_refused_but_zero_is_a_limit() {
        assert_eq!(Limit::usd("0").unwrap().amount, 0);
        assert_eq!(Limit::usd("0e5").unwrap().amount, 0);
        assert!(Limit::usd("1e-10").is_err());
        assert!(Limit::usd("-1").is_err());
    }
}
