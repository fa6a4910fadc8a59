//! How will daily spending go on?
//!
//! Two guesses are held against each other on the history itself: the mean of the last four weeks,
//! and a level of recent weeks with a factor for each day of the week. The second is used only where
//! it was the better one whenever the history was cut short and the days after the cut were guessed.
//!
//! ```
//! use outlay::report::Trend;
//!
//! // Eight weeks from a Monday on: 10 a day, nothing on weekends.
//! let daily: Vec<f64> = (0..56).map(|day| if day % 7 < 5 { 10.0 } else { 0.0 }).collect();
//! let trend = Trend::fit(&daily, 0).unwrap();
//! assert!(trend.follows_weekdays());
//! let week = trend.ahead(&[1.0; 7]);
//! assert!((week.expected - 50.0).abs() < 2.0 && week.low <= 50.0 && week.high >= 50.0);
//! ```

/// Fewer days tell nothing.
const DAYS_MIN: usize = 7;
/// Fewer do not tell which guess is the better one.
const TESTED_MIN: usize = 28;
/// Each guess of the test has seen as many days at least, and guesses so many.
const SEEN_MIN: usize = 14;
/// No whole week, in which the days of it would not show.
const AHEAD: usize = 4;
/// Days that the mean is made of.
const MEAN_DAYS: usize = 28;
/// After so many days a day counts half in the level.
const HALF_LIFE_DAYS: f64 = 7.0;
/// As many days of a mean week stand beside those seen of each weekday.
const PRIOR_DAYS: f64 = 1.0;
/// 9 times of 10 a normal number lies within so many standard deviations.
const Z95: f64 = 1.644_853_626_951_472_7;
/// More would say that days hardly differ from the ones before.
const CORRELATION_MAX: f64 = 0.8;

/// A sum over days to come, and where it lies nine times of ten, in the unit of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Projection {
    /// What is expected.
    pub expected: f64,
    /// One time of twenty it is less.
    pub low: f64,
    /// One time of twenty it is more.
    pub high: f64,
}

/// What came of guessing, again and again, the four days after a cut through the history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backtest {
    /// How many cuts.
    pub cuts: usize,
    /// How far the mean was from the truth, on average.
    pub mean_error: f64,
    /// How far the level with weekdays was.
    pub weekday_error: f64,
    /// How many truths lay in the interval of the better of the two.
    pub within: usize,
}

/// A guess of daily spending.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    fit: Fit,
    next_weekday: usize,
    test: Option<Backtest>,
}

impl Trend {
    /// Learns from whole days, the oldest first; `first_weekday` is that of the first, 0 for Monday.
    /// Nothing from less than a week.
    pub fn fit(daily: &[f64], first_weekday: usize) -> Option<Self> {
        if daily.len() < DAYS_MIN {
            return None;
        }
        let test = Backtest::of(daily, first_weekday);
        let follows_weekdays = test.is_some_and(|test| test.weekday_error < test.mean_error);
        let fit = if follows_weekdays { Fit::weekly(daily, first_weekday) } else { Fit::mean(daily) };
        Some(Self { fit, next_weekday: (first_weekday + daily.len()) % 7, test })
    }

    /// Is it better, on this history, to tell the days of the week from each other?
    pub const fn follows_weekdays(&self) -> bool {
        self.fit.is_weekly
    }

    /// How the two guesses did; nothing where the history is too short to tell.
    pub const fn test(&self) -> Option<Backtest> {
        self.test
    }

    /// The sum over the days to come, the first after the history first: of each this part, from 0 to 1.
    pub fn ahead(&self, parts: &[f64]) -> Projection {
        self.fit.sum(parts, self.next_weekday)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Fit {
    is_weekly: bool,
    level: f64,
    factors: [f64; 7],
    /// Of a day round what was expected of it.
    deviation: f64,
    /// The days the level is made of, as if each counted in full.
    days: f64,
}

impl Fit {
    fn mean(daily: &[f64]) -> Self {
        let daily = &daily[daily.len().saturating_sub(MEAN_DAYS)..];
        let level = daily.iter().sum::<f64>() / daily.len() as f64;
        Self::around(daily, 0, (level, [1.0; 7], 1.0), |_| 1.0)
    }

    fn weekly(daily: &[f64], first_weekday: usize) -> Self {
        let factors = factors(daily, first_weekday);
        let weight = |age: usize| (-(age as f64) / HALF_LIFE_DAYS).exp2();
        let (mut above, mut below) = (0.0, 0.0);
        for (index, value) in daily.iter().enumerate() {
            let (weight, factor) = (weight(daily.len() - index), factors[(first_weekday + index) % 7]);
            above += weight * value * factor;
            below += weight * factor * factor;
        }
        let level = if below > 0.0 { above / below } else { 0.0 };
        Self { is_weekly: true, ..Self::around(daily, first_weekday, (level, factors, 7.0), weight) }
    }

    /// Also how far days lie from it, of which so many numbers were chosen to lie near.
    fn around(
        daily: &[f64],
        first_weekday: usize,
        (level, factors, chosen): (f64, [f64; 7], f64),
        weight: impl Fn(usize) -> f64,
    ) -> Self {
        let expected = |index: usize| level * factors[(first_weekday + index) % 7];
        let off: Vec<f64> = daily.iter().enumerate().map(|(index, value)| value - expected(index)).collect();
        let weights: Vec<f64> = (0..daily.len()).map(|index| weight(daily.len() - index)).collect();
        let (sum, squares) = (weights.iter().sum::<f64>(), weights.iter().map(|w| w * w).sum::<f64>());
        let days = sum * sum / squares;
        let spread = off.iter().zip(&weights).map(|(off, weight)| weight * off * off).sum::<f64>() / sum;
        let variance = spread * days / (days - chosen).max(1.0) * lasting(&off);
        Self { is_weekly: false, level, factors, deviation: variance.sqrt(), days }
    }

    fn sum(&self, parts: &[f64], next_weekday: usize) -> Projection {
        let (mut expected, mut whole) = (0.0, 0.0);
        for (index, part) in parts.iter().enumerate() {
            expected += part * self.level * self.factors[(next_weekday + index) % 7];
            whole += part;
        }
        // Days differ each on its own; an error of the level is in all of them.
        let error = self.deviation * (whole + whole * whole / self.days).sqrt();
        // Student's, to the first order.
        let times = Z95 + (Z95.powi(3) + Z95) / (4.0 * (self.days - 1.0).max(1.0));
        Projection { expected, low: (expected - times * error).max(0.0), high: expected + times * error }
    }
}

/// What each day of the week is of a mean day; on average 1.
fn factors(daily: &[f64], first_weekday: usize) -> [f64; 7] {
    let mean = daily.iter().sum::<f64>() / daily.len() as f64;
    let (mut sums, mut days) = ([PRIOR_DAYS * mean; 7], [PRIOR_DAYS; 7]);
    for (index, value) in daily.iter().enumerate() {
        let weekday = (first_weekday + index) % 7;
        sums[weekday] += value;
        days[weekday] += 1.0;
    }
    let mut factors = [1.0; 7];
    for (factor, (sum, days)) in factors.iter_mut().zip(sums.iter().zip(days)) {
        *factor = sum / days;
    }
    let whole: f64 = factors.iter().sum();
    if whole > 0.0 { factors.map(|factor| factor * 7.0 / whole) } else { [1.0; 7] }
}

/// By how much the variance of a sum of days is larger where a day is like the one before it.
fn lasting(off: &[f64]) -> f64 {
    let squares: f64 = off.iter().map(|off| off * off).sum();
    let next: f64 = off.iter().zip(off.iter().skip(1)).map(|(one, next)| one * next).sum();
    let correlation = if squares > 0.0 { (next / squares).clamp(0.0, CORRELATION_MAX) } else { 0.0 };
    (1.0 + correlation) / (1.0 - correlation)
}

impl Backtest {
    fn of(daily: &[f64], first_weekday: usize) -> Option<Self> {
        if daily.len() < TESTED_MIN {
            return None;
        }
        let mut test = Self { cuts: 0, mean_error: 0.0, weekday_error: 0.0, within: 0 };
        let mut within = [0, 0];
        for cut in SEEN_MIN..=daily.len() - AHEAD {
            let (seen, ahead) = (&daily[..cut], &daily[cut..cut + AHEAD]);
            let truth: f64 = ahead.iter().sum();
            let fits = [Fit::mean(seen), Fit::weekly(seen, first_weekday)];
            let [mean, weekly] = fits.map(|fit| fit.sum(&[1.0; AHEAD], (first_weekday + cut) % 7));
            test.cuts += 1;
            test.mean_error += (mean.expected - truth).abs();
            test.weekday_error += (weekly.expected - truth).abs();
            for (count, guess) in within.iter_mut().zip([mean, weekly]) {
                *count += usize::from((guess.low..=guess.high).contains(&truth));
            }
        }
        test.mean_error /= test.cuts as f64;
        test.weekday_error /= test.cuts as f64;
        test.within = within[usize::from(test.weekday_error < test.mean_error)];
        Some(test)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_week_is_enough_and_six_days_are_not() {
        assert_eq!(Trend::fit(&[3.0; 6], 2), None);
        let trend = Trend::fit(&[3.0; 7], 2).unwrap();
        let two = trend.ahead(&[0.5, 1.0]);
        assert!((two.expected - 4.5).abs() < 1e-9 && two.low <= two.expected && two.expected <= two.high);
        assert_eq!(trend.test(), None);
    }

    #[test]
    fn where_nothing_was_spent_nothing_is_expected() {
        let trend = Trend::fit(&[0.0; 56], 0).unwrap();
        assert_eq!(trend.ahead(&[1.0; 30]), Projection::default());
        assert!(!trend.follows_weekdays());
    }

    #[test]
    fn the_days_of_the_week_are_the_right_ones() {
        // From a Thursday on; only Saturdays cost.
        let daily: Vec<f64> = (0..49).map(|day| if (3 + day) % 7 == 5 { 70.0 } else { 0.0 }).collect();
        let trend = Trend::fit(&daily, 3).unwrap();
        // The last day was a Wednesday: Thursday, Friday, Saturday.
        assert!(trend.ahead(&[1.0, 1.0]).expected < 8.0);
        assert!(trend.ahead(&[0.0, 0.0, 1.0]).expected > 50.0);
    }

    proptest! {
        #[test]
        fn whatever_the_history_a_guess_is_a_number_in_its_interval(
            daily in prop::collection::vec(prop_oneof![Just(0.0), 0.0..1e9_f64], 7..90),
            weekday in 0..7_usize,
            days in 1..400_usize,
        ) {
            let trend = Trend::fit(&daily, weekday).unwrap();
            let mut before = Projection::default();
            for ahead in 1..=days {
                let now = trend.ahead(&vec![1.0; ahead]);
                prop_assert!(now.expected.is_finite() && now.high.is_finite());
                prop_assert!(0.0 <= now.low && now.low <= now.expected && now.expected <= now.high);
                prop_assert!(now.expected >= before.expected && now.high >= before.high);
                before = now;
                if ahead > 40 { break; }
            }
        }
    }
}
