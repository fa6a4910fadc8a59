//! What does each command do? Asks the core, and gives the text to print.

use std::io::Write;

use outlay::{
    Clock, Error, ErrorKind, Ledger, Result, Usage,
    policy::limit::show_time,
    report::{self, Flow, ReportOptions, text::shown},
    run::process,
};
use serde_json::{Map, Value, json};

use crate::{
    OK,
    arguments::{
        Arguments, Breaker, BreakerCommand, Command, Ending, Forget, Import, Json, Limits, LimitsCommand,
        Meter, Plan, Report, Resolve, Route, RouteCommand, Show, Tasks, What,
    },
    audit, elsewhere, export, forecast, form, json, kinds, limits, margin, orders, page,
    place::{self, Opened},
    prices, replay, route, tables, top, waste, watch,
};

/// The most calls in doubt, or verdicts, that are listed.
const LISTED_MAX: usize = 10_000;

/// Gives the exit code and the text; what may be long goes `out` at once.
pub(crate) fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Result<(i32, String)> {
    let open = || Opened::new(arguments.store.as_deref());
    let text = match &arguments.command {
        Command::Audit(asked) => return audit::run(asked, open),
        Command::Tasks(asked) => tasks(&open()?, asked),
        Command::Show(asked) => show(&open()?, asked),
        Command::Report(asked) => report(&*open()?, asked),
        Command::Meter(asked) => meter(&open()?, asked),
        Command::Export(asked) => export::run(&*open()?, asked, out, errors),
        Command::Resolve(asked) => match &asked.id {
            None => in_doubt(&open()?, &asked.json),
            Some(id) => {
                let usage = usage_of(&asked.ending)?;
                resolve(&open()?, id, usage, asked)
            }
        },
        Command::Budgets(asked) => budgets(&open()?, asked),
        Command::Limits(Limits { asked: None, json }) => limits::configured(json),
        Command::Limits(Limits { asked: Some(LimitsCommand::Suggest(asked)), .. }) => {
            limits::suggest(&*open()?, asked)
        }
        Command::Forget(asked) => {
            let (key, value) = tag_of(asked)?;
            open()?.forget(key, value)?;
            Ok(format!("{} is forgotten\n", shown(&asked.tag)))
        }
        Command::Import(asked) => import(arguments.store.as_deref(), asked),
        Command::Plan(asked) => plan(asked),
        Command::Prices(asked) => prices::run(asked),
        Command::Breaker(Breaker { asked: BreakerCommand::Replay(asked) }) => {
            replay::replay(&asked.steps, asked.config.as_deref(), open)
        }
        Command::Halt(asked) => match (&asked.scope, &asked.reason) {
            (Some(scope), Some(reason)) => orders::halt(&open()?, scope, reason, asked),
            _ => orders::halts(&open()?, &asked.json),
        },
        Command::Approve(asked) => orders::approve(&open()?, asked),
        Command::Alerts(asked) => watch::alerts(&open()?, asked),
        Command::Watch(_) => return Err(invalid("`watch` says what it sees by itself".to_owned())),
        Command::Approvals(asked) => orders::approvals(&open()?, asked),
        Command::Unhalt(asked) => orders::unhalt(&open()?, asked),
        Command::Top(asked) => top::run(&open()?, asked),
        Command::Route(Route { asked: RouteCommand::Explain(asked) }) => route::explain(asked),
        Command::Check(asked) => {
            open()?.check_balances()?;
            let said = "every balance is the sum of its entries\n".to_owned();
            Ok(if asked.json { json::printed(&json!({ "sound": true })) } else { said })
        }
    };
    Ok((OK, text?))
}

fn tasks(ledger: &Opened, asked: &Tasks) -> Result<String> {
    let most = asked.most as usize;
    let mut tasks = ledger.tasks(most.saturating_add(1))?;
    let more = tasks.len() > most;
    tasks.truncate(most);
    if asked.json.json {
        return Ok(json::printed(&tasks.iter().map(json::task).collect()));
    }
    if tasks.is_empty() && !more {
        return Ok("there are no tasks\n".to_owned());
    }
    let rest = if more { "there are older ones; see `--most`\n" } else { "" };
    Ok(format!("{}\n{rest}", tables::tasks(&tasks)))
}

fn show(ledger: &Opened, asked: &Show) -> Result<String> {
    let state = ledger.find_task(&asked.task)?;
    let summary = ledger.summary(&state.id)?;
    let verdicts = ledger.verdicts(&state.id, LISTED_MAX)?;
    if asked.json.json {
        let mut shown = json::object(json::summary(&state, &summary));
        shown.insert("verdicts".to_owned(), verdicts.iter().map(replay::judged).collect());
        return Ok(json::printed(&shown.into()));
    }
    let pair = |(key, value): &(String, Option<String>)| {
        format!("{}={}", shown(key), shown(value.as_deref().unwrap_or("erased")))
    };
    let tags: Vec<String> = state.tags.iter().map(pair).collect();
    let mut parts = vec![summary.to_string()];
    if !state.limits.is_empty() {
        parts.push(tables::limits(&state.limits));
    }
    for (said, time) in [("to be done by", state.deadline.soft), ("calls until", state.deadline.hard)] {
        parts.extend(time.map(|time| format!("{said} {}", show_time(time))));
    }
    if !tags.is_empty() {
        parts.push(format!("tags: {}", tags.join(" ")));
    }
    if !verdicts.is_empty() {
        parts.push(tables::verdicts(&verdicts));
    }
    if state.observes {
        parts.push("it only observes: nothing is denied".to_owned());
    }
    Ok(parts.join("\n\n") + "\n")
}

pub(crate) fn report(ledger: &Ledger, asked: &Report) -> Result<String> {
    elsewhere::check(asked)?;
    match asked.what {
        Some(What::Observed) => return observed(ledger, asked),
        Some(What::Waste) => return waste::waste(ledger, asked),
        Some(What::Tax) => return waste::tax(ledger, asked),
        Some(What::Value) => return waste::value(ledger, asked),
        Some(What::Kinds) => return kinds::kinds(ledger, asked),
        Some(What::Slo) => return kinds::slo(ledger, asked),
        Some(What::Margin) => return margin::margin(ledger, asked),
        Some(What::Whatif) => return elsewhere::what_if(ledger, asked),
        Some(What::Forecast) => return forecast::forecast(ledger, asked),
        None => {}
    }
    let options = ReportOptions { by: asked.by.clone().unwrap_or_default(), since: asked.since };
    if let Some(file) = &asked.html {
        return page::write(ledger.report_html(&options)?, file);
    }
    let report = ledger.report(&options)?;
    let rows = || report.rows.iter().map(json::row).collect();
    Ok(form::shown(asked.form(), || json::report(&report), &json::ROW, rows, || report.to_string()))
}

fn observed(ledger: &Ledger, asked: &Report) -> Result<String> {
    let report = ledger.observed(asked.since)?;
    let rows = || report.rows.iter().map(json::observed_row).collect();
    let text = || {
        if report.rows.is_empty() { "nothing would have been refused".to_owned() } else { report.to_string() }
    };
    Ok(form::shown(asked.form(), || json::observed(&report), &json::OBSERVED_ROW, rows, text))
}

fn meter(ledger: &Opened, asked: &Meter) -> Result<String> {
    let report = ledger.meter(asked.since)?;
    let rows = || report.rows.iter().map(json::meter_row).collect();
    let text = || {
        if report.rows.is_empty() {
            "no call was counted here and settled".to_owned()
        } else {
            report.to_string()
        }
    };
    let form = (asked.json.json, asked.csv);
    Ok(form::shown(form, || json::meter(&report), &json::METER_ROW, rows, text))
}

fn import(store: Option<&str>, asked: &Import) -> Result<String> {
    let store = process::store_name(store)?;
    let imported = report::import(asked.source, &asked.path, &store, process::config()?)?;
    Ok(if asked.json.json { json::printed(&json::imported(&imported)) } else { format!("{imported}\n") })
}

fn plan(asked: &Plan) -> Result<String> {
    let text = place::read(&asked.file)?;
    let plan = Flow::from_toml(&text)?.plan(&process::config()?.prices, Clock::System.now())?;
    Ok(if asked.json.json { json::printed(&json::plan(&plan)) } else { format!("{plan}\n") })
}

fn budgets(ledger: &Opened, asked: &Json) -> Result<String> {
    let budgets = ledger.budgets()?;
    if asked.json {
        return Ok(json::printed(&budgets.iter().map(json::budget).collect()));
    }
    if budgets.is_empty() {
        return Ok("there are no shared budgets\n".to_owned());
    }
    Ok(format!("{}\n", tables::budgets(&budgets)))
}

fn in_doubt(ledger: &Opened, asked: &Json) -> Result<String> {
    let calls = ledger.doubted_calls(LISTED_MAX)?;
    if asked.json {
        return Ok(json::printed(&calls.iter().map(json::doubted).collect()));
    }
    if calls.is_empty() {
        return Ok("no call is in doubt\n".to_owned());
    }
    Ok(format!("{}\n", tables::doubted(&calls)))
}

fn resolve(ledger: &Opened, id: &str, usage: Option<Usage>, asked: &Resolve) -> Result<String> {
    let told = usage.map(Into::into);
    let spent = ledger.resolve(id.parse()?, told.as_ref(), &orders::by(asked.by.as_deref()))?;
    let state = if usage.is_some() { "settled" } else { "voided" };
    if asked.json.json {
        let said = json!({ "id": id, "state": state, "spent_usd": spent.decimal() });
        return Ok(json::printed(&said));
    }
    let at = if usage.is_some() { format!(" at {spent}") } else { String::new() };
    Ok(format!("call {id} is {state}{at}\n"))
}

/// What was billed; nothing when it was not.
fn usage_of(ending: &Ending) -> Result<Option<Usage>> {
    let usage = match (&ending.settle, &ending.settle_json) {
        (Some(counts), _) => counted(counts)?,
        (None, Some(text)) => read_usage(text)?,
        (None, None) => return Ok(None),
    };
    usage.check()?;
    Ok(Some(usage))
}

fn counted(text: &str) -> Result<Usage> {
    let wrong = || invalid(format!("`{text}` is not INPUT,OUTPUT, as in `1000,500`"));
    let (input, output) = text.split_once(',').ok_or_else(wrong)?;
    let count = |digits: &str| digits.trim().parse::<u64>().map_err(|_| wrong());
    Ok(Usage::tokens(count(input)?, count(output)?))
}

fn read_usage(text: &str) -> Result<Usage> {
    let counts: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| invalid(format!("the usage is no JSON object: {error}")))?;
    let mut usage = Usage::default();
    for (name, value) in &counts {
        let place = match name.as_str() {
            "input_tokens" => &mut usage.input_tokens,
            "cache_read_tokens" => &mut usage.cache_read_tokens,
            "cache_write_tokens" => &mut usage.cache_write_tokens,
            "cache_write_1h_tokens" => &mut usage.cache_write_1h_tokens,
            "input_audio_tokens" => &mut usage.input_audio_tokens,
            "input_image_tokens" => &mut usage.input_image_tokens,
            "output_tokens" => &mut usage.output_tokens,
            "reasoning_tokens" => &mut usage.reasoning_tokens,
            "output_audio_tokens" => &mut usage.output_audio_tokens,
            "output_image_tokens" => &mut usage.output_image_tokens,
            "web_searches" => &mut usage.web_searches,
            _ => return Err(invalid(format!("`{name}` is no count of a usage"))),
        };
        let wrong = || invalid(format!("`{name}` is `{value}`, not a whole number"));
        *place = value.as_u64().ok_or_else(wrong)?;
    }
    Ok(usage)
}

fn tag_of(asked: &Forget) -> Result<(&str, &str)> {
    let tag = asked.tag.as_str();
    let pair = tag.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty());
    let pair = pair.ok_or_else(|| invalid(format!("`{tag}` is not KEY=VALUE")))?;
    if !asked.yes {
        return Err(invalid(format!("forgetting `{tag}` cannot be undone; say `--yes`")));
    }
    Ok(pair)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
