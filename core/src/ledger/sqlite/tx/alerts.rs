//! The rows of alerts.

use rusqlite::{Row, params};

use super::{super::Session, Error, Result, failed, id_of};
use crate::{
    ledger::alert::{AlertRow, Alerts, ConsumerRow, PassingRow},
    policy::{Threshold, Unit, alert::Mark},
    value::{Id, Millis},
};

const ALERT: &str =
    "no, id, account, slot, unit, per_mille, sustained_ms, allowed, spent, task, owner, at_ms";
const PASSING: &str = "account, slot, unit, per_mille, sustained_ms, allowed, since_ms";

fn mark_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Mark> {
    let unit: u8 = row.get(first)?;
    let known = Unit::ALL.get(usize::from(unit)).copied();
    let unit = known.ok_or(rusqlite::Error::IntegralValueOutOfRange(first, i64::from(unit)))?;
    let threshold = Threshold { per_mille: row.get(first + 1)?, sustained_ms: row.get(first + 2)? };
    Ok(Mark { unit, threshold, limit: row.get(first + 3)? })
}

fn alert_of(row: &Row<'_>) -> rusqlite::Result<AlertRow> {
    Ok(AlertRow {
        no: row.get::<_, i64>(0)? as u64,
        id: id_of(row, 1)?,
        account: row.get(2)?,
        slot: row.get(3)?,
        mark: mark_of(row, 4)?,
        spent: row.get(8)?,
        task: row.get(9)?,
        owner: row.get(10)?,
        at_ms: row.get(11)?,
    })
}

fn passing_of(row: &Row<'_>) -> rusqlite::Result<PassingRow> {
    Ok(PassingRow { account: row.get(0)?, slot: row.get(1)?, mark: mark_of(row, 2)?, since_ms: row.get(6)? })
}

impl Alerts for Session {
    fn alerts_of(&mut self, account: u32, oldest: Millis) -> Result<Vec<AlertRow>> {
        let sql = format!("SELECT {ALERT} FROM alerts WHERE account = ? AND slot >= ?");
        self.every(&sql, params![account, oldest], alert_of)
    }

    fn put_alert(&mut self, row: &AlertRow) -> Result<()> {
        let AlertRow { account, slot, mark, spent, task, owner, at_ms, .. } = *row;
        let Threshold { per_mille, sustained_ms } = mark.threshold;
        let sql = "INSERT INTO alerts (id, account, slot, unit, per_mille, sustained_ms, allowed, spent, \
                   task, owner, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let (id, unit) = (Id::bytes(&row.id), mark.unit as u8);
        let params =
            params![id, account, slot, unit, per_mille, sustained_ms, mark.limit, spent, task, owner, at_ms];
        self.run(sql, params)?;
        self.alerted = true;
        Ok(())
    }

    fn alerts(&mut self, after: u64, visit: &mut dyn FnMut(AlertRow) -> bool) -> Result<()> {
        let sql = format!("SELECT {ALERT} FROM alerts WHERE no > ? ORDER BY no");
        let mut statement = self.db()?.prepare_cached(&sql).map_err(failed)?;
        let mut rows = statement.query([after as i64]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !visit(alert_of(row).map_err(failed)?) {
                break;
            }
        }
        Ok(())
    }

    fn passing_of(&mut self, account: u32) -> Result<Vec<PassingRow>> {
        let sql = format!("SELECT {PASSING} FROM passing WHERE account = ? ORDER BY since_ms + sustained_ms");
        self.every(&sql, [account], passing_of)
    }

    fn passing(&mut self, most: usize) -> Result<Vec<PassingRow>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = format!("SELECT {PASSING} FROM passing ORDER BY since_ms + sustained_ms LIMIT ?");
        self.every(&sql, [most], passing_of)
    }

    fn is_passing(&mut self) -> Result<bool> {
        Ok(self.first("SELECT 1 FROM passing LIMIT 1", [], |_| Ok(()))?.is_some())
    }

    fn put_passing(&mut self, row: &PassingRow) -> Result<()> {
        let PassingRow { account, slot, mark, since_ms } = *row;
        let Threshold { per_mille, sustained_ms } = mark.threshold;
        let params = params![account, slot, mark.unit as u8, per_mille, sustained_ms, mark.limit, since_ms];
        self.run("INSERT OR REPLACE INTO passing VALUES (?, ?, ?, ?, ?, ?, ?)", params).map(drop)
    }

    fn drop_passing(&mut self, row: &PassingRow) -> Result<()> {
        let PassingRow { account, slot, mark, .. } = *row;
        let Threshold { per_mille, sustained_ms } = mark.threshold;
        let sql = "DELETE FROM passing WHERE account = ? AND slot = ? AND unit = ? AND per_mille = ? \
                   AND sustained_ms = ? AND allowed = ?";
        let params = params![account, slot, mark.unit as u8, per_mille, sustained_ms, mark.limit];
        self.run(sql, params).map(drop)
    }

    fn consumer(&mut self, name: &str) -> Result<Option<ConsumerRow>> {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, Vec<u8>>(1)?));
        let Some((after, bytes)) =
            self.first("SELECT after, delivered FROM consumers WHERE name = ?", [name], read)?
        else {
            return Ok(None);
        };
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (pairs, odd) = numbers.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(Error::corrupt("what a consumer of alerts has had cannot be read"));
        }
        let delivered = pairs.iter().map(|pair| pair.map(u64::from_be_bytes).into()).collect();
        Ok(Some(ConsumerRow { after, delivered }))
    }

    fn put_consumer(&mut self, name: &str, row: &ConsumerRow) -> Result<()> {
        let pairs = row.delivered.iter().flat_map(|(first, last)| [first, last]);
        let delivered: Vec<u8> = pairs.flat_map(|no| no.to_be_bytes()).collect();
        let params = params![name, row.after as i64, delivered];
        self.run("INSERT OR REPLACE INTO consumers VALUES (?, ?, ?)", params).map(drop)
    }
}
