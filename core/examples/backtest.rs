//! How good are forecasts? `cargo run --release --example backtest` prints the table of docs/forecast.md.
//!
//! Series of daily spending are made by rules that are known, eight weeks are shown, and the sum of the
//! next ten days is guessed: by the forecast, and by the mean of the last four weeks.

use fastrand::Rng;
use outlay::report::Trend;

const SHOWN: usize = 56;
const AHEAD: usize = 10;
const RUNS: u64 = 2_000;

/// What a day costs, of its number, what the day of the week has of a working day, and chance.
type Rule = fn(day: usize, weekday: f64, random: &mut Rng) -> f64;

/// A number round 1, with this standard deviation.
fn about(deviation: f64, random: &mut Rng) -> f64 {
    (1.0 + deviation * normal(random)).max(0.0)
}

fn normal(random: &mut Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

const RULES: [(&str, Rule); 7] = [
    ("the same every day, ± 20 %", |_, _, random| 100.0 * about(0.2, random)),
    ("a fifth on weekends, ± 20 %", |_, weekday, random| 100.0 * weekday * about(0.2, random)),
    ("that, 1 % more each day", |day, weekday, random| {
        100.0 * 1.01_f64.powi(day as i32) * weekday * about(0.2, random)
    }),
    ("that, doubled three weeks before the guess", |day, weekday, random| {
        if day < SHOWN - 21 {
            100.0 * weekday * about(0.2, random)
        } else {
            200.0 * weekday * about(0.2, random)
        }
    }),
    ("that, doubled the day after the guess", |day, weekday, random| {
        if day < SHOWN { 100.0 * weekday * about(0.2, random) } else { 200.0 * weekday * about(0.2, random) }
    }),
    ("a fifth on weekends, few dear days (log-normal, σ 1)", |_, weekday, random| {
        100.0 * weekday * normal(random).exp()
    }),
    (
        "nothing on two days of three",
        |_, _, random| {
            if random.f64() < 1.0 / 3.0 { 300.0 * about(0.2, random) } else { 0.0 }
        },
    ),
];

fn main() {
    println!("| daily spending | error of the mean | error of the forecast | in the interval of 90 % |");
    println!("|---|---|---|---|");
    for (name, rule) in RULES {
        let (mut naive, mut ours, mut truths, mut within) = (0.0, 0.0, 0.0, 0_u64);
        for seed in 0..RUNS {
            let mut random = Rng::with_seed(seed);
            let first_weekday = (seed % 7) as usize;
            let weekday = |day: usize| if (first_weekday + day) % 7 < 5 { 1.0 } else { 0.2 };
            let daily: Vec<f64> =
                (0..SHOWN + AHEAD).map(|day| rule(day, weekday(day), &mut random)).collect();
            let truth: f64 = daily[SHOWN..].iter().sum();
            let mean = daily[SHOWN - 28..SHOWN].iter().sum::<f64>() / 28.0 * AHEAD as f64;
            let trend = Trend::fit(&daily[..SHOWN], first_weekday).expect("a long history");
            let guess = trend.ahead(&[1.0; AHEAD]);
            naive += (mean - truth).abs();
            ours += (guess.expected - truth).abs();
            truths += truth;
            within += u64::from((guess.low..=guess.high).contains(&truth));
        }
        let percent = |error: f64| 100.0 * error / truths;
        let within = 100.0 * within as f64 / RUNS as f64;
        println!("| {name} | {:.1} % | {:.1} % | {within:.0} % |", percent(naive), percent(ours));
    }
}
