//! Which entries does a reader get? One pass over the table, in order.

use rusqlite::{Row, params};

use super::{
    super::{
        Session,
        rows::{COUNT, MOVEMENT, count_of, entry_of, failed, movement_of},
    },
    Entry, Error, Filter, Millis, Result,
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
        self.scan(MOVEMENT, CALLS, filter, |row| movement_of(row).map(|entry| visit(&entry)))
    }

    pub(super) fn scan_counts(&self, filter: Filter, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<()> {
        self.scan(COUNT, CALLS, filter, |row| count_of(row).map(|entry| visit(&entry)))
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
        if filter.since.is_none() && filter.newest.is_none() {
            return Ok(0);
        }
        let last: Option<Option<i64>> = self.first("SELECT max(seq) FROM entries", [], |row| row.get(0))?;
        let end = last.flatten().unwrap_or(0) + 1;
        let newest = filter.newest.map_or(i64::MAX, |newest| i64::try_from(newest).unwrap_or(i64::MAX));
        let (mut from, mut to) = (end.saturating_sub(newest).max(0), end);
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
