//! What does memory keep of alerts?

use super::Memory;
use crate::{
    error::{Error, Result},
    ledger::alert::{AlertRow, Alerts, ConsumerRow, PassingRow, note_recorded},
    value::Millis,
};

/// More than these, and the oldest goes.
const ALERTS_MAX: usize = 10_000;
const PASSING_MAX: usize = 10_000;
const CONSUMERS_MAX: usize = 100;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Did any account ever have thresholds?
    pub has_thresholds: bool,
    alerts: Vec<AlertRow>,
    last: u64,
    passing: Vec<PassingRow>,
    consumers: Vec<(String, ConsumerRow)>,
}

impl Alerts for Memory {
    #[inline]
    fn has_thresholds(&self) -> bool {
        self.alerts.has_thresholds
    }

    fn alerts_of(&mut self, account: u32, oldest: Millis) -> Result<Vec<AlertRow>> {
        let wanted = |row: &&AlertRow| row.account == account && row.slot >= oldest;
        Ok(self.alerts.alerts.iter().filter(wanted).copied().collect())
    }

    fn put_alert(&mut self, row: &AlertRow) -> Result<()> {
        let kept = &mut self.alerts;
        kept.last += 1;
        if kept.alerts.len() >= ALERTS_MAX {
            kept.alerts.drain(..ALERTS_MAX / 10);
        }
        kept.alerts.push(AlertRow { no: kept.last, ..*row });
        note_recorded();
        Ok(())
    }

    fn alerts(&mut self, after: u64, visit: &mut dyn FnMut(AlertRow) -> bool) -> Result<()> {
        let behind = self.alerts.alerts.partition_point(|row| row.no <= after);
        let _ = self.alerts.alerts[behind..].iter().all(|row| visit(*row));
        Ok(())
    }

    fn passing_of(&mut self, account: u32) -> Result<Vec<PassingRow>> {
        let mut rows = self.alerts.passing.clone();
        rows.retain(|row| row.account == account);
        rows.sort_by_key(PassingRow::due_ms);
        Ok(rows)
    }

    fn passing(&mut self, most: usize) -> Result<Vec<PassingRow>> {
        let mut rows = self.alerts.passing.clone();
        rows.sort_by_key(PassingRow::due_ms);
        rows.truncate(most);
        Ok(rows)
    }

    fn is_passing(&mut self) -> Result<bool> {
        Ok(!self.alerts.passing.is_empty())
    }

    fn put_passing(&mut self, row: &PassingRow) -> Result<()> {
        if self.alerts.passing.len() >= PASSING_MAX {
            self.alerts.passing.remove(0);
        }
        self.alerts.passing.push(*row);
        Ok(())
    }

    fn drop_passing(&mut self, row: &PassingRow) -> Result<()> {
        self.alerts.passing.retain(|other| !other.is_same(row));
        Ok(())
    }

    fn consumer(&mut self, name: &str) -> Result<Option<ConsumerRow>> {
        let found = self.alerts.consumers.iter().find(|(own, _)| own == name);
        Ok(found.map(|(_, row)| row.clone()))
    }

    fn put_consumer(&mut self, name: &str, row: &ConsumerRow) -> Result<()> {
        let consumers = &mut self.alerts.consumers;
        match consumers.iter().position(|(own, _)| own == name) {
            Some(place) => consumers[place].1 = row.clone(),
            None if consumers.len() < CONSUMERS_MAX => consumers.push((name.to_owned(), row.clone())),
            None => return Err(Error::store("the ledger in memory is full of consumers of alerts")),
        }
        Ok(())
    }
}
