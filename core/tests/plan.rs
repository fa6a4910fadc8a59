//! Are plans what their formulas say? Figures by hand, and simulations beside what has a formula.

use outlay::{
    ErrorKind, Result,
    meter::PriceBook,
    report::{Flow, Plan, Policy},
};
use proptest::prelude::*;

const NOON: i64 = 1_795_348_800_000;

fn planned(text: &str) -> Result<Plan> {
    Flow::from_toml(text)?.plan(PriceBook::bundled(), NOON)
}

fn overhead(text: &str, policy: Policy) -> f64 {
    let plan = planned(text).unwrap();
    let row = plan.row(policy).unwrap();
    assert!(row.usd.interval.is_none(), "it has a formula");
    row.overhead()
}

#[track_caller]
fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{value}, not {expected}");
}

/// Steps of equal cost that succeed so often.
fn steps(options: &str, success: &[f64]) -> String {
    let step = |success: &f64| format!("{{ name = 's', usd = 0.1, success = {success} }}");
    let steps: Vec<String> = success.iter().map(step).collect();
    format!("{options}\nstep = [{}]", steps.join(", "))
}

#[test]
fn a_failed_run_that_counts_in_full_costs_what_the_formulas_say() {
    let one = |success: f64, policy| {
        overhead(&steps("failed_run_cost = 'full'\nresume_cost = 0.3", &[success]), policy)
    };
    close(one(0.9, Policy::Restart), 1.0 / 0.9); // 1.11
    close(one(0.9, Policy::Checkpoint), 1.0 + 0.3 * 0.1 / 0.9); // 1.033
    close(one(0.7, Policy::Checkpoint), 1.0 + 0.3 * 0.3 / 0.7); // 1.129
    close(one(0.7, Policy::Abort), 1.0);
    assert_eq!(format!("{:.2} {:.3}", one(0.9, Policy::Restart), one(0.9, Policy::Checkpoint)), "1.11 1.033");
    assert_eq!(format!("{:.3}", one(0.7, Policy::Checkpoint)), "1.129");
}

#[test]
fn three_steps_of_nine_in_ten() {
    let three = [0.9; 3];
    let full = |retries: &str| steps(&format!("failed_run_cost = 'full'\n{retries}"), &three);
    close(planned(&full("")).unwrap().run_success, 0.729);
    close(overhead(&full("retries = 1"), Policy::Restart), 1.271);
    close(overhead(&full("retries = 'until_success'"), Policy::Restart), 1.0 / 0.729); // 1.37
    // What was not reached was not paid.
    let run = (1.0 + 0.9 + 0.81) / 3.0;
    close(overhead(&steps("retries = 1", &three), Policy::Restart), run * 1.271); // 1.15
    close(overhead(&steps("", &three), Policy::Restart), run / 0.729); // 1.24
    close(overhead(&steps("", &three), Policy::Abort), run);
    close(overhead(&steps("", &three), Policy::Checkpoint), 1.0 / 0.9);
    let shown = |retries| format!("{:.2}", overhead(&steps(retries, &three), Policy::Restart));
    assert_eq!([shown("retries = 1"), shown("")], ["1.15", "1.24"]);
    let once = planned(&steps("retries = 1", &three)).unwrap();
    close(once.row(Policy::Restart).unwrap().success.value, 1.0 - 0.271 * 0.271);
    // Each of the three may use the one retry: none fails, or one of them once.
    close(once.row(Policy::Checkpoint).unwrap().success.value, 0.729 + 3.0 * 0.1 * 0.729);
}

#[test]
fn five_steps_of_four_in_a_hundred_fail_every_fifth_task() {
    let plan = planned(&steps("retries = 0", &[0.96; 5])).unwrap();
    close(1.0 - plan.row(Policy::Restart).unwrap().success.value, 1.0 - 0.96_f64.powi(5));
    assert_eq!(format!("{:.1}", (1.0 - plan.run_success) * 100.0), "18.5");
}

#[test]
fn ten_thousand_tasks_cost_what_their_tokens_cost() {
    let flow = |more: &str, step: &str| {
        format!(
            "tasks = 10000\n{more}\n[[step]]\nname = 'refund'\ninput_tokens = 35000\noutput_tokens = 8000\n{step}"
        )
    };
    let given = "usd_per_million = { input = 3, output = 15 }";
    let plan = planned(&flow("", given)).unwrap();
    close(plan.total_usd(Policy::Abort).unwrap(), 2_250.0);
    let by_name = planned(&flow("", "model = 'claude-sonnet-4-5'")).unwrap();
    close(by_name.total_usd(Policy::Abort).unwrap(), 2_250.0);
    // One retry of what fails 18 times of 100 is a tax of 18 %.
    let taxed = flow("retries = 1\nfailed_run_cost = 'full'", &format!("{given}\nsuccess = 0.82"));
    close(planned(&taxed).unwrap().total_usd(Policy::Restart).unwrap(), 2_655.0);
}

#[test]
fn checkpoints_break_even_where_the_formula_says() {
    let text = steps("failed_run_cost = 'full'\nresume_cost = 0.3\ncheckpoint_cost = 0.05", &[0.9]);
    let plan = planned(&text).unwrap();
    let even = plan.break_even.unwrap();
    close(even.usd_per_task, 0.1 * (1.0 / 0.9 - 1.05 - 0.3 * 0.1 / 0.9));
    // 1/(1-f) = 1 + o + r·f/(1-f) at f = o/(1-r+o).
    assert!((even.failure_rate.unwrap() - 0.05 / 0.75).abs() < 1e-9);
    assert!(plan.to_string().contains("and from a failure rate of 6.7 % on"), "{plan}");
    let dear = planned(&steps("checkpoint_cost = 90", &[0.9])).unwrap();
    assert!(dear.break_even.unwrap().usd_per_task < 0.0);
    let even = planned(&steps("failed_run_cost = 'full'\nresume_cost = 1", &[0.9])).unwrap().to_string();
    assert!(even.ends_with("checkpoints cost a task as much as they save"), "{even}");
    // Without a word on what a resume costs there is nothing to compare.
    assert!(planned(&steps("failed_run_cost = 'full'", &[0.9])).unwrap().break_even.is_none());
}

#[test]
fn of_a_fan_out_enough_must_succeed() {
    let text = "step = [{ name = 's', usd = 0.1, success = 0.9, fan_out = 3, need = 2 }]";
    let plan = planned(text).unwrap();
    close(plan.run_success, 0.9_f64.powi(3) + 3.0 * 0.81 * 0.1);
    close(plan.ideal_usd, 0.3);
    // Which of them are sent again has no formula here.
    assert!(plan.row(Policy::Checkpoint).unwrap().usd.interval.is_some());
    let all = planned("step = [{ name = 's', usd = 0.1, success = 0.9, fan_out = 3 }]").unwrap();
    close(all.row(Policy::Checkpoint).unwrap().usd.value, 0.3 / 0.9);
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let text = |seed: u32| steps(&format!("seed = {seed}\nsamples = 2000"), &[0.8, 0.9]);
    assert_eq!(planned(&text(1)).unwrap(), planned(&text(1)).unwrap());
    let spread = |seed: u32| {
        format!("seed = {seed}\nstep = [{{ name = 's', usd = {{ p50 = 0.1, p95 = 0.4 }}, success = 0.9 }}]")
    };
    assert_ne!(planned(&spread(1)).unwrap(), planned(&spread(2)).unwrap());
}

#[test]
fn costs_are_drawn_from_what_is_written() {
    let plan =
        |usd: &str| planned(&format!("samples = 100000\nstep = [{{ name = 's', usd = {usd} }}]")).unwrap();
    let quantile = |plan: &Plan, index: usize| plan.rows[0].quantiles[index];
    let lognormal = plan("{ p50 = 0.1, p95 = 0.4 }");
    for (index, expected) in [(0, 0.1), (1, 0.4)] {
        let (low, high) = quantile(&lognormal, index).interval.unwrap();
        assert!(low <= expected && expected <= high, "{low} {expected} {high}");
    }
    let sigma = 4_f64.ln() / 1.644_853_626_951_472_7;
    close(lognormal.ideal_usd, 0.1 * (sigma * sigma / 2.0).exp());
    let triangular = plan("{ min = 1, mode = 2, max = 6 }");
    close(triangular.ideal_usd, 3.0);
    // Below the median of the triangle lies half its area: 6 - √(5·4/2).
    assert!((quantile(&triangular, 0).value - (6.0 - 10_f64.sqrt())).abs() < 0.03);
    close(plan("{ values = [1, 2, 6] }").ideal_usd, 3.0);
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let invalid =
        |text: &str| assert_eq!(planned(text).unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
    for text in [
        "",
        "step = []",
        "speed = 3\nstep = [{ name = 's', usd = 1 }]",
        "step = [{ name = 's' }]",
        "step = [{ name = 's', usd = 1, model = 'gpt-4o' }]",
        "step = [{ name = 's', usd = -1 }]",
        "step = [{ name = 's', usd = nan }]",
        "step = [{ name = 's', usd = 0 }]",
        "step = [{ name = 's', usd = { p50 = 2, p95 = 1 } }]",
        "step = [{ name = 's', usd = { values = [] } }]",
        "step = [{ name = 's', usd = 1, success = 1.1 }]",
        "step = [{ name = 's', usd = 1, success = 0.0001 }]",
        "step = [{ name = 's', usd = 1, fan_out = 0 }]",
        "step = [{ name = 's', usd = 1, fan_out = 3, need = 4 }]",
        "step = [{ name = 's', usd = 1, fan_out = 10000 }]\nsamples = 1000000",
        "retries = 'often'\nstep = [{ name = 's', usd = 1 }]",
        "retries = 101\nstep = [{ name = 's', usd = 1 }]",
        "samples = 0\nstep = [{ name = 's', usd = 1 }]",
        "resume_cost = -1\nstep = [{ name = 's', usd = 1 }]",
    ] {
        invalid(text);
    }
    let unknown =
        planned("step = [{ name = 's', model = 'nobody-knows-it', input_tokens = 1 }]").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Unpriced);
    assert_eq!(Flow::from_json("{\"step\": 3}").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn json_says_the_same_as_toml() {
    let json = r#"{"tasks": 5, "retries": 1, "seed": null, "resume_cost": 0.5,
        "step": [{"name": "s", "usd": {"p50": 0.1, "p95": 0.4}, "success": 0.9, "fan_out": 2},
                 {"name": "t", "usd": 1}]}"#;
    let toml = "tasks = 5\nretries = 1\nresume_cost = 0.5\nstep = [
        { name = 's', usd = { p50 = 0.1, p95 = 0.4 }, success = 0.9, fan_out = 2 }, { name = 't', usd = 1 }]";
    let json = Flow::from_json(json).unwrap().plan(PriceBook::bundled(), NOON).unwrap();
    assert_eq!(json, planned(toml).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]

    /// Whatever has a formula is also simulated: the two must agree, to five standard errors. That of
    /// a share is the formula's, as failures that were never drawn leave none in what was tried.
    #[test]
    fn formulas_agree_with_what_is_tried(
        steps in prop::collection::vec((0.6..1.0_f64, 0.01..1.0_f64, 1..4_u32, 1..4_u32), 1..5),
        retries in prop::option::of(0..3_u32),
        full in any::<bool>(),
        resume in 0.0..0.5_f64,
        seed in any::<u32>(),
    ) {
        let step = |(success, usd, fan_out, need): &(f64, f64, u32, u32)| {
            let need = need.min(fan_out);
            format!(
                "{{ name = 's', usd = {{ p50 = {usd}, p95 = {} }}, success = {success},
                    fan_out = {fan_out}, need = {need} }}",
                usd * 1.5
            ).replace('\n', " ")
        };
        let retries = retries.map(|most| format!("retries = {most}\n")).unwrap_or_default();
        let mode = if full { "full" } else { "progress" };
        let text = format!(
            "{retries}failed_run_cost = '{mode}'\nresume_cost = {resume}\nseed = {seed}\nsamples = 4000\nstep = [{}]",
            steps.iter().map(step).collect::<Vec<_>>().join(", ")
        );
        let flow = Flow::from_toml(&text).unwrap();
        let exact = flow.plan(PriceBook::bundled(), NOON).unwrap();
        let tried = flow.simulate(PriceBook::bundled(), NOON).unwrap();
        for (row, tried) in exact.rows.iter().zip(&tried.rows) {
            let (low, high) = tried.usd.interval.unwrap();
            let share = row.success.value;
            for (exact, tried, error) in [
                (row.usd, tried.usd, (high - low) / (2.0 * 1.96)),
                (row.success, tried.success, (share * (1.0 - share) / 4000.0).sqrt()),
            ] {
                let most = 5.0 * error + 1e-3;
                prop_assert!((exact.value - tried.value).abs() <= most, "{exact:?} {tried:?} {text}");
            }
        }
    }
}
