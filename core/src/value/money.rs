//! How much money is it?
//!
//! Money is a whole number of nano-USD in 64 bits (up to nine billion USD); unit prices are whole
//! pico-USD per token. There is no float anywhere: a number a person typed comes in as its
//! shortest decimal form, and leaves as an exact decimal.

use std::fmt;

use crate::error::{Error, Result};

/// An amount in nano-USD. Negative only as a difference.
///
/// ```
/// use outlay::Money;
///
/// let half = Money::parse("0.5")?;
/// assert_eq!(half.nanos(), 500_000_000);
/// assert_eq!(half.to_string(), "0.50 USD");
/// assert_eq!(Money::from_nanos(7_500_000).to_string(), "0.0075 USD");
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

const NANOS_PER_USD: i64 = 1_000_000_000;

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// From nano-USD.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nano-USD.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// From pico-USD, rounded up; nothing when it does not fit. Dividing 128 bits costs more than
    /// all else a call is priced by, and is rarely needed.
    pub(crate) fn from_pico_up(pico: i128) -> Option<Self> {
        const PICO_PER_NANO: i64 = 1_000;
        let up = pico.checked_add(i128::from(PICO_PER_NANO) - 1)?;
        let nanos = match i64::try_from(up) {
            Ok(up) => up.div_euclid(PICO_PER_NANO),
            Err(_) => i64::try_from(up.div_euclid(PICO_PER_NANO.into())).ok()?,
        };
        Some(Self(nanos))
    }

    /// Reads a decimal number of USD such as `0.50`, `12` or `1e-05`. Digits below a nano-USD are
    /// cut off, towards zero: a limit never grows by being read.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: not a decimal number, or beyond nine billion USD.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::invalid(format!("amount `{text}` is not a decimal number"));
        let large = || Error::invalid(format!("amount `{text}` is too large"));
        let nanos = decimal(text.trim(), 9).ok_or_else(wrong)?;
        i64::try_from(nanos).map(Self).map_err(|_| large())
    }

    /// The sum, or nothing when it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The decimal form without the unit: at least two decimals, no further trailing zeros.
    pub fn decimal(self) -> String {
        let (whole, nanos) =
            (self.0.unsigned_abs() / NANOS_PER_USD as u64, self.0.unsigned_abs() % NANOS_PER_USD as u64);
        let fraction = format!("{nanos:09}");
        let kept = fraction.trim_end_matches('0').len().max(2);
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{whole}.{}", &fraction[..kept])
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD", self.decimal())
    }
}

/// `text` times ten to the power of `places`, cut towards zero; nothing when it is not a decimal
/// number. Saturates far outside 64 bits, so the caller's range check still answers.
pub(crate) fn decimal(text: &str, places: i32) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.clamp(-100, 100)),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() || mantissa.len() > 100 {
        return None;
    }
    let mut value: i128 = 0;
    // Where the decimal point lands: digits before `point` count, those behind are cut off.
    let point = whole.len() as i32 + exponent + places;
    for (index, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let digit = (digit as char).to_digit(10)?;
        if (index as i32) < point {
            value = value.saturating_mul(10).saturating_add(i128::from(digit));
        }
    }
    let digits = (whole.len() + fraction.len()) as i32;
    for _ in digits..point {
        value = value.saturating_mul(10);
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_number_is_taken_by_its_decimal_form() {
        let cases = [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            ("1e-05", 10_000),
            (".25", 250_000_000),
            ("0.30000000000000004", 300_000_000),
            ("-0.5", -500_000_000),
            ("1E2", 100_000_000_000),
            ("2.", 2_000_000_000),
            ("0.0000000019", 1),
            ("1e-40", 0),
        ];
        for (text, nanos) in cases {
            assert_eq!(Money::parse(text).unwrap().nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "nan", "inf", "-", ".", "1.2.3", "1e", "0x10", "١", "9300000000", "1e99", "1_000"] {
            assert!(Money::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn money_prints_two_decimals_and_no_trailing_zeros() {
        for (nanos, text) in [
            (1_000_000_000, "1.00"),
            (45_000_000, "0.045"),
            (7_500_000, "0.0075"),
            (-1, "-0.000000001"),
            (i64::MIN, "-9223372036.854775808"),
            (0, "0.00"),
        ] {
            assert_eq!(Money::from_nanos(nanos).decimal(), text);
        }
    }
}
