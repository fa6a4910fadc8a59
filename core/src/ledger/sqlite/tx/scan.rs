//! Which rows does a reader get? Of entries one pass over the table, in order.

use rusqlite::{Row, params, types::Value};

use super::{
    super::{
        Session,
        rows::{
            ATTEMPT, BILL, COUNT, MOVEMENT, MOVEMENT_COLUMNS, REQUEST, TASK, attempt_of, bill_of, count_of,
            entry_of, failed, movement_of, request_of, run_of, task_of,
        },
    },
    Entry, Error, Filter, Millis, Result,
};
use crate::{
    ledger::{
        Kind,
        store::{Run, TaskRow, Which},
    },
    value::Id,
};

/// Only entries about calls.
const CALLS: &str = "call IS NOT NULL AND ";

impl Session {
    pub(super) fn scan_entries(&self, filter: Filter, visit: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        let mut damaged = false;
        let columns = format!("{}, call, under, proofs", Entry::COLUMNS.join(", "));
        self.scan(&columns, "", filter, |row| {
            let entry = entry_of(row)?;
            damaged = entry.is_none();
            Ok(entry.is_some_and(&mut *visit))
        })?;
        if damaged { Err(Error::corrupt("an entry of the ledger cannot be read")) } else { Ok(()) }
    }

    pub(super) fn scan_movements(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        let Some(part) = filter.part else {
            return self.scan(MOVEMENT, CALLS, filter, |row| movement_of(row).map(|entry| visit(&entry)));
        };
        self.scan(&format!("{MOVEMENT}, {}", part.column()), CALLS, filter, |row| {
            let mut entry = movement_of(row)?;
            if entry.kind == Kind::Reserved {
                part.put(&mut entry, row.get(MOVEMENT_COLUMNS)?);
            }
            Ok(visit(&entry))
        })
    }

    pub(super) fn scan_counts(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan(COUNT, CALLS, filter, |row| count_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_requests(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        let only = format!("(call IS NOT NULL OR kind = {}) AND ", Kind::Verdict as u8);
        self.scan(REQUEST, &only, filter, |row| request_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_bills(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan(BILL, CALLS, filter, |row| bill_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_attempts(&self, visit: &mut dyn FnMut(&Entry)) -> Result<()> {
        let only = format!("kind IN ({}, {}) AND ", Kind::AttemptStarted as u8, Kind::AttemptEnded as u8);
        self.scan(ATTEMPT, &only, Filter::default(), |row| {
            visit(&attempt_of(row)?);
            Ok(true)
        })
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
        let mut statement = self.db()?.prepare_cached(&sql).map_err(failed)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![since.unwrap_or(Millis::MIN), most]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(run_of(row).map_err(failed)?);
        }
        Ok(())
    }

    pub(super) fn scan_names(&self, key: &str, visit: &mut dyn FnMut(u32, &str)) -> Result<()> {
        let sql = "SELECT no, value FROM names WHERE key = ? AND value IS NOT NULL";
        let mut statement = self.db()?.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query([key]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let value: String = row.get(1).map_err(failed)?;
            visit(row.get(0).map_err(failed)?, &value);
        }
        Ok(())
    }

    /// Reads these columns of the entries until `read` returns false.
    fn scan(
        &self,
        columns: &str,
        only: &str,
        filter: Filter,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<()> {
        // Only with its own condition said again is the index on tasks used.
        let task = if filter.task.is_some() { "task = ?2 AND task <> 0" } else { "?2 = ?2" };
        let sql = format!("SELECT {columns} FROM entries WHERE {only}{task} AND seq >= ?1 ORDER BY seq");
        let mut statement = self.db()?.prepare_cached(&sql).map_err(failed)?;
        let params = params![self.first_of(filter)?, filter.task.unwrap_or(0)];
        let mut rows = statement.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !read(row).map_err(failed)? {
                break;
            }
        }
        Ok(())
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
