//! From when on?

use std::str::FromStr;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{
    error::{Error, Result},
    value::Millis,
};

/// Where a report begins: at a time, or so long before now.
///
/// ```
/// use outlay::report::Since;
///
/// assert_eq!("24h".parse::<Since>()?, Since::Last(86_400_000));
/// assert_eq!("2026-11-01".parse::<Since>()?, Since::At(1_793_491_200_000));
/// assert_eq!("2026-11-01T01:00:00+01:00".parse::<Since>()?, Since::At(1_793_491_200_000));
/// assert!("yesterday".parse::<Since>().is_err());
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From this time on.
    At(Millis),
    /// The last so many milliseconds.
    Last(Millis),
}

impl Since {
    /// The time it means at `now`.
    pub const fn at(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::Last(length) => now.saturating_sub(length),
        }
    }
}

impl FromStr for Since {
    type Err = Error;

    /// Reads `90s`, `30m`, `24h`, `7d`, `2w`, a date (midnight in UTC) or a time with its offset.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::invalid(format!("`{text}` is no time: write `7d`, `24h`, `30m` or `2026-11-01`"));
        let unit = match text.as_bytes().last() {
            Some(b's') => 1_000,
            Some(b'm') => 60_000,
            Some(b'h') => 3_600_000,
            Some(b'd') => 86_400_000,
            Some(b'w') => 604_800_000,
            _ => 0,
        };
        if unit != 0 {
            let digits = &text[..text.len() - 1];
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let length = plain.then(|| digits.parse::<Millis>().ok()?.checked_mul(unit)).flatten();
            return length.map(Self::Last).ok_or_else(wrong);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time.as_millisecond()));
        }
        let midnight = text.parse::<Date>().ok().filter(|_| text.len() == 10);
        let midnight = midnight.and_then(|date| date.to_zoned(TimeZone::UTC).ok()).ok_or_else(wrong)?;
        Ok(Self::At(midnight.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "d", "-7d", "+7d", "1.5h", "7", "9999999999999999w", "2026-13-01", "2026-11-01T", "é"]
        {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
