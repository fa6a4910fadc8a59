//! How does a person read it? Plain columns; see `outlay::report::text`.

use outlay::{
    Money, Unit, Window,
    policy::{Detector, limit::show_time},
    report::{BudgetState, DoubtedCall, Judged, LimitState, TaskState, text::Table},
};

pub(crate) fn tasks(tasks: &[TaskState]) -> String {
    let headings = ["task", "id", "state", "opened", "attempts", "spent", "pending", "in doubt", "limit"];
    let mut table = Table::new(headings).left(4);
    for task in tasks {
        let id = task.caller_id.clone().unwrap_or_else(|| task.id.to_string());
        let spent = Money::from_nanos(task.balance.spent(Unit::Usd));
        let money = [spent, task.balance.pending.usd(), task.balance.in_doubt.usd()].map(Money::decimal);
        let is_cap =
            |limit: &&LimitState| limit.hard && limit.unit == Unit::Usd && limit.window == Window::Life;
        let cap = task.limits.iter().find(is_cap);
        let cap = cap.map_or("-".to_owned(), |limit| limit.unit.show(limit.amount));
        let words = [task.name.clone(), id, task.standing.name().to_owned(), show_time(task.opened_at)];
        table.row(words.into_iter().chain([task.attempts.to_string()]).chain(money).chain([cap]));
    }
    table.to_string()
}

fn over(window: &Window) -> String {
    let zone = window.zone().map(|zone| format!(" {zone}")).unwrap_or_default();
    format!("{window}{zone}")
}

fn limit_cells(limit: &LimitState) -> [String; 8] {
    let show = |amount| limit.unit.show(amount);
    [
        limit.unit.name().replace('_', " "),
        if limit.hard { "hard" } else { "soft" }.to_owned(),
        over(&limit.window),
        limit.resets_at.map_or("-".to_owned(), show_time),
        show(limit.amount),
        show(limit.spent),
        show(limit.pending),
        show(limit.available),
    ]
}

const LIMIT: [&str; 8] = ["limit", "kind", "window", "resets", "amount", "spent", "pending", "available"];

pub(crate) fn limits(limits: &[LimitState]) -> String {
    let mut table = Table::new(LIMIT).left(4);
    for limit in limits {
        table.row(limit_cells(limit));
    }
    table.to_string()
}

pub(crate) fn budgets(budgets: &[BudgetState]) -> String {
    let mut table = Table::new(["budget"].into_iter().chain(LIMIT)).left(5);
    for budget in budgets {
        let name = if budget.name.is_empty() { "(everything)" } else { &budget.name };
        for limit in &budget.limits {
            table.row([name.to_owned()].into_iter().chain(limit_cells(limit)));
        }
    }
    table.to_string()
}

/// The last so many verdicts are enough for a person.
const VERDICTS_SHOWN: usize = 20;

pub(crate) fn verdicts(verdicts: &[Judged]) -> String {
    let mut table = Table::new(["breaker", "attempt", "detector", "tool", "steps", "count", "at"]).left(7);
    let from = verdicts.len().saturating_sub(VERDICTS_SHOWN);
    for Judged { at, attempt, verdict } in &verdicts[from..] {
        let found = &verdict.evidence;
        table.row([
            verdict.level.name().to_owned(),
            attempt.to_string(),
            verdict.detector.map_or("-", Detector::name).to_owned(),
            if found.tool.is_empty() { "-" } else { &found.tool }.to_owned(),
            format!("{} to {}", found.first_step, found.last_step),
            found.count.to_string(),
            show_time(*at),
        ]);
    }
    let earlier =
        if from > 0 { format!("\n{from} earlier ones: `outlay breaker replay`") } else { String::new() };
    format!("{table}{earlier}")
}

pub(crate) fn doubted(calls: &[DoubtedCall]) -> String {
    let mut table = Table::new(["call", "reserved", "task", "attempt", "model", "held"]).left(5);
    for call in calls {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (id, at, attempt) = (call.id.to_string(), show_time(call.reserved_at), call.attempt.to_string());
        table.row([id, at, text(&call.task), attempt, text(&call.model), call.held.decimal()]);
    }
    table.to_string()
}
