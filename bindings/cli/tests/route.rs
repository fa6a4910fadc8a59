//! What the command says about cheaper models.

mod fixture;

use fixture::outlay;
use serde_json::Value;

const ASKED: [&str; 7] = ["route", "explain", "gpt-4o", "--input", "20000", "--output", "4000"];

#[test]
fn each_model_gets_its_answer() {
    let list = "claude-haiku-4-5,gpt-3.5-turbo,no-such-model,gpt-4o-mini,gpt-4.1-nano";
    let (code, out, errors) = outlay(&[&ASKED[..], &["--fallback", list]].concat());
    assert_eq!((code, errors.as_str()), (0, ""));
    let row = |model: &str| out.lines().find(|line| line.starts_with(model)).unwrap().to_owned();
    assert!(out.starts_with("once a call would pass a soft limit"), "{out}");
    assert!(row("gpt-4o ").contains("0.09"), "{out}");
    assert!(row("claude-haiku-4-5").ends_with("another provider's"), "{out}");
    assert!(row("gpt-3.5-turbo").ends_with("the call is longer than its context window"), "{out}");
    assert!(row("no-such-model").contains("has no known price"), "{out}");
    assert!(row("gpt-4o-mini").ends_with("takes the call"), "{out}");
    assert!(row("gpt-4.1-nano").ends_with("would take it after the one above"), "{out}");

    let asked = |more: &[&str]| outlay(&[&ASKED[..], more].concat());
    let (_, out, _) = asked(&["--fallback", list, "--needs", "tools,other"]);
    assert!(!out.contains("takes the call") && out.contains("not known to take all"), "{out}");
    let (_, out, _) = asked(&["--fallback", "gpt-4-turbo,gpt-4o-mini", "--needs", "tools,schema"]);
    assert!(out.contains("not known to take a form its answer must have"), "{out}");
    let (code, _, errors) = asked(&["--fallback", list, "--needs", "magic"]);
    assert_eq!(code, 2);
    assert!(errors.contains("it is none of chat, responses"), "{errors}");

    let (_, out, _) = outlay(&[&ASKED[..], &["--fallback", list, "--json"]].concat());
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["most_usd"], &said["always"]), (&"0.09".into(), &false.into()));
    let other = |no: usize, key: &str| said["others"][no][key].clone();
    assert_eq!((other(0, "reason"), other(3, "taken")), ("another provider's".into(), true.into()));
    assert_eq!((other(3, "most_usd"), other(3, "reason")), ("0.0054".into(), Value::Null));
}

#[test]
fn without_a_rule_or_a_price_it_says_so() {
    let (code, out, errors) = outlay(&ASKED);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        errors.ends_with("no rule of the configuration is about model `gpt-4o` (not_found)\n"),
        "{errors}"
    );
    let (code, _, errors) = outlay(&["route", "explain", "no-such-model", "--fallback", "gpt-4o-mini"]);
    assert_eq!(code, 1);
    assert!(errors.ends_with("(unpriced)\n"), "{errors}");
}
