//! The ledger in a file, shared by the processes of one machine.
//!
//! SQLite in WAL mode; a transaction takes the write lock at its start, so what it reads cannot
//! change under it. The connection is closed before a fork and opened again after it: SQLite must
//! not be carried across one.

mod file;
mod rows;
mod schema;
mod taken;
mod tx;
mod views;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc as StdArc, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use rusqlite::{Connection as Database, OpenFlags, hooks::Wal, params};
use rustc_hash::FxHashMap;

pub(crate) use file::path_of;
use rows::failed;
use taken::Taken;

use super::{
    alert::note_recorded,
    at_once,
    chain::{self, Link},
    entry::Entry,
    journal::{Connection, Journal},
    open,
    store::{Cache, Tx},
};
use crate::{
    error::{Error, Result},
    sync::{Mutex, lock},
    value::{Clock, Id, Millis},
};

const NAMES_MAX: usize = 10_000;
/// From so many pages on the write-ahead log is copied into the file: SQLite's own default.
const WAL_PAGES_MAX: i32 = 1_000;

/// When is a commit safe?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it: it survives the death of the process.
    #[default]
    Os,
    /// When the disk has it: it survives the loss of power.
    Disk,
}

/// What is needed to open a file again.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub path: PathBuf,
    pub durability: Durability,
    pub clock: Clock,
}

/// A ledger file as one owner has it open.
pub(crate) struct Sqlite {
    settings: Settings,
    /// Closed before the writer, which as the last one out empties the write-ahead log.
    reader: Mutex<Option<Session>>,
    journal: Journal<Session>,
    forking: StdArc<AtomicBool>,
    owner: Owner,
    key: [u8; 32],
}

#[derive(Debug)]
struct Owner {
    id: Id,
    no: u32,
    /// Locked as long as it is open.
    file: Mutex<Option<File>>,
}

/// One connection and what it keeps between transactions.
pub(super) struct Session {
    settings: Settings,
    db: Option<Database>,
    forking: StdArc<AtomicBool>,
    /// Is the write-ahead log due to be copied? That writes to the disk, which may take long.
    copy_is_due: StdArc<AtomicBool>,
    owner: u32,
    cache: Cache,
    names: FxHashMap<String, u32>,
    taken: Taken,
    now: Millis,
    entries: Vec<Entry>,
    /// Does the transaction record alerts?
    alerted: bool,
    links: i64,
    head: Link,
}

impl Sqlite {
    /// Opens the file, makes it if it is new, and sweeps owners that died.
    pub fn open(settings: Settings, id: Id) -> Result<Self> {
        file::prepare(&settings.path)?;
        let mut db = connect(&settings, false)?;
        let key = schema::ensure(&mut db)?;
        let file = file::lock_owner(&settings.path, &id)?;
        let started = settings.clock.now();
        db.execute(
            "INSERT INTO owners (id, pid, started_ms) VALUES (?, ?, ?)",
            params![id.bytes(), std::process::id(), started],
        )
        .map_err(failed)?;
        let no = u32::try_from(db.last_insert_rowid()).map_err(|_| Error::corrupt("too many owners"))?;
        let forking = StdArc::new(AtomicBool::new(false));
        let mut session = Session::new(settings.clone(), StdArc::clone(&forking), no);
        session.use_database(db)?;
        let owner = Owner { id, no, file: Mutex::new(Some(file)) };
        let ledger =
            Self { settings, journal: Journal::new(session), reader: Mutex::new(None), forking, owner, key };
        ledger.sweep()?;
        Ok(ledger)
    }

    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    pub fn act<R: Send + 'static>(
        &self,
        act: impl FnMut(&mut dyn Tx) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.journal.act(act)
    }

    /// Reads a consistent state without stopping writers.
    pub fn read<R>(&self, read: impl FnOnce(&mut dyn Tx) -> Result<R>) -> Result<R> {
        let mut reader = match self.reader.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                at_once::may_wait()?;
                lock(&self.reader)
            }
        };
        let session = reader.get_or_insert_with(|| {
            Session::new(self.settings.clone(), StdArc::clone(&self.forking), self.owner.no)
        });
        session.start("BEGIN DEFERRED", true)?;
        let result = read(session);
        session.finish();
        result
    }

    /// Ends the owners that died, except a running one's; returns how many calls are in doubt now.
    pub fn sweep(&self) -> Result<usize> {
        let owners = self.read(|tx| tx.owners())?;
        let mut doubted = 0;
        for owner in owners {
            let own = owner.no == self.owner.no;
            if !own && !owner.ended && !file::is_alive(&self.settings.path, &owner.id) {
                doubted += self.act(move |tx| open::sweep(tx, owner.no))?;
            }
        }
        Ok(doubted)
    }

    /// Is this owner running?
    pub fn is_alive(&self, owner: u32) -> Result<bool> {
        let owners = self.read(|tx| tx.owners())?;
        let found = owners.iter().find(|row| row.no == owner);
        Ok(found.is_some_and(|row| file::is_alive(&self.settings.path, &row.id)))
    }

    /// Ends this owner: nothing of its is open any more.
    pub fn close(&self) -> Result<()> {
        let no = self.owner.no;
        let held = lock(&self.owner.file).take();
        if held.is_some() {
            self.act(move |tx| open::sweep(tx, no))?;
            file::remove_owner(&self.settings.path, &self.owner.id);
        }
        Ok(())
    }

    /// Closes the connections and keeps them closed until the fork is over.
    pub fn before_fork(&self) {
        self.journal.connection(|writer| {
            let mut reader = lock(&self.reader);
            writer.close();
            if let Some(reader) = reader.as_mut() {
                reader.close();
            }
            // Under both locks: whoever has one of them would wait for the fork, and it for them.
            self.forking.store(true, Ordering::SeqCst);
        });
    }

    pub fn after_fork_in_parent(&self) {
        self.forking.store(false, Ordering::SeqCst);
    }

    /// In the child: gives up the parent's lock without releasing it.
    pub fn abandon(&self) {
        // Nobody else can hold this lock for long enough to be caught by a fork.
        if let Ok(mut file) = self.owner.file.try_lock() {
            drop(file.take());
        }
    }
}

impl Session {
    fn new(settings: Settings, forking: StdArc<AtomicBool>, owner: u32) -> Self {
        Self {
            settings,
            db: None,
            forking,
            copy_is_due: StdArc::default(),
            owner,
            cache: Cache::default(),
            names: FxHashMap::default(),
            taken: Taken::default(),
            now: 0,
            entries: Vec::new(),
            alerted: false,
            links: -1,
            head: [0; 32],
        }
    }

    fn close(&mut self) {
        self.db = None;
    }

    /// Goes on with this connection, whose write-ahead log is copied by who may wait for the disk.
    fn use_database(&mut self, mut db: Database) -> Result<()> {
        let is_due = StdArc::clone(&self.copy_is_due);
        let committed = move |wal: &mut Wal, pages: i32| {
            is_due.store(pages >= WAL_PAGES_MAX && at_once::hurries(), Ordering::Relaxed);
            if pages >= WAL_PAGES_MAX && !at_once::hurries() {
                // As SQLite's own hook does: what cannot be copied now is copied by a later commit.
                let _ = wal.checkpoint();
            }
            Ok(())
        };
        db.wal_hook(Some(committed)).map_err(failed)?;
        taken::teach(&db, &self.taken).map_err(failed)?;
        self.db = Some(db);
        Ok(())
    }

    /// Would a transaction take longer than a few system calls?
    fn would_wait(&self, read_only: bool) -> bool {
        let to_disk =
            self.settings.durability == Durability::Disk || self.copy_is_due.load(Ordering::Relaxed);
        self.db.is_none() || self.forking.load(Ordering::SeqCst) || to_disk && !read_only
    }

    fn db(&self) -> Result<&Database> {
        self.db.as_ref().ok_or_else(|| Error::store("the ledger is closed"))
    }

    fn start(&mut self, begin: &str, read_only: bool) -> Result<()> {
        if self.would_wait(read_only) {
            at_once::may_wait()?;
        }
        self.wait_for_fork()?;
        if self.db.is_none() {
            if !self.settings.path.exists() {
                return Err(Error::store("the file of the ledger is gone"));
            }
            let db = connect(&self.settings, read_only)?;
            self.use_database(db)?;
        }
        let db = self.db()?;
        db.prepare_cached(begin).and_then(|mut begin| begin.execute([])).map_err(failed)?;
        if let Err(error) = self.refresh() {
            self.rollback();
            return Err(error);
        }
        Ok(())
    }

    /// Reads what other processes may have changed since the last transaction.
    fn refresh(&mut self) -> Result<()> {
        let (version, last) = self.version_and_last()?;
        if self.cache.version != version || self.names.len() > NAMES_MAX {
            self.names.clear();
        }
        self.cache.refresh(version);
        self.now = self.now.max(last).max(self.settings.clock.now());
        self.entries.clear();
        self.alerted = false;
        Ok(())
    }

    fn version_and_last(&self) -> Result<(i64, Millis)> {
        let db = self.db()?;
        let mut version =
            db.prepare_cached("SELECT value FROM meta WHERE key = 'version'").map_err(failed)?;
        let version: i64 = version.query_row([], |row| row.get(0)).map_err(failed)?;
        let sql = "SELECT coalesce((SELECT at_ms FROM entries ORDER BY seq DESC LIMIT 1), 0)";
        let mut last = db.prepare_cached(sql).map_err(failed)?;
        let last: Millis = last.query_row([], |row| row.get(0)).map_err(failed)?;
        Ok((version, last))
    }

    fn wait_for_fork(&self) -> Result<()> {
        for _ in 0..10_000 {
            if !self.forking.load(Ordering::SeqCst) {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
        Err(Error::store("a fork of this process does not end"))
    }

    /// Ends a transaction without keeping anything.
    fn finish(&mut self) {
        if let Some(db) = &self.db
            && !db.is_autocommit()
            && db.execute_batch("ROLLBACK").is_err()
        {
            // A connection that cannot roll back is not to be trusted with the next transaction.
            self.db = None;
        }
    }

    /// Writes the entries of this transaction with the link that covers them.
    fn write_entries(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        if self.links < 0 {
            let sql = "SELECT links, head FROM owners WHERE no = ?";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            (self.links, self.head) = self.db()?.query_row(sql, [self.owner], read).map_err(failed)?;
        }
        let link = chain::link(&self.head, &self.entries);
        let db = self.db()?;
        let mut insert = db.prepare_cached(tx::insert_entry()).map_err(failed)?;
        for (index, entry) in self.entries.iter().enumerate() {
            let last = index + 1 == self.entries.len();
            tx::write_entry(&mut insert, entry, last.then_some(&link)).map_err(failed)?;
        }
        let sql = "UPDATE owners SET links = ?, head = ? WHERE no = ?";
        let mut update = db.prepare_cached(sql).map_err(failed)?;
        update.execute(params![self.links + 1, link, self.owner]).map_err(failed)?;
        drop((insert, update));
        self.links += 1;
        self.head = link;
        Ok(())
    }
}

impl Connection for Session {
    fn begin(&mut self) -> Result<()> {
        self.start("BEGIN IMMEDIATE", false)
    }

    fn tx(&mut self) -> &mut dyn Tx {
        self
    }

    fn commit(&mut self) -> Result<()> {
        self.write_entries()?;
        let db = self.db()?;
        db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(failed)?;
        if self.alerted {
            note_recorded();
        }
        if !self.entries.is_empty() {
            at_once::has_written();
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.finish();
        // What an undone transaction had learned is not so.
        self.entries.clear();
        self.links = -1;
        self.names.clear();
        self.cache = Cache { version: -1, ..Cache::default() };
    }
}
fn connect(settings: &Settings, read_only: bool) -> Result<Database> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    flags |= if read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
    let mut db = Database::open_with_flags(&settings.path, flags).map_err(failed)?;
    db.set_prepared_statement_cache_capacity(96);
    db.busy_handler(Some(wait_a_little)).map_err(failed)?;
    let synchronous = if settings.durability == Durability::Disk { "FULL" } else { "NORMAL" };
    db.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
    db.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    // A forgotten value must not live on in a page.
    db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(())).map_err(failed)?;
    Ok(db)
}

/// Waits for another process: half a millisecond at first, ten at most, ten seconds in all.
fn wait_a_little(tries: i32) -> bool {
    if at_once::may_wait().is_err() {
        return false;
    }
    let micros = match tries {
        0..20 => 500,
        20..100 => 2_000,
        _ => 10_000,
    };
    // Processes that began to wait together must not wake together.
    let spread =
        u64::from(std::process::id()).wrapping_mul(2_654_435_761).wrapping_add(tries as u64 * 97) % 256;
    sleep(Duration::from_micros(micros - micros * spread / 512));
    tries < 1_100
}

/// Where a ledger lies, for messages.
pub(crate) fn shown(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
