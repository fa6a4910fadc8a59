//! What comes out when it is tried many times? From a seed, so that it always comes out the same.

use fastrand::Rng;

use super::{
    Estimate, Policy,
    flow::{FailedRunCost, Model, Stage},
};

/// 19 times of 20 the mean of many lies within so many standard errors.
const Z975: f64 = 1.959_963_984_540_054;
/// No flow that is planned comes near it: one that succeeds once in a thousand runs fails so often
/// once in 10⁴³ tasks.
const TRIES_MAX: u32 = 100_000;

pub(super) struct Simulated {
    pub success: Estimate,
    pub usd: Estimate,
    pub quantiles: [Estimate; 3],
}

pub(super) fn run(model: &Model, policy: Policy) -> Simulated {
    let mut random = Rng::with_seed(model.seed ^ policy as u64);
    let mut costs = Vec::with_capacity(model.samples as usize);
    let mut succeeded = 0_u32;
    for _ in 0..model.samples {
        let (cost, done) = task(model, policy, &mut random);
        costs.push(cost);
        succeeded += u32::from(done);
    }
    let n = f64::from(model.samples);
    let mean = costs.iter().sum::<f64>() / n;
    let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    costs.sort_by(f64::total_cmp);
    Simulated {
        success: share(f64::from(succeeded), n),
        usd: around(mean, (variance / n).sqrt()),
        quantiles: [0.50, 0.95, 0.99].map(|part| quantile(&costs, part)),
    }
}

fn around(value: f64, error: f64) -> Estimate {
    Estimate { value, interval: Some((value - Z975 * error, value + Z975 * error)) }
}

/// With Wilson's interval: that none of 4,000 failed does not say that none will.
fn share(succeeded: f64, n: f64) -> Estimate {
    Estimate { value: succeeded / n, interval: Some(wilson(succeeded, n)) }
}

/// Where a rate lies, 19 times of 20, of which so many of `n` were seen.
pub(in crate::report) fn wilson(succeeded: f64, n: f64) -> (f64, f64) {
    let (value, z2) = (succeeded / n, Z975 * Z975);
    let middle = (succeeded + z2 / 2.0) / (n + z2);
    let half = Z975 * (n * value * (1.0 - value) + z2 / 4.0).sqrt() / (n + z2);
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// The interval is that of the ranks, whatever the distribution.
fn quantile(sorted: &[f64], part: f64) -> Estimate {
    let n = sorted.len() as f64;
    let at = |rank: f64| sorted[(rank.max(0.0) as usize).min(sorted.len() - 1)];
    let (rank, error) = ((n * part).ceil() - 1.0, Z975 * (n * part * (1.0 - part)).sqrt());
    Estimate { value: at(rank), interval: Some((at((rank - error).floor()), at((rank + error).ceil()))) }
}

/// What one task costs, and whether it succeeds.
fn task(model: &Model, policy: Policy, random: &mut Rng) -> (f64, bool) {
    let retries = match policy {
        Policy::Abort => 0,
        Policy::Restart | Policy::Checkpoint => model.retries.unwrap_or(TRIES_MAX),
    };
    if policy == Policy::Checkpoint {
        return resumed(model, retries, random);
    }
    let mut cost = 0.0;
    for _ in 0..=retries {
        let (run, done) = one_run(model, random);
        cost += run;
        if done {
            return (cost, true);
        }
    }
    (cost, false)
}

fn one_run(model: &Model, random: &mut Rng) -> (f64, bool) {
    let (mut cost, mut done) = (0.0, true);
    for stage in &model.stages {
        cost += draw(stage, stage.fan_out, random);
        done = done && failures(stage, stage.fan_out, random) <= stage.fan_out - stage.need;
        if !done && model.mode == FailedRunCost::Progress {
            break;
        }
    }
    (cost, done)
}

fn resumed(model: &Model, retries: u32, random: &mut Rng) -> (f64, bool) {
    let resume = model.resume_cost.unwrap_or(0.0) * model.ideal();
    let mut cost = model.checkpoint_cost * model.ideal();
    let mut left = retries;
    if model.mode == FailedRunCost::Full {
        let (run, mut done) = one_run(model, random);
        cost += run;
        while !done && left > 0 {
            (cost, left) = (cost + resume, left - 1);
            done = random.f64() < model.run_success();
        }
        return (cost, done);
    }
    for stage in &model.stages {
        let mut open = stage.fan_out;
        loop {
            cost += draw(stage, open, random);
            open = failures(stage, open, random);
            if open <= stage.fan_out - stage.need {
                break;
            }
            if left == 0 {
                return (cost, false);
            }
            (cost, left) = (cost + resume, left - 1);
        }
    }
    (cost, true)
}

fn draw(stage: &Stage, members: u32, random: &mut Rng) -> f64 {
    (0..members).map(|_| stage.cost.draw(random)).sum()
}

fn failures(stage: &Stage, members: u32, random: &mut Rng) -> u32 {
    (0..members).filter(|_| random.f64() >= stage.success).count() as u32
}
