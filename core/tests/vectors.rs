//! The cases of `tests/vectors`, which Python and TypeScript read too: the same values, counts and verdicts.

use std::{fs, path::Path};

use outlay::{
    Call, Error, ErrorKind, Field, Ledger, Limit, Money, Request, Task, TaskOptions, Unit, Usage,
    meter::{self, Api, Method, PriceBook, ServiceTier},
};
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/vectors/{name}.json"));
    let cases: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// What came of it, or nothing if it failed as the case says.
fn unless_refused<T>(case: &Value, result: Result<T, Error>) -> Option<T> {
    let Some(code) = case.get("error") else { return Some(result.unwrap()) };
    let Err(error) = result else { panic!("it did not fail: {case}") };
    assert_eq!(error.kind().code(), code, "{error}");
    if let Some(message) = case.get("message") {
        assert_eq!(error.to_string(), *message);
    }
    for (name, wanted) in case.get("fields").and_then(Value::as_object).into_iter().flatten() {
        let is_so = match error.field(name) {
            Some(Field::Money(money)) => money.decimal() == *wanted,
            Some(Field::Integer(count)) => *count == *wanted,
            Some(Field::Text(text)) => text == wanted,
            Some(Field::Flag(flag)) => flag == wanted,
            other => panic!("`{name}` is {other:?}"),
        };
        assert!(is_so, "{name}: {:?}, not {wanted}", error.field(name));
    }
    None
}

/// What a case says, if it says it.
fn told<'a>(case: &'a Value, name: &str) -> Option<&'a Value> {
    case.get(name).filter(|value| !value.is_null())
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {case}"))
}

fn usage(told: &Value) -> Usage {
    let count = |name: &str| told.get(name).map_or(0, |count| count.as_u64().unwrap());
    let long = count("cache_creation_1h_input_tokens");
    Usage {
        input_tokens: count("input_tokens"),
        output_tokens: count("output_tokens"),
        cache_read_tokens: count("cache_read_input_tokens"),
        cache_write_tokens: count("cache_creation_input_tokens") - long,
        cache_write_1h_tokens: long,
        reasoning_tokens: count("reasoning_output_tokens"),
        ..Usage::default()
    }
}

#[test]
fn errors_are_those_of_every_language() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/errors.json");
    let told: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let told: Vec<_> =
        told.iter().map(|kind| ["name", "code", "family"].map(|key| text(kind, key).to_owned())).collect();
    let known = ErrorKind::ALL.into_iter().map(|kind| {
        [format!("{kind:?}"), kind.code().to_owned(), format!("{:?}", kind.family()).to_lowercase()]
    });
    assert_eq!(known.collect::<Vec<_>>(), told);
}

#[test]
fn money_is_read_and_shown() {
    for case in cases("money") {
        let Some(money) = unless_refused(&case, Money::parse(text(&case, "text"))) else { continue };
        assert_eq!(
            (money.nanos().to_string().as_str(), money.decimal().as_str()),
            (text(&case, "nanos"), text(&case, "usd"))
        );
    }
}

#[test]
fn usage_is_read_from_responses() {
    for case in cases("usage") {
        let read = || {
            let api = Api::find(text(&case, "provider"), text(&case, "api"))?;
            let extracted = meter::usage_of_text(api, &case["body"].to_string())?;
            // Without one, the faces of the other languages make it an error.
            let Some(used) = extracted.usage else {
                "nothing".parse::<Api>()?;
                unreachable!()
            };
            Ok((used, extracted))
        };
        let Some((used, extracted)) = unless_refused(&case, read()) else { continue };
        assert_eq!(used, usage(&case["usage"]), "{case}");
        assert_eq!(
            extracted.cost.map(Money::decimal).as_deref(),
            told(&case, "cost").and_then(Value::as_str)
        );
        assert_eq!(extracted.model.as_deref(), told(&case, "model").and_then(Value::as_str));
        assert_eq!(extracted.service_tier.as_deref(), told(&case, "service_tier").and_then(Value::as_str));
        let unknown: Vec<&str> = told(&case, "unknown_fields")
            .map_or(vec![], |all| all.as_array().unwrap().iter().filter_map(Value::as_str).collect());
        assert_eq!(extracted.unknown_fields, unknown);
    }
}

#[test]
fn usage_is_priced() {
    for case in cases("price") {
        let ask = || {
            let tier = match told(&case, "service_tier").and_then(Value::as_str) {
                None => ServiceTier::Standard,
                Some(word) => match ServiceTier::read(word) {
                    Some(tier) => tier,
                    None => return Err("nothing".parse::<Api>().unwrap_err()),
                },
            };
            let price =
                PriceBook::bundled().find(None, text(&case, "model"), case["at_ms"].as_i64().unwrap())?;
            price.charge_served(&usage(&case["usage"]), tier)
        };
        let Some(charge) = unless_refused(&case, ask()) else { continue };
        for (name, money) in
            [("nanos", charge.amount), ("input_nanos", charge.input), ("output_nanos", charge.output)]
        {
            assert_eq!(money.nanos().to_string(), case[name], "{name} of {case}");
        }
    }
}

#[test]
fn texts_and_messages_are_counted() {
    let prices = PriceBook::bundled();
    for case in cases("count") {
        let model = text(&case, "model");
        let counted = match told(&case, "text") {
            Some(words) => prices.count_text(model, words.as_str().unwrap(), NOW),
            None => {
                let request = serde_json::json!({ "messages": case["messages"] }).to_string();
                prices.count_messages(model, request.as_bytes(), NOW)
            }
        };
        let Some(counted) = unless_refused(&case, counted) else { continue };
        assert_eq!(
            (counted.tokens, counted.bound),
            (case["tokens"].as_u64().unwrap(), case["bound"].as_u64().unwrap())
        );
        let method = match counted.method {
            Method::Exact => "exact",
            Method::Reconstructed => "reconstructed",
            Method::Calibrated | Method::Ceiling => "calibrated",
        };
        assert_eq!(method, case["method"]);
    }
}

/// 2026-11-22, noon.
const NOW: i64 = 1_795_348_800_000;

#[test]
fn decisions_are_the_same_everywhere() {
    for case in cases("decisions") {
        let mut options = TaskOptions::new("t");
        for (unit, limits) in case["limits"].as_object().unwrap() {
            for each in limits.as_array().unwrap() {
                options = options.limit(limit(unit, each));
            }
        }
        if case["clamp"] == true {
            options = options.clamp();
        }
        if case["observe"] == true {
            options = options.observe();
        }
        let task = Ledger::in_memory().open_task(options).unwrap();
        let mut calls = Vec::new();
        for step in case["steps"].as_array().unwrap() {
            follow(&task, &mut calls, step);
        }
        let balance = task.balance().unwrap();
        let spent = Money::from_nanos(balance.spent(Unit::Usd));
        assert_eq!(spent.decimal(), case["spent"], "{}", case["name"]);
        assert_eq!(balance.pending.usd().decimal(), case["pending"], "{}", case["name"]);
        let available = task.available().unwrap().map(Money::decimal);
        assert_eq!(
            available.as_deref(),
            told(&case, "available").and_then(Value::as_str),
            "{}",
            case["name"]
        );
    }
}

fn limit(unit: &str, told: &Value) -> Limit {
    let amount = text(told, "amount");
    let unit = Unit::ALL.into_iter().find(|known| known.name() == unit).unwrap();
    let limit = if unit == Unit::Usd { Limit::usd(amount) } else { Limit::count(unit, amount) }.unwrap();
    if told["soft"] == true { limit.soft() } else { limit }
}

fn follow(task: &Task, calls: &mut Vec<Call>, step: &Value) {
    if let Some(asked) = step.get("reserve") {
        let mut request =
            Request::model(text(asked, "model")).input_tokens(asked["input_tokens"].as_u64().unwrap());
        if let Some(most) = told(asked, "max_output_tokens") {
            request = request.max_output_tokens(most.as_u64().unwrap());
        }
        let Some(call) = unless_refused(step, task.reserve(&request)) else { return };
        assert!(told(step, "reserved").is_none_or(|held| call.reserved().decimal() == *held), "{step}");
        assert!(
            told(step, "max_output_tokens").is_none_or(|most| call.max_output_tokens() == *most),
            "{step}"
        );
        assert!(told(step, "over_soft").is_none_or(|over| call.over_soft() == *over), "{step}");
        assert_eq!(call.would_deny().is_some(), step["would_deny"] == true, "{step}");
        calls.push(call);
        return;
    }
    let call = |name: &str| step.get(name).map(|index| &calls[index.as_u64().unwrap() as usize]);
    if let Some(call) = call("settle") {
        let Some(settled) = unless_refused(step, call.settle(&usage(&step["usage"]))) else { return };
        assert!(told(step, "charge").is_none_or(|charge| settled.charge.decimal() == *charge), "{step}");
        assert!(told(step, "overrun").is_none_or(|over| settled.overrun.decimal() == *over), "{step}");
    } else if let Some(call) = call("void") {
        unless_refused(step, call.void());
    } else if let Some(call) = call("doubt") {
        unless_refused(step, call.doubt());
    } else {
        unless_refused(step, task.tool_call(text(step, "tool_call")));
    }
}
