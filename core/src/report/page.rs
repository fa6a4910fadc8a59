//! How does it look to a person? One page of charts and tables that stands by itself.
//!
//! All figures of a page are read in one transaction, and its rows are those of [`Ledger::report`].
//! What would grow without end is cut: the most of each kind of row are constants here, and what is
//! left is one row, `the rest`. The page loads nothing, from nowhere, and its tables need no script.
//!
//! ```
//! use outlay::{Ledger, Request, TaskOptions, Usage, report::ReportOptions};
//!
//! let ledger = Ledger::in_memory();
//! let task = ledger.open_task(TaskOptions::new("<script>"))?;
//! let call = task.reserve(&Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(500))?;
//! call.settle(&Usage::tokens(1_000, 500))?;
//!
//! let page = ledger.report_html(&ReportOptions::default())?;
//! assert!(page.contains("&lt;script&gt;</th>") && page.contains("<td>0.0075</td>"));
//! # Ok::<(), outlay::Error>(())
//! ```

mod courses;
mod html;
mod kinds;

use rustc_hash::FxHashMap;

use self::{courses::Course, html::written, kinds::Kinds};
use super::{
    attempts::Attempts,
    attribution::{Attribution, Figures},
    names::Names,
    rows::{Report, ReportOptions, Row, grouped},
    waste::{WasteReport, wasted},
};
use crate::{
    error::Result,
    ledger::store::{Filter, Tx},
    run::Ledger,
    value::{Millis, Money},
};

/// The most rows of the table of a page.
const ROWS_MAX: usize = 100;
/// The most rows of it that have a colour of their own in the chart.
const COLOURS_MAX: usize = 7;
/// The most slots that the time of a report is cut into.
const SLOTS_MAX: i64 = 48;

const SECOND: Millis = 1_000;
const HOUR: Millis = 3_600 * SECOND;
const DAY: Millis = 24 * HOUR;
/// How long a slot may be: what a person counts in.
const SLOTS: [Millis; 17] = [
    SECOND,
    5 * SECOND,
    15 * SECOND,
    60 * SECOND,
    300 * SECOND,
    900 * SECOND,
    1_800 * SECOND,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    28 * DAY,
    91 * DAY,
    364 * DAY,
];

/// What was spent in each slot of time, by the largest rows of the report.
#[derive(Debug, Default)]
struct OverTime {
    slot_ms: Millis,
    /// When each slot begins; without a gap.
    starts: Vec<Millis>,
    /// The rows, `the rest` last if there is one; of each what was spent in each slot.
    series: Vec<(String, Vec<Money>)>,
}

/// All that a page shows.
#[derive(Debug)]
struct Page {
    made_at: Millis,
    report: Report,
    over_time: OverTime,
    courses: Vec<Course>,
    kinds: Kinds,
    waste: WasteReport,
}

impl Ledger {
    /// Tells where the money went as a page of HTML: what was spent over time, how far each task
    /// went towards its limits, what runs of each kind cost, and what was paid for nothing.
    ///
    /// Its size has a bound, whatever the size of the ledger: 100 rows, 48 slots of time, 12 tasks of
    /// 250 points and 8 kinds, what is left of rows and kinds being one row.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`, `Corrupt`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{Ledger, report::{By, ReportOptions}};
    ///
    /// let page = Ledger::in_memory().report_html(&ReportOptions::by(By::Model))?;
    /// assert!(page.starts_with("<!doctype html>"));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn report_html(&self, options: &ReportOptions) -> Result<String> {
        Ok(written(&self.read(|tx| Page::read(tx, options))?))
    }
}

impl Page {
    fn read(tx: &mut dyn Tx, options: &ReportOptions) -> Result<Self> {
        let made_at = tx.now()?;
        let since = options.since.map(|since| since.at(made_at));
        let filter = Filter { since, part: options.by.part(), ..Filter::default() };
        let slot_ms = slot_of(tx, filter)?;
        let mut fold = Attribution::in_slots(slot_ms);
        fold.read(tx, filter)?;
        let by = options.by.clone();
        let (rows, totals) = grouped(tx, &fold.places, &by)?;
        let mut report = Report { by, since, rows, totals, dropped_entries: tx.dropped() };
        let over_time = OverTime::read(tx, &report, &fold, slot_ms)?;
        cut(&mut report)?;
        let mut names = Names::default();
        let attempts = Attempts::read(tx, &mut names)?;
        Ok(Self {
            made_at,
            over_time,
            courses: courses::read(tx, &mut names, &attempts, &fold)?,
            kinds: Kinds::read(tx, &mut names, &attempts, &fold)?,
            waste: wasted(tx, since)?,
            report,
        })
    }
}

/// Makes one row of those that are too many.
fn cut(report: &mut Report) -> Result<()> {
    if report.rows.len() <= ROWS_MAX {
        return Ok(());
    }
    let rest = report.rows.split_off(ROWS_MAX - 1);
    let mut figures = Figures::default();
    for row in &rest {
        figures.add(&row.figures)?;
    }
    let share_per_mille = figures.share_per_mille(&report.totals);
    let key = Some(format!("the rest: {} rows", rest.len()));
    report.rows.push(Row { key, task: None, attempt: None, figures, share_per_mille });
    Ok(())
}

/// The shortest slot of which there are few enough.
fn slot_of(tx: &mut dyn Tx, filter: Filter) -> Result<Millis> {
    let mut ends = [0; 2];
    for (end, filter) in ends.iter_mut().zip([filter, Filter { newest: Some(1), ..filter }]) {
        tx.entries(filter, &mut |entry| {
            *end = entry.at_ms;
            false
        })?;
    }
    let span = ends[1].saturating_sub(ends[0]).max(0);
    let fits = |slot: &Millis| span / slot < SLOTS_MAX - 1;
    Ok(SLOTS.into_iter().find(fits).unwrap_or(span / (SLOTS_MAX - 1) + 1))
}

impl OverTime {
    fn read(tx: &mut dyn Tx, report: &Report, fold: &Attribution, slot_ms: Millis) -> Result<Self> {
        let slots = || fold.places.iter().map(|(place, _)| place.slot);
        let (Some(first), Some(last)) = (slots().min(), slots().max()) else { return Ok(Self::default()) };
        let own = if report.rows.len() > COLOURS_MAX + 1 { COLOURS_MAX } else { report.rows.len() };
        let of = |row: &Row| (row.key.clone(), row.task, row.attempt);
        let index: FxHashMap<_, usize> =
            report.rows[..own].iter().enumerate().map(|(index, row)| (of(row), index)).rev().collect();
        let mut labels: Vec<String> = report.rows[..own].iter().map(Row::label).collect();
        labels.extend((own < report.rows.len()).then(|| "the rest".to_owned()));
        let count = usize::try_from(last - first + 1).unwrap_or(0);
        let mut series: Vec<_> = labels.into_iter().map(|label| (label, vec![Money::ZERO; count])).collect();
        let mut parts = vec![Vec::new(); count];
        for (place, figures) in &fold.places {
            parts[(place.slot - first) as usize].push((*place, *figures));
        }
        for (slot, places) in parts.iter().enumerate() {
            for row in grouped(tx, places, &report.by)?.0 {
                let at = index.get(&of(&row)).copied().unwrap_or(own);
                if let Some((_, usd)) = series.get_mut(at) {
                    usd[slot] = added(usd[slot], row.figures.spent());
                }
            }
        }
        let starts = (first..=last).map(|slot| slot * slot_ms).collect();
        Ok(Self { slot_ms, starts, series })
    }
}

/// The sum of parts of a total that has been added up before, so that it cannot be too large.
fn added(sum: Money, part: Money) -> Money {
    Money::from_nanos(sum.nanos().saturating_add(part.nanos()))
}
