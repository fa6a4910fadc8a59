//! How are two cores used to read one table?
//!
//! Entries never change, so any state of the file that is not older than a transaction's has its entries.
//! A second connection takes most parts of them ahead of the reader, who still gets all in order.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use rusqlite::Connection as Database;

use super::super::{
    Settings, connect,
    rows::failed,
    taken::{self, Batch, Cells, Taken},
};
use crate::{
    error::{Error, Result},
    sync::lock,
};

/// The fewest entries of a part; in tests few enough to have several.
const PART_MIN: i64 = if cfg!(test) { 64 } else { 1 << 15 };
/// What is less is read sooner than a connection is opened.
pub(super) const WORTH_MIN: i64 = 4 * PART_MIN;
/// Also where numbers were edited to be far apart there are no more parts than this.
const PARTS_MAX: i64 = 1_000;
/// Batches taken ahead: about a part.
const AHEAD_MAX: usize = 128;

/// Entries from the first to the last.
type Part = (i64, i64);

/// One part of three: who takes these also reads the others.
const fn is_readers_own(index: usize) -> bool {
    index.is_multiple_of(3)
}

/// What a reader makes of a row; false when it wants no more.
pub(super) type Read<'a> = &'a mut dyn FnMut(&Cells<'_>) -> rusqlite::Result<bool>;

fn parts((first, last): Part) -> impl Iterator<Item = Part> {
    let length = PART_MIN.max(last.saturating_sub(first) / PARTS_MAX);
    let next = move |(_, end): &Part| {
        let begin = end.checked_add(1).filter(|begin| *begin <= last)?;
        Some((begin, last.min(begin.saturating_add(length - 1))))
    };
    std::iter::successors(Some((first, last.min(first.saturating_add(length - 1)))), next)
}

/// Reads these entries by `sql`, which takes what lies from its first parameter to its second.
pub(super) fn read_parts(
    db: &Database,
    taken: &Taken,
    settings: &Settings,
    sql: &str,
    columns: usize,
    all: Part,
    read: Read<'_>,
) -> Result<()> {
    thread::scope(|scope| {
        let (send, ahead) = sync_channel(AHEAD_MAX);
        let other = thread::Builder::new().spawn_scoped(scope, move || take_ahead(settings, sql, all, &send));
        let Ok(other) = other else {
            // No thread can be started: this one reads all of it.
            take_part(db, taken, sql, all, &mut |batch| read_batch(batch, columns, read))?;
            return Ok(());
        };
        for (index, part) in parts(all).enumerate() {
            let goes_on = if is_readers_own(index) {
                take_part(db, taken, sql, part, &mut |batch| read_batch(batch, columns, read))?
            } else {
                match receive(&ahead, columns, read)? {
                    Some(goes_on) => goes_on,
                    None => break,
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
        other.join().map_err(|_| Error::store("the thread that reads ahead has ended"))?
    })
}

/// Takes the parts that are not the reader's own.
fn take_ahead(settings: &Settings, sql: &str, all: Part, send: &SyncSender<Option<Batch>>) -> Result<()> {
    let (db, taken) = (connect(settings, true)?, Taken::default());
    taken::teach(&db, &taken).map_err(failed)?;
    for (_, part) in parts(all).enumerate().filter(|(index, _)| !is_readers_own(*index)) {
        let is_wanted = take_part(&db, &taken, sql, part, &mut |batch| {
            Ok(send.send(Some(std::mem::take(batch))).is_ok())
        })?;
        // The end of a part.
        if !is_wanted || send.send(None).is_err() {
            break;
        }
    }
    Ok(())
}

/// What was taken ahead of one part; nothing when no more will come.
fn receive(ahead: &Receiver<Option<Batch>>, columns: usize, read: Read<'_>) -> Result<Option<bool>> {
    loop {
        match ahead.recv() {
            Ok(Some(batch)) if read_batch(&batch, columns, read)? => {}
            Ok(Some(_)) => return Ok(Some(false)),
            Ok(None) => return Ok(Some(true)),
            Err(_) => return Ok(None),
        }
    }
}

fn take_part(
    db: &Database,
    taken: &Taken,
    sql: &str,
    (first, last): Part,
    give: &mut dyn FnMut(&mut Batch) -> Result<bool>,
) -> Result<bool> {
    take(db, taken, sql, &[first, last], give)
}

/// Runs `sql`, and gives what it takes by the batch until that is not wanted.
pub(super) fn take(
    db: &Database,
    taken: &Taken,
    sql: &str,
    params: &[i64],
    give: &mut dyn FnMut(&mut Batch) -> Result<bool>,
) -> Result<bool> {
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    let mut batch = Batch::default();
    // Of a reader who wanted no more.
    lock(taken).clear();
    let mut rows = statement.query(rusqlite::params_from_iter(params)).map_err(failed)?;
    loop {
        let is_full = rows.next().map_err(failed)?.is_some();
        std::mem::swap(&mut *lock(taken), &mut batch);
        if !give(&mut batch)? {
            return Ok(false);
        }
        if !is_full {
            return Ok(true);
        }
        batch.clear();
    }
}

pub(super) fn read_batch(batch: &Batch, columns: usize, read: Read<'_>) -> Result<bool> {
    for row in batch.rows(columns) {
        if !read(&row).map_err(failed)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_it_once() {
        for all in [(0, 0), (1, 64), (1, 65), (5, 1_000), (0, i64::MAX), (i64::MAX - 1, i64::MAX)] {
            let parts: Vec<_> = parts(all).collect();
            assert!(parts.len() <= PARTS_MAX as usize + 1, "{all:?}");
            assert_eq!((parts[0].0, parts[parts.len() - 1].1), all);
            assert!(parts.windows(2).all(|two| two[0].1 + 1 == two[1].0), "{all:?}");
            assert!(parts.iter().all(|(first, last)| first <= last), "{all:?}");
        }
    }
}
