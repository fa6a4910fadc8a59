//! Does it add up? Every balance recomputed from the entries and compared with its row.

use rustc_hash::FxHashMap;

use super::{
    entry::{Entry, Kind, Under, flag},
    store::{Filter, State, Tx},
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{Amounts, Balance},
    value::{Id, Millis},
};

#[derive(Debug)]
struct Call {
    under: Under,
    held: Amounts,
    state: State,
}

/// What the entries say the balances are.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    calls: FxHashMap<Id, Call>,
    balances: FxHashMap<(u32, Millis), Balance>,
}

/// The accounts whose rows are not the sum of the entries, in order.
///
/// # Errors
///
/// * `Corrupt`: an entry ends a call that was never reserved, or a sum does not fit.
/// * `Unsupported`: a ledger in memory that has dropped its oldest entries.
pub(crate) fn differing(tx: &mut dyn Tx) -> Result<Vec<u32>> {
    if !tx.is_whole() {
        let message =
            "the ledger in memory has dropped its oldest entries; its balances cannot be recomputed";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let mut sums = Sums::default();
    let mut damage = None;
    tx.entries(Filter::default(), &mut |entry| {
        damage = sums.add(&entry).err();
        damage.is_none()
    })?;
    if let Some(damage) = damage {
        return Err(damage);
    }
    // A row that is not there says zero.
    let differing = sums.differing(tx)?.into_iter().filter(|row| row.kept || row.sum != Balance::default());
    let mut accounts: Vec<u32> = differing.map(|row| row.account).collect();
    accounts.dedup();
    Ok(accounts)
}

/// A slot whose row is not the sum of its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Differing {
    pub account: u32,
    pub slot: Millis,
    /// What the entries say.
    pub sum: Balance,
    /// Is there a row?
    pub kept: bool,
}

impl Sums {
    /// The slots whose rows are not the sum of their entries, or are not there, in order.
    pub fn differing(self, tx: &mut dyn Tx) -> Result<Vec<Differing>> {
        let (mut left, mut found) = (self.balances, Vec::new());
        tx.balances(&mut |account, slot, balance| {
            let sum = left.remove(&(account, slot)).unwrap_or_default();
            if sum != balance {
                found.push(Differing { account, slot, sum, kept: true });
            }
        })?;
        let rowless = left.into_iter();
        found.extend(rowless.map(|((account, slot), sum)| Differing { account, slot, sum, kept: false }));
        found.sort_unstable_by_key(|row| (row.account, row.slot));
        Ok(found)
    }

    pub fn add(&mut self, entry: &Entry) -> Result<()> {
        let Some(id) = entry.call else { return Ok(()) };
        if let (Kind::Reserved, Some(under)) = (entry.kind, &entry.under) {
            let (under, held) = (under.clone(), entry.amounts());
            self.calls.insert(id, Call { under, held, state: State::Open });
        }
        let call = self.calls.get_mut(&id);
        let call = call.ok_or_else(|| Error::corrupt(format!("call `{id}` ends without a beginning")))?;
        let freed = call.state.freed(&call.held);
        let (state, change) = match entry.kind {
            Kind::Reserved => (State::Open, Balance { pending: call.held, ..Balance::default() }),
            Kind::Settled | Kind::Corrected => {
                (State::Settled, Balance { settled: entry.amounts(), ..freed })
            }
            Kind::Voided => (State::Voided, freed),
            Kind::Doubted => (State::InDoubt, Balance { in_doubt: call.held, ..freed }),
            _ => return Ok(()),
        };
        call.state = state;
        for place in call.under.iter() {
            let sum = self.balances.entry(*place).or_default();
            let added = sum.checked_add(&change);
            *sum = added.ok_or_else(|| Error::corrupt("the entries sum up to more than fits"))?;
        }
        if state == State::Settled && !entry.has(flag::ESTIMATED) {
            // Nothing can be said of it any more: what is kept does not grow with history.
            self.calls.remove(&id);
        }
        Ok(())
    }
}
