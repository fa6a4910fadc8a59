//! The rows of people's orders.

use rusqlite::{Row, params};

use super::{super::Session, Error, Result, id_of};
use crate::{
    ledger::{
        approval::AskRow,
        halt::{HaltRow, Orders},
        store::Account,
    },
    policy::Unit,
    value::Id,
};

impl Session {
    fn asks(&self, filter: &str, params: impl rusqlite::Params) -> Result<Vec<AskRow>> {
        let columns = "id, task, account, unit, needed, at_ms, granted, by";
        let sql = format!("SELECT {columns} FROM asks WHERE {filter}");
        let unknown = || Error::corrupt("a request for approval cannot be read");
        self.every(&sql, params, ask_of)?.into_iter().map(|row| row.ok_or_else(unknown)).collect()
    }
}

fn ask_of(row: &Row<'_>) -> rusqlite::Result<Option<AskRow>> {
    let unit: u8 = row.get(3)?;
    let Some(unit) = Unit::ALL.get(usize::from(unit)).copied() else { return Ok(None) };
    Ok(Some(AskRow {
        id: id_of(row, 0)?,
        task: row.get(1)?,
        account: row.get(2)?,
        unit,
        needed: row.get(4)?,
        at_ms: row.get(5)?,
        granted: row.get(6)?,
        by: row.get(7)?,
    }))
}

impl Orders for Session {
    fn halts(&mut self) -> Result<Vec<HaltRow>> {
        let read = |row: &Row<'_>| {
            Ok(HaltRow { scope: row.get(0)?, by: row.get(1)?, reason: row.get(2)?, at_ms: row.get(3)? })
        };
        self.every("SELECT scope, by, reason, at_ms FROM halts ORDER BY at_ms, scope", [], read)
    }

    fn put_halt(&mut self, row: &HaltRow) -> Result<()> {
        let params = params![row.scope, row.by, row.reason, row.at_ms];
        self.run("INSERT OR REPLACE INTO halts VALUES (?, ?, ?, ?)", params).map(drop)
    }

    fn drop_halt(&mut self, scope: u32) -> Result<bool> {
        Ok(self.run("DELETE FROM halts WHERE scope = ?", [scope])?.changes() > 0)
    }

    fn ask(&mut self, id: &Id) -> Result<Option<AskRow>> {
        Ok(self.asks("id = ?", [id.bytes()])?.pop())
    }

    fn open_ask(&mut self, task: u32, account: u32, unit: Unit) -> Result<Option<AskRow>> {
        let filter = "task = ? AND account = ? AND unit = ? AND granted = 0";
        Ok(self.asks(filter, params![task, account, unit as u8])?.pop())
    }

    fn open_asks(&mut self, most: usize) -> Result<Vec<AskRow>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.asks("granted = 0 ORDER BY at_ms, id LIMIT ?", [most])
    }

    fn asks_of(&mut self, account: u32) -> Result<Vec<AskRow>> {
        self.asks("account = ?", [account])
    }

    fn put_ask(&mut self, row: &AskRow) -> Result<()> {
        let (id, unit) = (row.id.bytes(), row.unit as u8);
        let place = (row.task, row.account);
        let params = params![id, place.0, place.1, unit, row.needed, row.at_ms, row.granted, row.by];
        self.run("INSERT OR REPLACE INTO asks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", params).map(drop)
    }

    fn account(&mut self, no: u32) -> Result<Option<Account>> {
        Ok(self.accounts("no = ?", [no])?.pop())
    }
}
