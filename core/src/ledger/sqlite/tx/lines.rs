//! What lies in the file? The rows a proof is about, each as it is, readable or not.

use rusqlite::Row;

use super::{
    super::{
        Session,
        rows::{TASK, entry_of, task_of},
        taken::Cells,
    },
    Entry, Head, Line, Result, TaskRow, Word,
};

impl Session {
    pub(super) fn scan_lines(&self, visit: &mut dyn FnMut(Line) -> bool) -> Result<()> {
        let columns = format!("{}, call, under, proofs, link, seq", Entry::COLUMNS.join(", "));
        self.scan_where(&columns, "1", "1", &[], |row| Ok(visit(line_of(row)?)))
    }

    pub(super) fn number_of_last_line(&self) -> Result<u64> {
        let last = self.first("SELECT max(seq) FROM entries", [], |row| row.get::<_, Option<i64>>(0))?;
        Ok(last.flatten().and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
    }

    pub(super) fn scan_words(&self, visit: &mut dyn FnMut(Word)) -> Result<()> {
        let sql = "SELECT no, key, value, salt FROM names ORDER BY no";
        self.each(sql, [], |row| word_of(row).map(&mut *visit))
    }

    pub(super) fn scan_task_lines(&self, visit: &mut dyn FnMut(TaskRow)) -> Result<()> {
        let sql = format!("SELECT {TASK} FROM tasks ORDER BY no");
        self.each(&sql, [], |row| {
            let unreadable = |_| Ok(TaskRow { no: row.get(0)?, ..TaskRow::default() });
            task_of(row).or_else(unreadable).map(&mut *visit)
        })
    }
}

/// A cell that is not of its type makes a line that cannot be an entry.
fn line_of(row: &Cells<'_>) -> rusqlite::Result<Line> {
    const BLOBS: usize = Entry::COLUMNS.len();
    // Nothing is written as no blob, so that the same entry has one form only: no call is covered by its
    // link as sixteen zeros.
    let zero = || matches!(row.bytes(BLOBS), Ok(Some(id)) if id.iter().all(|byte| *byte == 0));
    let empty = |column| matches!(row.bytes(column), Ok(Some([])));
    let link = row.exactly(BLOBS + 3);
    let odd = link.is_err() || zero() || empty(BLOBS + 1) || empty(BLOBS + 2);
    let entry = if odd { None } else { entry_of(row) };
    let seq = row.get::<i64>(BLOBS + 4)?;
    Ok(Line { seq: u64::try_from(seq).unwrap_or(0), entry, link: link.unwrap_or_default() })
}

fn word_of(row: &Row<'_>) -> rusqlite::Result<Word> {
    Ok(Word { no: row.get(0)?, key: row.get(1)?, value: row.get(2)?, salt: row.get(3)? })
}

/// What cannot be the end of a chain is the end of none.
pub(super) fn head_of(row: &Row<'_>) -> rusqlite::Result<(u32, Head)> {
    let links = row.get::<_, i64>(1).ok().and_then(|links| u64::try_from(links).ok());
    let link = row.get(2).ok();
    let head = links.zip(link).map(|(links, link)| Head { links, link });
    Ok((row.get(0)?, head.unwrap_or(Head { links: u64::MAX, ..Head::default() })))
}
