//! Is the file a ledger, and one this version can read?
//!
//! A new file gets its tables. A database of somebody else, or of a later version, is not changed
//! in any way.

use rusqlite::{Connection as Database, ErrorCode, TransactionBehavior};

use super::{rows::failed, views, wait_a_little};
use crate::{
    error::{Error, ErrorKind, Result},
    ledger::entry::Entry,
};

const SCHEMA: i64 = 3;
/// "outl", so that tools tell a ledger from other databases.
const APPLICATION: i64 = 0x6f75_746c;

/// Makes the tables of a new file, or checks those of an old one; returns the ledger's key.
pub(super) fn ensure(db: &mut Database) -> Result<[u8; 32]> {
    if is_new(db)? {
        let mode = switch_to_wal(db)?;
        if mode != "wal" {
            return Err(Error::store(format!("the ledger cannot be put into WAL mode, only `{mode}`")));
        }
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if is_new(&tx)? {
            create_tables(&tx)?;
        }
        tx.commit().map_err(failed)?;
    }
    if number(db, "application_id")? != APPLICATION {
        return Err(Error::corrupt("the file is a database, but not a ledger"));
    }
    let version = number(db, "user_version")?;
    if version != SCHEMA {
        let message = format!("the ledger has schema {version}, this version of outlay knows {SCHEMA}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let key = db.query_row("SELECT value FROM meta WHERE key = 'hash_key'", [], |row| row.get(0));
    key.map_err(failed)
}

fn number(db: &Database, pragma: &str) -> Result<i64> {
    db.pragma_query_value(None, pragma, |row| row.get(0)).map_err(failed)
}

/// Has nobody written anything into it?
fn is_new(db: &Database) -> Result<bool> {
    // In one statement, as another process may be making the tables now.
    let sql = "SELECT user_version = 0 AND application_id = 0 AND NOT EXISTS (SELECT 1 FROM sqlite_schema)
        FROM pragma_user_version, pragma_application_id";
    db.query_row(sql, [], |row| row.get(0)).map_err(failed)
}

/// Two that switch at once hold the file to read and both want to write it. SQLite refuses one of
/// them without asking its busy handler, as waiting would be a deadlock; starting anew is none.
fn switch_to_wal(db: &Database) -> Result<String> {
    let mut tries = 0;
    loop {
        let mode = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        let busy = mode
            .as_ref()
            .is_err_and(|error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy));
        if !busy || !wait_a_little(tries) {
            return mode.map_err(failed);
        }
        tries += 1;
    }
}

fn create_tables(db: &Database) -> Result<()> {
    let columns: Vec<String> = Entry::COLUMNS.iter().map(|name| format!("{name} INTEGER NOT NULL")).collect();
    let schema = include_str!("schema.sql").replace("{columns}", &columns.join(", "));
    db.execute_batch(&schema).map_err(failed)?;
    db.execute_batch(&views::statements()).map_err(failed)?;
    let mut key = [0_u8; 32];
    getrandom::fill(&mut key).map_err(|e| Error::store(format!("no random bits: {e}")))?;
    db.execute("INSERT INTO meta VALUES ('hash_key', ?)", [key]).map_err(failed)?;
    db.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    db.pragma_update(None, "user_version", SCHEMA).map_err(failed)
}
