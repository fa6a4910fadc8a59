//! What does memory keep of people's orders?

use super::Memory;
use crate::{
    error::{Error, Result},
    ledger::{
        approval::AskRow,
        halt::{HaltRow, Orders},
        store::Account,
    },
    policy::Unit,
    value::Id,
};

const ASKS_MAX: usize = 10_000;

impl Orders for Memory {
    fn halts(&mut self) -> Result<Vec<HaltRow>> {
        Ok(self.halts.clone())
    }

    fn put_halt(&mut self, row: &HaltRow) -> Result<()> {
        self.drop_halt(row.scope)?;
        self.halts.push(*row);
        Ok(())
    }

    fn drop_halt(&mut self, scope: u32) -> Result<bool> {
        let before = self.halts.len();
        self.halts.retain(|row| row.scope != scope);
        Ok(self.halts.len() < before)
    }

    fn ask(&mut self, id: &Id) -> Result<Option<AskRow>> {
        Ok(self.asks.iter().find(|row| row.id == *id).cloned())
    }

    fn open_ask(&mut self, task: u32, account: u32, unit: Unit) -> Result<Option<AskRow>> {
        let same =
            |row: &&AskRow| row.granted == 0 && (row.task, row.account, row.unit) == (task, account, unit);
        Ok(self.asks.iter().find(same).cloned())
    }

    fn open_asks(&mut self, most: usize) -> Result<Vec<AskRow>> {
        Ok(self.asks.iter().filter(|row| row.granted == 0).take(most).cloned().collect())
    }

    fn asks_of(&mut self, account: u32) -> Result<Vec<AskRow>> {
        Ok(self.asks.iter().filter(|row| row.account == account).cloned().collect())
    }

    fn put_ask(&mut self, row: &AskRow) -> Result<()> {
        if let Some(there) = self.asks.iter_mut().find(|there| there.id == row.id) {
            *there = row.clone();
            return Ok(());
        }
        if self.asks.len() >= ASKS_MAX {
            return Err(Error::store("the ledger in memory is full of requests; use a file"));
        }
        self.asks.push(row.clone());
        Ok(())
    }

    fn account(&mut self, no: u32) -> Result<Option<Account>> {
        Ok(self.accounts.get(&no).cloned())
    }
}
