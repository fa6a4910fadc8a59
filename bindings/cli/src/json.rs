//! How does a program read it? Amounts of money are texts, exact to the nano-USD.

use outlay::{
    Balance, Id, Millis, Money, Unit, Window,
    policy::limit::show_time,
    report::{
        Audit, BudgetState, DoubtedCall, Figures, Imported, LimitState, MeterReport, MeterRow,
        ObservedReport, ObservedRow, Place, Plan, PlanRow, Problem, Report, Row, Summary, TaskState,
        plan::Estimate,
    },
};
use serde_json::{Map, Value, json};

pub(crate) type Object = Map<String, Value>;

/// The keys of a row of a report, in their order.
pub(crate) const ROW: [&str; 21] = [
    "key",
    "task_id",
    "attempt",
    "calls",
    "tool_calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "spent_usd",
    "settled_usd",
    "in_doubt_usd",
    "pending_usd",
    "estimated_usd",
    "estimated_calls",
    "overrun_usd",
    "overrun_calls",
    "unpriced_calls",
    "voided_calls",
    "share_per_mille",
];

/// The keys of a row of `outlay meter`, in their order; ratios are in per mille.
pub(crate) const METER_ROW: [&str; 13] = [
    "provider",
    "model",
    "has_tools",
    "method",
    "calls",
    "overruns",
    "truth_over_count_p50",
    "truth_over_count_p95",
    "truth_over_count_p995",
    "truth_over_count_max",
    "bound_over_truth_p50",
    "bound_over_truth_p95",
    "bound_over_truth_max",
];

/// A value as indented JSON with a newline at its end.
pub(crate) fn printed(value: &Value) -> String {
    format!("{value:#}\n")
}

pub(crate) fn usd(money: Money) -> Value {
    money.decimal().into()
}

pub(crate) fn id(id: Option<Id>) -> Value {
    id.map(|id| id.to_string()).into()
}

pub(crate) fn time(at: Option<Millis>) -> Value {
    at.map(show_time).into()
}

pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn figures(figures: &Figures) -> Object {
    object(json!({
        "calls": figures.calls(),
        "tool_calls": figures.tool_calls(),
        "input_tokens": figures.tokens.input,
        "cache_read_tokens": figures.tokens.cache_read,
        "cache_write_tokens": figures.tokens.cache_write,
        "output_tokens": figures.tokens.output,
        "reasoning_tokens": figures.tokens.reasoning,
        "spent_usd": usd(figures.spent()),
        "settled_usd": usd(figures.settled()),
        "in_doubt_usd": usd(figures.in_doubt()),
        "pending_usd": usd(figures.pending()),
        "estimated_usd": usd(figures.estimated),
        "estimated_calls": figures.estimated_calls,
        "overrun_usd": usd(figures.overrun),
        "overrun_calls": figures.overrun_calls,
        "unpriced_calls": figures.unpriced_calls,
        "voided_calls": figures.voided_calls,
    }))
}

/// One row of a report, under the keys of [`ROW`].
pub(crate) fn row(row: &Row) -> Object {
    let mut object = object(json!({ "key": row.key, "task_id": id(row.task), "attempt": row.attempt }));
    object.extend(figures(&row.figures));
    object.insert("share_per_mille".to_owned(), row.share_per_mille.into());
    object
}

pub(crate) fn report(report: &Report) -> Value {
    json!({
        "by": report.by.to_string(),
        "since": time(report.since),
        "rows": report.rows.iter().map(row).collect::<Vec<_>>(),
        "totals": figures(&report.totals),
        "dropped_entries": report.dropped_entries,
    })
}

/// What became of logs that were imported.
pub(crate) fn imported(imported: &Imported) -> Value {
    json!({
        "files": imported.files,
        "lines": imported.lines,
        "calls": imported.calls,
        "spent_usd": usd(imported.spent),
        "known_calls": imported.known_calls,
        "corrected_calls": imported.corrected_calls,
        "repeated_lines": imported.repeated_lines,
        "malformed_lines": imported.malformed_lines,
        "other_lines": imported.other_lines,
        "unbilled_calls": imported.unbilled_calls,
        "unpriced_calls": imported.unpriced_calls,
        "redated_calls": imported.redated_calls,
        "first_malformed": imported.first_malformed,
    })
}

/// What a flow will cost: figures of a simulation have an interval, those of a formula none.
pub(crate) fn plan(plan: &Plan) -> Value {
    let figure = |one: &Estimate| json!({ "value": one.value, "interval": one.interval });
    let row = |row: &PlanRow| {
        let [p50, p95, p99] = &row.quantiles;
        json!({
            "policy": row.policy.name(),
            "success": figure(&row.success),
            "usd_per_task": figure(&row.usd),
            "usd_per_success": row.usd_per_success(),
            "overhead": row.overhead(),
            "usd_p50": figure(p50),
            "usd_p95": figure(p95),
            "usd_p99": figure(p99),
            "usd_all_tasks": plan.total_usd(row.policy),
        })
    };
    json!({
        "tasks": plan.tasks,
        "run_success": plan.run_success,
        "ideal_usd_per_task": plan.ideal_usd,
        "rows": plan.rows.iter().map(row).collect::<Vec<_>>(),
        "break_even": plan.break_even.map(|even| json!({
            "usd_per_task": even.usd_per_task,
            "failure_rate": even.failure_rate,
        })),
    })
}

/// What an audit found.
pub(crate) fn audit(audit: &Audit) -> Value {
    let problem = |problem: &Problem| {
        let place = match problem.place {
            Place::Entries(first, last) => json!({ "entries": [first, last] }),
            Place::Owner(no) => json!({ "owner": no }),
            Place::Name(no) => json!({ "name": no }),
            Place::Task(no) => json!({ "task": no }),
            Place::Balance(account, slot) => json!({ "account": account, "slot": slot }),
        };
        json!({ "place": place, "what": problem.what })
    };
    json!({
        "sound": audit.is_sound(),
        "entries": audit.entries,
        "checkpoint_entries": audit.checkpoint_entries,
        "owners": audit.owners,
        "erased_names": audit.erased,
        "problems": audit.problems.iter().map(problem).collect::<Vec<_>>(),
        "more_problems": audit.more_problems,
    })
}

/// The columns of `outlay report observed`.
pub(crate) const OBSERVED_ROW: [&str; 7] =
    ["task", "budget", "unit", "calls", "settled_usd", "first_at", "last_at"];

/// One row of `outlay report observed`, under the keys of [`OBSERVED_ROW`].
pub(crate) fn observed_row(row: &ObservedRow) -> Object {
    object(json!({
        "task": row.task,
        "budget": row.budget,
        "unit": row.unit,
        "calls": row.calls,
        "settled_usd": usd(row.settled),
        "first_at": time(Some(row.first_at)),
        "last_at": time(Some(row.last_at)),
    }))
}

pub(crate) fn observed(report: &ObservedReport) -> Value {
    json!({
        "since": time(report.since),
        "rows": report.rows.iter().map(observed_row).collect::<Vec<_>>(),
        "dropped_entries": report.dropped_entries,
    })
}

/// One row of `outlay meter`, under the keys of [`METER_ROW`].
pub(crate) fn meter_row(row: &MeterRow) -> Object {
    let (truth, bound) = (&row.truth_over_count, &row.bound_over_truth);
    object(json!({
        "provider": row.provider,
        "model": row.model,
        "has_tools": row.has_tools,
        "method": row.method.name(),
        "calls": row.calls,
        "overruns": row.overruns,
        "truth_over_count_p50": truth.quantile(500),
        "truth_over_count_p95": truth.quantile(950),
        "truth_over_count_p995": truth.quantile(995),
        "truth_over_count_max": truth.largest(),
        "bound_over_truth_p50": bound.quantile(500),
        "bound_over_truth_p95": bound.quantile(950),
        "bound_over_truth_max": bound.largest(),
    }))
}

pub(crate) fn meter(report: &MeterReport) -> Value {
    json!({
        "since": time(report.since),
        "rows": report.rows.iter().map(meter_row).collect::<Vec<_>>(),
        "dropped_entries": report.dropped_entries,
    })
}

fn balance(balance: &Balance) -> Object {
    object(json!({
        "spent_usd": Money::from_nanos(balance.spent(Unit::Usd)).decimal(),
        "settled_usd": usd(balance.settled.usd()),
        "in_doubt_usd": usd(balance.in_doubt.usd()),
        "pending_usd": usd(balance.pending.usd()),
    }))
}

fn amount(unit: Unit, amount: i64) -> Value {
    if unit == Unit::Usd { usd(Money::from_nanos(amount)) } else { amount.into() }
}

fn window(window: &Window) -> Object {
    object(json!({ "window": window.to_string(), "time_zone": window.zone() }))
}

fn limit(limit: &LimitState) -> Value {
    let mut object = object(json!({
        "unit": limit.unit.name(),
        "limit": amount(limit.unit, limit.amount),
        "hard": limit.hard,
        "spent": amount(limit.unit, limit.spent),
        "pending": amount(limit.unit, limit.pending),
        "available": amount(limit.unit, limit.available),
        "resets_at": time(limit.resets_at),
    }));
    object.extend(window(&limit.window));
    object.into()
}

fn limits(limits: &[LimitState]) -> Value {
    limits.iter().map(limit).collect()
}

pub(crate) fn task(task: &TaskState) -> Value {
    let tags: Object = task.tags.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    let mut object = object(json!({
        "id": task.id.to_string(),
        "caller_id": task.caller_id,
        "name": task.name,
        "state": task.standing.name(),
        "attempts": task.attempts,
        "tags": tags,
        "parent_id": id(task.parent),
        "opened_at": time(Some(task.opened_at)),
        "deadline": time(task.deadline.hard),
        "soft_deadline": time(task.deadline.soft),
        "observes": task.observes,
    }));
    object.extend(balance(&task.balance));
    object.insert("limits".to_owned(), limits(&task.limits));
    object.into()
}

/// A task with all that is known of it.
pub(crate) fn summary(state: &TaskState, summary: &Summary) -> Value {
    let mut object = object(task(state));
    let attempt = |line: &outlay::report::AttemptLine| {
        let mut attempt = Object::new();
        attempt.insert("number".to_owned(), line.number.into());
        attempt.insert("state".to_owned(), line.standing.name().into());
        attempt.insert("reason".to_owned(), line.reason.clone().into());
        attempt.extend(figures(&line.figures));
        Value::from(attempt)
    };
    let loss = |loss: &outlay::report::Loss| {
        let spent = usd(loss.usd);
        json!({ "what": loss.what, "spent_usd": spent, "calls": loss.calls })
    };
    let model = |line: &Row| {
        let mut model = row(line);
        model.retain(|key, _| key != "task_id" && key != "attempt");
        Value::from(model)
    };
    object.insert("available_usd".to_owned(), summary.available.map(Money::decimal).into());
    // The number of attempts gives way to what is known of each.
    object.insert("attempts".to_owned(), summary.attempts.iter().map(attempt).collect());
    object.insert("by_model".to_owned(), summary.by_model.iter().map(model).collect());
    object.insert("bought_nothing".to_owned(), summary.bought_nothing.iter().map(loss).collect());
    object.insert("totals".to_owned(), figures(&summary.figures).into());
    object.into()
}

pub(crate) fn budget(budget: &BudgetState) -> Value {
    let mut object = object(json!({ "name": budget.name, "per": budget.per, "value": budget.value }));
    object.extend(window(&budget.window));
    object.extend(balance(&budget.balance));
    object.insert("limits".to_owned(), limits(&budget.limits));
    object.into()
}

pub(crate) fn doubted(call: &DoubtedCall) -> Value {
    json!({
        "id": call.id.to_string(),
        "reserved_at": time(Some(call.reserved_at)),
        "held_usd": usd(call.held),
        "model": call.model,
        "task": call.task,
        "task_id": id(call.task_id),
        "attempt": call.attempt,
    })
}
