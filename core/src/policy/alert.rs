//! At which part of a limit is somebody told?
//!
//! A threshold is a share of a limit, kept in per mille so that it is no float. It is passed when
//! what was spent reaches that share, rounded up; one that is sustained, when it stayed there.

use std::fmt;

use super::limit::{Ceiling, Unit, millis};
use crate::{
    error::{Error, Result},
    sync::Arc,
    value::Millis,
};

const PER_MILLE_MAX: u32 = 10_000;
const THRESHOLDS_MAX: usize = 16;
const SUSTAINED_MAX: Millis = 31 * 24 * 3_600_000;

/// A share of a limit somebody wants to be told of.
///
/// ```
/// use outlay::policy::Threshold;
///
/// let quarter = Threshold::parse("0.25")?;
/// assert_eq!((quarter.per_mille, quarter.to_string()), (250, "25%".to_owned()));
/// let sustained = Threshold::parse("90% for 10m")?;
/// assert_eq!((sustained.per_mille, sustained.sustained_ms), (900, 600_000));
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold {
    /// The share, in thousandths of the limit.
    pub per_mille: u32,
    /// How long it has to stay passed; 0 for not at all.
    pub sustained_ms: Millis,
}

impl Threshold {
    /// Reads `0.8` or `80%`, either with ` for 10m` behind it (units s, m, h, d).
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no share, none from 0.1 % to 1000 %, one finer than 0.1 %, or a time over a month.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let known = "a share up to 10 such as `0.8`, `80%` or `90% for 10m`";
            Error::invalid(format!("threshold `{text}` is not {known}"))
        };
        let (share, time) = text.split_once(" for ").unwrap_or((text, "0s"));
        let per_mille = match share.strip_suffix('%') {
            Some(percent) => scaled(percent, 1),
            None => scaled(share, 3),
        };
        let per_mille = per_mille.filter(|share| (1..=PER_MILLE_MAX).contains(share)).ok_or_else(wrong)?;
        let sustained_ms =
            millis(time).filter(|time| (0..=SUSTAINED_MAX).contains(time)).ok_or_else(wrong)?;
        Ok(Self { per_mille, sustained_ms })
    }

    /// How much of a limit it is, rounded up.
    pub fn of(self, limit: i64) -> i64 {
        let part = (i128::from(limit) * i128::from(self.per_mille) + 999) / 1_000;
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, tenth) = (self.per_mille / 10, self.per_mille % 10);
        if tenth == 0 {
            write!(f, "{percent}%")?;
        } else {
            write!(f, "{percent}.{tenth}%")?;
        }
        match self.sustained_ms {
            0 => Ok(()),
            time if time % 60_000 == 0 => write!(f, " for {}m", time / 60_000),
            time => write!(f, " for {}s", time / 1_000),
        }
    }
}

/// A decimal number times ten to the power of `digits`, if that is whole.
fn scaled(text: &str, digits: usize) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    let plain = |text: &str| text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > digits || !plain(whole) || !plain(part) {
        return None;
    }
    format!("{whole}{part:0<digits$}").parse().ok()
}

/// The thresholds on every limit of a budget or task, the lowest first.
///
/// ```
/// use outlay::policy::Thresholds;
///
/// let told = Thresholds::parse(["0.9", "50%", "0.5"])?;
/// assert_eq!(told.to_string(), "50%, 90%");
/// assert_eq!(Thresholds::usual().to_string(), "50%, 80%, 100%");
/// assert!(Thresholds::parse(["80"]).is_err());
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thresholds(Arc<[Threshold]>);

impl Thresholds {
    /// Reads each as [`Threshold::parse`] does; of none nobody is told.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: one that cannot be, or more than sixteen.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut read = texts.into_iter().map(Threshold::parse).collect::<Result<Vec<_>>>()?;
        read.sort_unstable();
        read.dedup();
        if read.len() > THRESHOLDS_MAX {
            return Err(Error::invalid(format!("there can be {THRESHOLDS_MAX} thresholds, not more")));
        }
        Ok(Self(read.into()))
    }

    /// Half, four fifths and all of the limit.
    pub fn usual() -> Self {
        let usual = [500, 800, 1_000].map(|per_mille| Threshold { per_mille, sustained_ms: 0 });
        Self(usual.as_slice().into())
    }

    /// Is nobody told?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with the unit and limit it is a share of: the hard limit, or the soft one where there is none.
    pub(crate) fn marks(&self, ceiling: &Ceiling) -> impl Iterator<Item = Mark> {
        let limit = |unit: Unit| ceiling.hard[unit as usize].or(ceiling.soft[unit as usize]);
        let limits = Unit::ALL.map(|unit| (unit, limit(unit).filter(|limit| *limit > 0)));
        let each = limits.into_iter().filter_map(|(unit, limit)| Some((unit, limit?)));
        each.flat_map(move |(unit, limit)| {
            self.0.iter().map(move |threshold| Mark { unit, limit, threshold: *threshold })
        })
    }

    /// Must any stay passed for a time?
    pub(crate) fn any_sustained(&self) -> bool {
        self.0.iter().any(|threshold| threshold.sustained_ms != 0)
    }
}

impl fmt::Display for Thresholds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Threshold::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

/// A threshold on one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub unit: Unit,
    pub limit: i64,
    pub threshold: Threshold,
}

impl Mark {
    /// How much has to be spent to pass it.
    pub fn amount(&self) -> i64 {
        self.threshold.of(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_by_its_decimal_form_and_printed_as_it_is_read() {
        for (text, shown, per_mille) in [
            ("0.5", "50%", 500),
            ("1", "100%", 1_000),
            ("1.50", "150%", 1_500),
            ("0.001", "0.1%", 1),
            ("66.6%", "66.6%", 666),
            ("10.0", "1000%", 10_000),
        ] {
            let threshold = Threshold::parse(text).unwrap();
            assert_eq!((threshold.per_mille, threshold.to_string().as_str()), (per_mille, shown));
            assert_eq!(Threshold::parse(shown).unwrap(), threshold);
        }
        for text in ["90% for 90s", "90% for 2m", "0.9 for 1h", "0.9 for 31d"] {
            let threshold = Threshold::parse(text).unwrap();
            assert_eq!(Threshold::parse(&threshold.to_string()).unwrap(), threshold, "{text}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "",
            "%",
            "0",
            "0%",
            "80",
            "1000.1%",
            "0.0005",
            "-0.5",
            "+0.5",
            "1e-1",
            ".5",
            "half",
            "0.5 for",
            "0.5 for 10",
            "0.5 for -1m",
            "0.5 for 32d",
            "0.5 for é",
            "99999999999%",
        ] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
        assert!(Thresholds::parse(["0.5"; 17]).is_ok());
        let many: Vec<String> = (1..=17).map(|n| format!("{n}%")).collect();
        assert!(Thresholds::parse(many.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn a_part_of_a_limit_is_rounded_up_and_never_wraps() {
        let third = Threshold::parse("33.3%").unwrap();
        assert_eq!((third.of(1), third.of(1_000), third.of(10)), (1, 333, 4));
        assert_eq!(Threshold::parse("1000%").unwrap().of(i64::MAX), i64::MAX);
    }
}
