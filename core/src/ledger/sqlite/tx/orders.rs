//! The rows of people's orders.

use rusqlite::{Row, params};

use super::{super::Session, Result};
use crate::ledger::halt::{HaltRow, Orders};

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
}
