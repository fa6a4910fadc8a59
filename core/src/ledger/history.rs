//! What did tasks of this kind spend that succeeded?

use super::store::{Tx, Which};
use crate::{
    error::Result,
    policy::{Unit, Window},
};

/// The newest tasks that are looked through.
const TASKS_MAX: usize = 1_000;

/// What the newest tasks spent in nano-USD that have the kind of this one, lie in no other and succeeded.
/// Without a kind, those of its name.
pub(crate) fn successes(tx: &mut dyn Tx, task: u32) -> Result<Vec<i64>> {
    let Some(own) = tx.task(task)? else { return Ok(Vec::new()) };
    let Some(succeeded) = tx.find_name("outcome", "succeeded")? else { return Ok(Vec::new()) };
    let mut kind = None;
    for no in &own.tags {
        kind = kind.or(tx.name(*no)?.filter(|(key, _)| key == "kind").map(|_| *no));
    }
    let which = if kind.is_some() { Which::All } else { Which::Named(own.name) };
    let mut all = Vec::new();
    for row in tx.tasks(which, TASKS_MAX)? {
        let is_kin = kind.is_none_or(|kind| row.tags.contains(&kind)) && row.parent == 0;
        if !is_kin || row.no == task || row.owner != 0 || row.outcome != succeeded {
            continue;
        }
        all.push(spent(tx, row.no)?);
    }
    Ok(all)
}

/// What a task has spent with all in it, in nano-USD.
pub(crate) fn spent(tx: &mut dyn Tx, task: u32) -> Result<i64> {
    let accounts = tx.accounts_of_task(task)?;
    let life = accounts.iter().find(|account| account.window == Window::Life);
    life.map_or(Ok(0), |account| Ok(tx.balance(account.no, 0)?.spent(Unit::Usd)))
}
