//! What has a formula?
//!
//! With failures independent of each other and of what steps cost, expectations do. What a run
//! costs beside the others is its mean (Wald), and how many there are is a geometric series.

use super::{
    Policy,
    flow::{FailedRunCost, Model, Stage},
};

/// Beyond this many rounds nothing is left of a series that can be planned.
const ROUNDS_MAX: i32 = 200_000;

/// Success and USD of a task.
type Figures = (f64, f64);

pub(super) struct Exact {
    restart: Figures,
    checkpoint: Option<Figures>,
    abort: Figures,
}

impl Exact {
    pub fn of(model: &Model) -> Self {
        let (success, run) = (model.run_success(), run_cost(model));
        let failure = 1.0 - success;
        let tries = match model.retries {
            None => 1.0 / success,
            Some(most) => series(failure, most + 1),
        };
        let lost = model.retries.map_or(0.0, |most| power(failure, most + 1));
        let checkpoint = match model.mode {
            FailedRunCost::Full => full_checkpoint(model, failure),
            FailedRunCost::Progress => progress_checkpoint(model),
        };
        Self { restart: (1.0 - lost, run * tries), checkpoint, abort: (success, run) }
    }

    /// Nothing where there is no formula.
    pub const fn of_policy(&self, policy: Policy) -> Option<Figures> {
        match policy {
            Policy::Restart => Some(self.restart),
            Policy::Checkpoint => self.checkpoint,
            Policy::Abort => Some(self.abort),
        }
    }
}

/// `x` to a power.
fn power(x: f64, n: u32) -> f64 {
    x.powi(n.cast_signed())
}

/// `1 + x + x² + …`, of so many terms.
fn series(x: f64, terms: u32) -> f64 {
    if x >= 1.0 { f64::from(terms) } else { (1.0 - power(x, terms)) / (1.0 - x) }
}

/// The mean cost of a run that may fail.
fn run_cost(model: &Model) -> f64 {
    if model.mode == FailedRunCost::Full {
        return model.ideal();
    }
    let reached = |reached: &mut f64, stage: &Stage| {
        let cost = *reached * stage.ideal();
        *reached *= stage.passes();
        Some(cost)
    };
    model.stages.iter().scan(1.0, reached).sum()
}

/// Each resume costs a part of a run, and fails as often as a run.
fn full_checkpoint(model: &Model, failure: f64) -> Option<Figures> {
    let resumes = match model.retries {
        None => failure / (1.0 - failure),
        Some(most) => failure * series(failure, most),
    };
    let lost = model.retries.map_or(0.0, |most| power(failure, most + 1));
    Some((1.0 - lost, model.ideal() * (1.0 + model.checkpoint_cost + model.resume_cost? * resumes)))
}

/// Steps that are done stay done; those that failed are done again.
fn progress_checkpoint(model: &Model) -> Option<Figures> {
    let resume = model.resume_cost? * model.ideal();
    let kept = model.ideal() * model.checkpoint_cost;
    match model.retries {
        None if model.stages.iter().all(|stage| stage.need == stage.fan_out) => {
            let cost = |stage: &Stage| stage.ideal() / stage.success + resume * resumes(stage);
            Some((1.0, kept + model.stages.iter().map(cost).sum::<f64>()))
        }
        Some(most) if model.stages.iter().all(|stage| stage.fan_out == 1) => {
            // For so many retries left, success and cost of what lies ahead.
            let mut ahead = vec![(1.0, 0.0); most as usize + 1];
            for stage in model.stages.iter().rev() {
                let (passed, failed) = (stage.success, 1.0 - stage.success);
                let mut at: Vec<Figures> = Vec::with_capacity(ahead.len());
                for next in &ahead {
                    let again = at.last().map_or((0.0, 0.0), |(success, cost)| (*success, cost + resume));
                    let success = passed * next.0 + failed * again.0;
                    at.push((success, stage.mean + passed * next.1 + failed * again.1));
                }
                ahead = at;
            }
            ahead.last().map(|(success, cost)| (*success, kept + cost))
        }
        _ => None,
    }
}

/// How often members of a stage are sent again until all have succeeded: the mean of the largest
/// of so many geometric numbers.
fn resumes(stage: &Stage) -> f64 {
    let failure = 1.0 - stage.success;
    let mut sum = 0.0;
    for round in 1..ROUNDS_MAX {
        let some_left = 1.0 - (1.0 - failure.powi(round)).powi(stage.fan_out.cast_signed());
        sum += some_left;
        if some_left < 1e-12 {
            break;
        }
    }
    sum
}

/// From which failure rate of a run on checkpoints pay.
pub(super) fn break_even(model: &Model) -> Option<f64> {
    let scaled = |scale: f64| {
        let mut model = model.clone();
        for stage in &mut model.stages {
            stage.success = 1.0 - (1.0 - stage.success) * scale;
        }
        model
    };
    let gain = |scale: f64| {
        let model = scaled(scale);
        let exact = Exact::of(&model);
        exact.checkpoint.map(|checkpoint| exact.restart.1 - checkpoint.1)
    };
    let worst = model.stages.iter().map(|stage| 1.0 - stage.success).fold(0.0, f64::max);
    if worst <= 0.0 {
        return None;
    }
    // Up to where the worst step fails 99 times of 100.
    let (mut low, mut high) = (0.0, 0.99 / worst);
    if gain(0.0)? >= 0.0 {
        return Some(0.0);
    }
    if gain(high)? <= 0.0 {
        return None;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if gain(middle)? < 0.0 { low = middle } else { high = middle }
    }
    Some(1.0 - scaled(high).run_success())
}
