//! Which rows does a reader get? Of entries one pass over the table, in order.

use rusqlite::{params, types::Value};

use super::{
    super::{
        Session,
        rows::{
            ATTEMPT, BILL, COUNT, MOVEMENT, PAYMENT, REQUEST, TASK, attempt_of, bill_of, count_of, entry_of,
            movement_of, payment_of, request_of, run_of, task_of,
        },
        taken::Cells,
    },
    Entry, Error, Filter, Millis, Result,
    parts::{WORTH_MIN, read_batch, read_parts, take},
};
use crate::{
    ledger::{
        Kind,
        store::{Run, TaskRow, Which},
    },
    value::Id,
};

/// The kinds as the schema's partial index names them.
const _: () = assert!(Kind::AttemptStarted as u8 == 2 && Kind::AttemptEnded as u8 == 3);

/// Only entries about calls.
const CALLS: &str = "call IS NOT NULL";

impl Session {
    pub(super) fn scan_entries(&self, filter: Filter, visit: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        let mut damaged = false;
        let columns = format!("{}, call, under, proofs", Entry::COLUMNS.join(", "));
        self.scan(&columns, "1", filter, |row| {
            let entry = entry_of(row);
            damaged = entry.is_none();
            Ok(entry.is_some_and(&mut *visit))
        })?;
        if damaged { Err(Error::corrupt("an entry of the ledger cannot be read")) } else { Ok(()) }
    }

    pub(super) fn scan_movements(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        let Some(part) = filter.part else {
            return self.scan(MOVEMENT, CALLS, filter, |row| movement_of(row).map(|entry| visit(&entry)));
        };
        let behind = MOVEMENT.split(',').count();
        self.scan(&format!("{MOVEMENT}, {}", part.column()), CALLS, filter, |row| {
            let mut entry = movement_of(row)?;
            if entry.kind == Kind::Reserved {
                part.put(&mut entry, row.get(behind)?);
            }
            Ok(visit(&entry))
        })
    }

    pub(super) fn scan_counts(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan(COUNT, CALLS, filter, |row| count_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_requests(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        let only = format!("call IS NOT NULL OR kind = {}", Kind::Verdict as u8);
        self.scan(REQUEST, &only, filter, |row| request_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_bills(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan(BILL, CALLS, filter, |row| bill_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_attempts(&self, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        for kind in [Kind::AttemptStarted, Kind::AttemptEnded] {
            // Only with the index's own condition said again is it used.
            let wanted = format!("kind IN (2, 3) AND kind = {}", kind as u8);
            self.scan_where(ATTEMPT, &wanted, "1", &[], |row| {
                visit(&attempt_of(row)?);
                Ok(true)
            })?;
        }
        Ok(())
    }

    pub(super) fn scan_payments(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan(PAYMENT, CALLS, filter, |row| payment_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_tasks(&self, which: Which, most: usize) -> Result<Vec<TaskRow>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let bytes = |id: Id| Value::Blob(id.bytes().to_vec());
        let (wanted, params) = match which {
            Which::All => ("1", vec![]),
            Which::Named(name) => ("name = ?", vec![name.into()]),
            Which::Under(parent) => ("parent = ? AND parent <> 0", vec![parent.into()]),
            Which::Between(from, to) => ("id BETWEEN ? AND ?", vec![bytes(from), bytes(to)]),
        };
        let sql = format!("SELECT {TASK} FROM tasks WHERE {wanted} ORDER BY no DESC LIMIT {most}");
        let params = rusqlite::params_from_iter(params);
        self.every(&sql, params, task_of)
    }

    /// In one statement: of a task, its account over its life, and what stands there.
    pub(super) fn scan_runs(
        &self,
        since: Option<Millis>,
        most: usize,
        visit: &mut dyn FnMut(Run),
    ) -> Result<()> {
        let spent = ["usd", "tokens", "llm_calls", "tool_calls"]
            .map(|unit| format!("coalesce(settled_{unit} + in_doubt_{unit}, 0)"))
            .join(", ");
        let sql = format!(
            "SELECT {spent}, tags, attempts, outcome FROM tasks
             LEFT JOIN accounts ON task = tasks.no AND task <> 0 AND window = 'life'
             LEFT JOIN balances ON account = accounts.no AND slot = 0
             WHERE parent = 0 AND owner = 0 AND opened_ms >= ? ORDER BY tasks.no DESC LIMIT ?"
        );
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.each(&sql, params![since.unwrap_or(Millis::MIN), most], |row| run_of(row).map(&mut *visit))
    }

    pub(super) fn scan_names(&self, key: &str, visit: &mut dyn FnMut(u32, &str)) -> Result<()> {
        let sql = "SELECT no, value FROM names WHERE key = ? AND value IS NOT NULL";
        self.each(sql, [key], |row| {
            let value: String = row.get(1)?;
            visit(row.get(0)?, &value);
            Ok(())
        })
    }

    /// Reads these columns of the entries until `read` returns false.
    fn scan(
        &self,
        columns: &str,
        only: &str,
        filter: Filter,
        mut read: impl FnMut(&Cells<'_>) -> rusqlite::Result<bool>,
    ) -> Result<()> {
        let first = self.first_of(filter)?;
        if let Some(task) = filter.task {
            // Only with its own condition said again is the index on tasks used.
            let params = [first, i64::from(task)];
            return self.scan_where(columns, "task = ?2 AND task <> 0 AND seq >= ?1", only, &params, read);
        }
        let last = self.number_of_last_line()?.cast_signed();
        let wanted = "seq BETWEEN ?1 AND ?2";
        if filter.newest.is_some() || last.saturating_sub(first) < WORTH_MIN {
            return self.scan_where(columns, wanted, only, &[first, last], read);
        }
        let (sql, count) = (taking(columns, wanted, only), columns.split(',').count());
        read_parts(self.db()?, &self.taken, &self.settings, &sql, count, (first, last), &mut read)
    }

    /// What is `wanted` may be found by an index; of it `only` some is taken.
    pub(super) fn scan_where(
        &self,
        columns: &str,
        wanted: &str,
        only: &str,
        params: &[i64],
        mut read: impl FnMut(&Cells<'_>) -> rusqlite::Result<bool>,
    ) -> Result<()> {
        let (sql, count) = (taking(columns, wanted, only), columns.split(',').count());
        take(self.db()?, &self.taken, &sql, params, &mut |batch| read_batch(batch, count, &mut read))
            .map(drop)
    }

    /// The number of the first entry a filter lets through, but for its task. Times never go back,
    /// so theirs is found by halving.
    fn first_of(&self, filter: Filter) -> Result<i64> {
        let first = i64::try_from(filter.from.unwrap_or(0)).unwrap_or(i64::MAX);
        if filter.since.is_none() && filter.newest.is_none() {
            return Ok(first);
        }
        let last: Option<Option<i64>> = self.first("SELECT max(seq) FROM entries", [], |row| row.get(0))?;
        let end = last.flatten().unwrap_or(0) + 1;
        let newest = filter.newest.map_or(i64::MAX, |newest| i64::try_from(newest).unwrap_or(i64::MAX));
        let (mut from, mut to) = (end.saturating_sub(newest).max(first), end);
        let Some(since) = filter.since else { return Ok(from) };
        while from < to {
            let middle = from + (to - from) / 2;
            let sql = "SELECT at_ms FROM entries WHERE seq >= ? ORDER BY seq LIMIT 1";
            let at: Option<Millis> = self.first(sql, [middle], |row| row.get(0))?;
            if at.is_some_and(|at| at < since) { from = middle + 1 } else { to = middle }
        }
        Ok(from)
    }
}

fn taking(columns: &str, wanted: &str, only: &str) -> String {
    format!(
        "SELECT 1 FROM entries WHERE {wanted} AND CASE WHEN {only} THEN taken({columns}) END ORDER BY seq"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Config, Ledger, Limit, Request, Usage, ledger::store::Filter};

    #[test]
    fn what_two_connections_read_is_all_of_it_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let ledger = Ledger::open(&store, Arc::new(Config::default())).unwrap();
        let task = ledger.task("t", [Limit::usd("100").unwrap()]).unwrap();
        let request = Request::model("gpt-4o").input_tokens(10).max_output_tokens(10);
        for used in 0..200 {
            task.reserve(&request).unwrap().settle(&Usage::tokens(10, used % 10)).unwrap();
        }
        let read = |filter: Filter, most: usize| {
            let mut found = Vec::new();
            let all = ledger.read(|tx| {
                tx.movements(filter, &mut |entry| {
                    found.push((entry.call, entry.kind, entry.usd));
                    if found.len() == 50 {
                        // Of a later state than the reader's.
                        task.reserve(&request).unwrap().void().unwrap();
                    }
                    found.len() < most
                })
            });
            all.map(|()| found).unwrap()
        };
        let of_task = read(Filter { task: Some(1), ..Filter::default() }, usize::MAX);
        let all = read(Filter::default(), usize::MAX);
        assert!(all.len() == 402 && all[..400] == of_task[..]);
        let later = read(Filter { from: Some(100), ..Filter::default() }, usize::MAX);
        let at = all.iter().position(|entry| *entry == later[0]).unwrap();
        assert!((90..100).contains(&at) && later.starts_with(&all[at..]));
        assert!(read(Filter::default(), 333) == all[..333]);
    }
}
