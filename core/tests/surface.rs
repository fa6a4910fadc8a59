//! Has the crate what `tests/surface.toml` says, and nothing at its root that the file does not know?

use std::{collections::BTreeSet, fs, path::Path};

use outlay::{meter, policy, report, run};

/// The paths, each of which must exist for this to compile.
macro_rules! exist {
    (types: $($type:path),+; functions: $($function:path),+ $(,)?) => {{
        $(let _: Option<$type> = None;)+
        $(let _ = $function;)+
        [$(stringify!($type),)+ $(stringify!($function)),+]
    }};
}

/// At the root of the crate, and beyond what packages name.
const OF_RUST: [(&str, &str); 21] = [
    ("Amounts", "part of `Balance`"),
    ("Attempt", "how an attempt ends: `succeed` and `fail` in the packages"),
    ("Balance", "`spent`, `pending`, `in_doubt` in the packages"),
    ("BudgetOptions", "keyword arguments, options"),
    ("Clock", "handed in by tests"),
    ("Config", "`configure`"),
    ("Denial", "fields of `BudgetExceeded`"),
    ("ErrorKind", "classes: tests/errors.json"),
    ("Family", "classes: tests/errors.json"),
    ("Field", "attributes of errors"),
    ("Id", "a text"),
    ("Ledger", "what `ledger` gives"),
    ("ManualClock", "handed in by tests"),
    ("Millis", "a date"),
    ("Outcome", "the state of a call"),
    ("Request", "keyword arguments, options"),
    ("Result", "exceptions"),
    ("Tags", "a dict, an object"),
    ("TaskOptions", "keyword arguments, options"),
    ("Unit", "a text"),
    ("Window", "a text"),
];

fn surface() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/surface.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn what_the_packages_name_is_in_the_crate() {
    let exist = exist!(
        types: outlay::ledger::Alert, policy::Breaker, outlay::Call, meter::Charge, meter::Counted, outlay::Limit, outlay::Money,
            outlay::Error, outlay::Settled, outlay::Task, outlay::Usage, policy::Verdict;
        functions: outlay::Ledger::set_budget, run::process::configure, meter::PriceBook::count_text,
            meter::usage_of_text, outlay::Ledger::forget, run::process::ledger, meter::PriceBook::find,
            outlay::Ledger::report, outlay::Ledger::resolve, outlay::Ledger::open_task, outlay::Ledger::halt,
            outlay::Ledger::unhalt, outlay::Ledger::approve, outlay::Ledger::is_approved,
            outlay::Ledger::observed, outlay::Ledger::meter, report::Flow::plan, report::import,
            outlay::Ledger::tax, outlay::Ledger::value, outlay::Ledger::waste, outlay::Ledger::alerts,
            outlay::Ledger::forecast, outlay::Ledger::what_if, outlay::Ledger::report_html,
            outlay::Ledger::kinds, outlay::Ledger::slo, outlay::Ledger::margin,
            outlay::Ledger::suggest_limits,
    );
    let mut exist: BTreeSet<String> =
        exist.iter().map(|path| path.replace([' ', '\n'], "").replace("outlay::", "")).collect();
    // Generic over its handler: no path alone.
    let _ = |handler: fn(&outlay::ledger::Alert)| run::process::on_alert("log", handler);
    exist.insert("run::process::on_alert".to_owned());
    let surface = surface();
    let rust = surface["rust"].as_table().unwrap();
    let told: BTreeSet<String> = rust.values().map(|path| path.as_str().unwrap().to_owned()).collect();
    assert_eq!(exist, told);

    let none = surface["rust_none"].as_table().unwrap();
    let errors: Vec<toml::Table> = {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/errors.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let is_error = |name: &str| {
        let family = |error: &toml::Table| error["family"].as_str().unwrap().eq_ignore_ascii_case(name);
        errors.iter().any(|error| error["name"].as_str() == Some(name) || family(error))
    };
    for name in surface["package"]["same"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let is_told = rust.contains_key(name) || none.contains_key(name) || is_error(name);
        assert!(is_told, "`{name}` is nowhere in the crate, and nobody says why");
    }
}

#[test]
fn nothing_at_the_root_of_the_crate_is_unknown() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let lists = lib.split("\npub use ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let names: Vec<String> = lists
        .flat_map(|list| {
            list.split(['{', '}', ',']).skip(1).map(str::trim).map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let surface = surface();
    let told = surface["rust"].as_table().unwrap();
    for name in names {
        let is_told = told.values().any(|path| path.as_str() == Some(&name));
        let is_of_rust = OF_RUST.iter().any(|(known, why)| *known == name && !why.is_empty());
        assert!(is_told != is_of_rust, "`{name}`: told {is_told}, of Rust alone {is_of_rust}");
    }
}
