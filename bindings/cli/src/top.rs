//! What runs now, and shall it go on? `outlay top`.
//!
//! A view is made of what the ledger tells, once a second; what is drawn of it is text, so that tests
//! read what a person sees. Only `terminal` knows keys and cursors.

mod terminal;

use std::{collections::BTreeMap, io::IsTerminal as _};

use outlay::{
    Result, Unit,
    policy::limit::show_time,
    report::{
        Live, Running, Since, ValueBy,
        text::{Table, shown},
    },
};
use serde_json::{Value, json};

use crate::{
    arguments::Top,
    json::{object, printed, task},
    place::Opened,
};

/// Over which time the value of a kind of task is looked up: what runs has told none yet.
const VALUE_MS: i64 = 86_400_000;
/// The most characters of a name in a table, and the fewest however narrow the screen.
const LABEL: std::ops::RangeInclusive<usize> = 12..=60;
/// What the other columns take.
const OTHERS: usize = 60;
/// Lines of a screen that are no tasks: title, headings, a blank one, message and keys.
const FRAME: usize = 5;

pub(crate) fn run(ledger: &Opened, asked: &Top) -> Result<String> {
    let is_seen = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if is_seen && !asked.once && !asked.json.json {
        terminal::watch(ledger, asked)?;
        return Ok(String::new());
    }
    let mut view = View::new(ledger)?;
    view.sort();
    if asked.json.json {
        return Ok(printed(&view.json()));
    }
    if view.live.tasks.is_empty() {
        return Ok("nothing is running\n".to_owned());
    }
    Ok(format!("{}\n", view.table(0, usize::MAX, *LABEL.end())))
}

/// What tasks are sorted by, the largest first.
#[derive(Clone, Copy, Debug, Default)]
enum Order {
    #[default]
    Spent,
    Calls,
    Newest,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Spent => Self::Calls,
            Self::Calls => Self::Newest,
            Self::Newest => Self::Spent,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Spent => "spent",
            Self::Calls => "calls a minute",
            Self::Newest => "age",
        }
    }
}

/// What is seen.
struct View {
    live: Live,
    /// Value per million tokens of the kinds of tasks that tell it.
    worth: BTreeMap<String, f64>,
    order: Order,
    selected: usize,
    /// What was done last, or what is asked.
    message: String,
}

impl View {
    fn new(ledger: &Opened) -> Result<Self> {
        let (live, worth) = (ledger.live()?, worth(ledger)?);
        Ok(Self { live, worth, order: Order::default(), selected: 0, message: String::new() })
    }

    /// Takes what the ledger tells now; the task that was selected stays it.
    fn take(&mut self, live: Live) {
        let selected = self.selected().map(|task| task.state.id);
        self.live = live;
        self.sort();
        let at = self.live.tasks.iter().position(|task| Some(task.state.id) == selected);
        self.selected = at.unwrap_or(self.selected).min(self.live.tasks.len().saturating_sub(1));
    }

    fn sort(&mut self) {
        let order = self.order;
        self.live.tasks.sort_by_key(|task| {
            std::cmp::Reverse(match order {
                Order::Spent => task.state.balance.spent(Unit::Usd),
                Order::Calls => task.calls as i64,
                Order::Newest => task.state.opened_at,
            })
        });
    }

    fn selected(&self) -> Option<&Running> {
        self.live.tasks.get(self.selected)
    }

    /// So many tasks from the first on, as a table with names cut to `letters`.
    fn table(&self, first: usize, most: usize, letters: usize) -> Table {
        let headings = ["task", "spent", "limit", "used", "calls/min", "tokens/s", "value/Mtok"];
        let mut table = Table::new(headings).left(1).gap(2);
        for task in self.live.tasks.iter().skip(first).take(most) {
            let limit = tightest(task);
            let unit = limit.map_or(Unit::Usd, |(unit, ..)| unit);
            let spent = amount(unit, task.state.balance.spent(unit));
            let of = limit.map_or("-".to_owned(), |(unit, of, _)| amount(unit, of) + noun(unit));
            let used = limit.map_or("-".to_owned(), |(.., per_mille)| format!("{} %", per_mille / 10));
            let used = if task.halt.is_some() { "halted".to_owned() } else { used };
            let calls = rate(task.calls, 60_000, self.live.window_ms);
            let tokens = rate(task.tokens, 1_000, self.live.window_ms);
            let worth =
                self.worth.get(&task.state.name).map_or("-".to_owned(), |worth| format!("{worth:.2}"));
            table.row([cut(&task.label, letters), spent, of, used, calls, tokens, worth]);
        }
        table
    }

    /// The lines of a screen of this size; the number is that of the line of the selected task.
    fn screen(&self, width: usize, height: usize) -> (Vec<String>, Option<usize>) {
        let Live { at, tasks, more, .. } = &self.live;
        let more = if *more > 0 { format!(" and {more} older") } else { String::new() };
        let title = format!(
            "outlay top   {}   {} running{more}   sorted by {}",
            show_time(*at),
            tasks.len(),
            self.order.name()
        );
        let room = height.saturating_sub(FRAME).max(1);
        let first = (self.selected + 1).saturating_sub(room);
        let letters = width.saturating_sub(OTHERS).clamp(*LABEL.start(), *LABEL.end());
        let table = self.table(first, room, letters).to_string();
        let mut lines: Vec<String> = [title].into_iter().chain(table.lines().map(str::to_owned)).collect();
        let at = self.selected().map(|_| 2 + self.selected - first);
        lines.resize(height.saturating_sub(2).max(lines.len()), String::new());
        lines.push(self.message.clone());
        lines.push("up/down select   h halt   u unhalt   s sort   q quit".to_owned());
        (lines, at)
    }

    fn json(&self) -> Value {
        let row = |one: &Running| {
            let mut object = object(task(&one.state));
            object.insert("calls_in_window".to_owned(), one.calls.into());
            object.insert("tokens_in_window".to_owned(), one.tokens.into());
            object.insert(
                "value_per_million_tokens".to_owned(),
                self.worth.get(&one.state.name).copied().into(),
            );
            object.insert("halted_by".to_owned(), one.halt.as_ref().map(|halt| halt.by.clone()).into());
            Value::from(object)
        };
        json!({
            "at": show_time(self.live.at),
            "window_ms": self.live.window_ms,
            "tasks": self.live.tasks.iter().map(row).collect::<Vec<_>>(),
            "more_tasks": self.live.more,
        })
    }
}

/// What tasks of each kind were worth of late.
fn worth(ledger: &Opened) -> Result<BTreeMap<String, f64>> {
    let rows = ledger.value(Some(Since::Last(VALUE_MS)))?.rows.into_iter();
    let kinds = rows.filter(|row| row.by == ValueBy::Kind);
    Ok(kinds.filter_map(|row| Some((row.key?, row.worth.per_million_tokens()?))).collect())
}

/// The hard limit that is used up the most: its unit and amount, and how much of it, per mille.
fn tightest(task: &Running) -> Option<(Unit, i64, i64)> {
    let hard = task.state.limits.iter().filter(|limit| limit.hard);
    let used = hard.map(|limit| {
        let per_mille =
            (i128::from(limit.spent) * 1_000).checked_div(i128::from(limit.amount)).unwrap_or(1_000);
        (limit.unit, limit.amount, i64::try_from(per_mille).unwrap_or(i64::MAX))
    });
    used.max_by_key(|(_, _, used)| *used)
}

/// So many in a window as so many in `each_ms`, rounded.
fn rate(count: u64, each_ms: u64, window_ms: i64) -> String {
    let window = u128::from(window_ms.unsigned_abs().max(1));
    ((u128::from(count) * u128::from(each_ms) + window / 2) / window).to_string()
}

/// An amount as a screen has room for it: USD to a hundredth of a cent.
fn amount(unit: Unit, amount: i64) -> String {
    if unit == Unit::Usd { format!("{:.4}", amount as f64 / 1e9) } else { unit.show(amount) }
}

const fn noun(unit: Unit) -> &'static str {
    match unit {
        Unit::Usd => "",
        Unit::Tokens => " tokens",
        Unit::LlmCalls => " calls",
        Unit::ToolCalls => " tools",
    }
}

fn cut(label: &str, letters: usize) -> String {
    let label = shown(label);
    if label.chars().count() <= letters {
        return label;
    }
    label.chars().take(letters - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use outlay::{Ledger, Limit, Request, Usage};

    use super::*;

    fn view() -> View {
        let ledger = Ledger::in_memory();
        for no in 0..30_u64 {
            let name = format!("a task with quite a long name, number {no}");
            let limit = if no == 7 { Limit::new(Unit::LlmCalls, 2) } else { Limit::usd("1") };
            let task = ledger.task(if no == 7 { "\u{202e}refund" } else { &name }, [limit.unwrap()]).unwrap();
            let call =
                task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(900)).unwrap();
            call.settle(&Usage::tokens(1_000, no * 10)).unwrap();
            std::mem::forget(task);
        }
        let (live, worth) = (ledger.live().unwrap(), BTreeMap::from([("\u{202e}refund".to_owned(), 2.5)]));
        let mut view = View { live, worth, order: Order::Spent, selected: 0, message: String::new() };
        view.sort();
        view
    }

    #[test]
    fn a_screen_of_80_by_24_has_what_is_selected() {
        let mut view = view();
        for selected in [0, 18, 19, 29] {
            view.selected = selected;
            let (lines, at) = view.screen(80, 24);
            assert_eq!(lines.len(), 24);
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= 80, "{lines:#?}");
            let name: String = view.live.tasks[selected].label.chars().take(6).collect();
            let line = &lines[at.unwrap()];
            assert!(line.contains(&name) || line.starts_with("\\u{202e}"), "{line}");
            assert!(lines[23].starts_with("up/down"));
            assert!(lines.iter().all(|line| !line.contains('\u{202e}')));
        }
    }

    #[test]
    fn a_row_tells_the_limit_used_up_the_most() {
        let view = view();
        let table = view.table(0, 100, 30).to_string();
        let line = table.lines().find(|line| line.contains("refund")).unwrap();
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(cells[1..4], ["1", "2 calls", "50 %"], "{line}");
        assert_eq!(cells[6], "2.50");
    }

    #[test]
    fn what_is_selected_stays_selected() {
        let mut view = view();
        view.selected = 4;
        let id = view.selected().unwrap().state.id;
        let mut live = view.live.clone();
        live.tasks.remove(0);
        view.take(live);
        assert_eq!((view.selected, view.selected().unwrap().state.id), (3, id));
        let empty = Live { tasks: Vec::new(), ..view.live.clone() };
        view.take(empty);
        assert!(view.selected().is_none() && view.screen(80, 24).1.is_none());
    }
}
