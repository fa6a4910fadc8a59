//! An agent goes in circles: first it is told so, then its call is refused, then it is paused.
//!
//! No framework: the loop of the agent asks the breaker itself.
//!
//! Run it with `cargo run -q --example breaker`. It prints what `examples/python/breaker.py` prints.

use outlay::{
    Result,
    policy::{Breaker, Level, Step, StepKind},
};
use serde_json::json;

fn main() -> Result<()> {
    let mut breaker = Breaker::new(&json!({}))?;
    let args = json!({"query": "order 4711"});
    let mut call = Step::new(StepKind::Tool, "search");
    call.args = Some(&args);
    for number in 1..20 {
        let mut step = call.clone();
        if breaker.check(&call).level == Level::Refuse {
            println!("step {number}: not made");
            step.refused = true;
        } else {
            step.result = "no such order".into();
        }
        let verdict = breaker.observe(&step);
        let Some(detector) = verdict.detector else { continue };
        println!("step {number}: {} by {}", verdict.level.name(), detector.name());
        if verdict.level >= Level::Pause {
            println!("a person is asked: {} times the same", verdict.evidence.count);
            break;
        }
    }
    Ok(())
}
