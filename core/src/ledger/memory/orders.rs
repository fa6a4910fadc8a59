//! What does memory keep of people's orders?

use super::Memory;
use crate::{
    error::Result,
    ledger::halt::{HaltRow, Orders},
};

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
}
