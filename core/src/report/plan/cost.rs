//! What does a step cost each time?

use serde::Deserialize;

use fastrand::Rng;

/// The 95th percentile of the standard normal distribution.
const Z95: f64 = 1.644_853_626_951_472_7;

/// As it is written: a number of USD, two percentiles, three corners, or what was seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Cost {
    Fixed(f64),
    Percentiles(Percentiles),
    Corners(Corners),
    Seen(Seen),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Percentiles {
    p50: f64,
    p95: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Corners {
    min: f64,
    mode: f64,
    max: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    values: Vec<f64>,
}

/// A distribution of costs in USD.
#[derive(Clone, Debug)]
pub(super) enum Spread {
    Fixed(f64),
    /// Lognormal: of the logarithm the mean and the standard deviation.
    Lognormal(f64, f64),
    Triangular(f64, f64, f64),
    Seen(Vec<f64>),
}

impl Cost {
    /// Nothing when it cannot be.
    pub fn spread(&self) -> Option<Spread> {
        let sound = |value: f64| value.is_finite() && (0.0..=1e9).contains(&value);
        match self {
            Self::Fixed(value) => sound(*value).then_some(Spread::Fixed(*value)),
            Self::Percentiles(Percentiles { p50, p95 }) => {
                let fits = sound(*p95) && *p50 > 0.0 && p95 >= p50;
                fits.then(|| Spread::Lognormal(p50.ln(), (p95 / p50).ln() / Z95))
            }
            Self::Corners(Corners { min, mode, max }) => {
                let fits = sound(*min) && sound(*max) && min <= mode && mode <= max;
                fits.then_some(Spread::Triangular(*min, *mode, *max))
            }
            Self::Seen(Seen { values }) => {
                let fits = !values.is_empty() && values.iter().all(|value| sound(*value));
                fits.then(|| Spread::Seen(values.clone()))
            }
        }
    }
}

impl Spread {
    pub fn mean(&self) -> f64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Lognormal(mu, sigma) => (mu + sigma * sigma / 2.0).exp(),
            Self::Triangular(min, mode, max) => (min + mode + max) / 3.0,
            Self::Seen(values) => values.iter().sum::<f64>() / values.len() as f64,
        }
    }

    pub fn draw(&self, random: &mut Rng) -> f64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Lognormal(mu, sigma) => (mu + sigma * normal(random)).exp(),
            Self::Triangular(min, mode, max) => {
                let (u, width) = (random.f64(), max - min);
                if u * width < mode - min {
                    min + (u * width * (mode - min)).sqrt()
                } else {
                    max - ((1.0 - u) * width * (max - mode)).sqrt()
                }
            }
            Self::Seen(values) => values[random.usize(..values.len())],
        }
    }
}

/// By Box and Muller.
fn normal(random: &mut Rng) -> f64 {
    let (u, v) = (1.0 - random.f64(), random.f64());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
