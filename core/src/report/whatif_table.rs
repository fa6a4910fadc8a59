//! How does a what-if look in a terminal?

use std::fmt;

use super::{
    text::{Table, count},
    whatif::{Repriced, WhatIfReport},
};
use crate::value::Money;

impl fmt::Display for WhatIfReport {
    /// A table of plain text, amounts in USD, with what it cannot tell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = ["task", "model", "would be", "calls", "cost", "would cost", "change", "tokens"];
        let mut table = Table::new(headings).left(3);
        for row in self.rows.iter().filter(|row| row.figures.calls > 0) {
            let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "(none)".to_owned());
            let ratio = row.ratio.map_or_else(String::new, |ratio| {
                let [low, high] = [ratio.low_per_mille, ratio.high_per_mille].map(times);
                if low == high { format!("×{low}") } else { format!("×{low} to {high}") }
            });
            let words = [word(&row.task), word(&row.model), word(&row.target)];
            table.row(words.into_iter().chain(cells(&row.figures)).chain([ratio]));
        }
        let total = ["total", "", ""].map(str::to_owned);
        table.row(total.into_iter().chain(cells(&self.totals)).chain([String::new()]));
        table.fmt(f)?;
        for row in &self.rows {
            for (why, calls) in &row.missing {
                let name = super::text::shown(row.model.as_deref().or(row.task.as_deref()).unwrap_or("-"));
                write!(f, "\nleft out: {} of {name}, {why}", count(*calls))?;
            }
        }
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

fn cells(figures: &Repriced) -> [String; 4] {
    let Repriced { calls, recorded, least, most, .. } = figures;
    let range = |low: String, high: String| if low == high { low } else { format!("{low} to {high}") };
    [
        count(*calls),
        recorded.decimal(),
        range(least.decimal(), most.decimal()),
        range(change(*recorded, *least), change(*recorded, *most)),
    ]
}

/// Per cent more or less; nothing over nothing is none.
fn change(before: Money, after: Money) -> String {
    let (before, after) = (i128::from(before.nanos()), i128::from(after.nanos()));
    let tenths = ((after - before) * 1_000).checked_div(before);
    tenths.map_or_else(
        || "-".to_owned(),
        |tenths| {
            let sign = if tenths < 0 { '-' } else { '+' };
            let tenths = tenths.unsigned_abs();
            format!("{sign}{}.{} %", tenths / 10, tenths % 10)
        },
    )
}

fn times(per_mille: u32) -> String {
    format!("{}.{:02}", per_mille / 1_000, per_mille % 1_000 / 10)
}
