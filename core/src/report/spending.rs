//! What was spent on which day? The fold behind `forecast`.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    forecast::{Calendar, DAY, DAYS},
    names::Names,
    rows::By,
};
use crate::{
    error::{Error, Result},
    ledger::{
        Entry, Kind, flag,
        store::{Filter, Tx},
    },
    value::Id,
};

/// Nano-USD of each day, today last.
pub(super) type Daily = [i64; DAYS + 1];

/// A call of which more may be said.
#[derive(Clone, Debug)]
struct Waiting {
    day: usize,
    place: u32,
    /// Those of the accounts asked for it is held under, by their numbers here.
    accounts: Box<[u32]>,
}

pub(super) struct Spending {
    pub total: Daily,
    accounts: FxHashMap<u32, u32>,
    by_account: Vec<Daily>,
    place_of: FxHashMap<(u32, u32), u32>,
    /// Task and model, and what they spent by day: few days of most.
    places: Vec<((u32, u32), BTreeMap<u8, i64>)>,
    waiting: FxHashMap<Id, Waiting>,
}

impl Spending {
    /// Of calls reserved since the first day of the calendar.
    pub fn read(tx: &mut dyn Tx, calendar: &Calendar, accounts: impl Iterator<Item = u32>) -> Result<Self> {
        let accounts: FxHashMap<u32, u32> = accounts.zip(0..).collect();
        let mut spending = Self {
            total: [0; DAYS + 1],
            by_account: vec![[0; DAYS + 1]; accounts.len()],
            accounts,
            place_of: FxHashMap::default(),
            places: Vec::new(),
            waiting: FxHashMap::default(),
        };
        let filter = Filter { since: Some(calendar.first_day * DAY), ..Filter::default() };
        let mut failure = None;
        tx.payments(filter, &mut |entry| {
            failure = spending.add(entry, calendar).err();
            failure.is_none()
        })?;
        failure.map_or(Ok(spending), Err)
    }

    pub fn of_account(&self, account: u32) -> Option<&Daily> {
        self.by_account.get(*self.accounts.get(&account)? as usize)
    }

    fn add(&mut self, entry: &Entry, calendar: &Calendar) -> Result<()> {
        let Some(id) = entry.call else { return Ok(()) };
        match entry.kind {
            Kind::Reserved => {
                let day = (entry.at_ms.div_euclid(DAY) - calendar.first_day).clamp(0, DAYS as i64) as usize;
                let under = entry.under.as_deref().unwrap_or_default();
                let accounts = under.iter().filter_map(|(no, _)| self.accounts.get(no).copied()).collect();
                let places = &mut self.places;
                let place = *self.place_of.entry((entry.task, entry.model_asked)).or_insert_with(|| {
                    places.push(((entry.task, entry.model_asked), BTreeMap::new()));
                    places.len() as u32 - 1
                });
                self.waiting.insert(id, Waiting { day, place, accounts });
            }
            Kind::Settled | Kind::Corrected => {
                let Some(call) = self.waiting.get(&id) else { return Ok(()) };
                raise(&mut self.total[call.day], entry.usd)?;
                for account in &call.accounts {
                    if let Some(daily) = self.by_account.get_mut(*account as usize) {
                        raise(&mut daily[call.day], entry.usd)?;
                    }
                }
                if let Some((_, daily)) = self.places.get_mut(call.place as usize) {
                    raise(daily.entry(call.day as u8).or_default(), entry.usd)?;
                }
                if !entry.has(flag::ESTIMATED) {
                    self.waiting.remove(&id);
                }
            }
            _ => (),
        }
        Ok(())
    }
}

fn raise(sum: &mut i64, by: i64) -> Result<()> {
    let wrong = || Error::corrupt("the amounts of this ledger do not add up to 64 bits");
    *sum = sum.checked_add(by).ok_or_else(wrong)?;
    Ok(())
}

/// The places by the dictionary id of what `by` says; tasks by their names.
pub(super) fn by_key(
    tx: &mut dyn Tx,
    names: &mut Names,
    spending: &Spending,
    by: &By,
) -> Result<BTreeMap<u32, Daily>> {
    let mut groups = BTreeMap::new();
    for ((task, model), daily) in &spending.places {
        let key = match by {
            By::Model => *model,
            By::Agent => names.tag(tx, *task, "agent")?,
            By::Tag(key) => names.tag(tx, *task, key)?,
            By::Kind => names.kind(tx, *task)?,
            By::Task | By::Attempt | By::Step | By::Turn | By::Provider => names.name_of_task(tx, *task)?,
        };
        let group = groups.entry(key).or_insert([0; DAYS + 1]);
        for (day, nanos) in daily {
            raise(&mut group[usize::from(*day)], *nanos)?;
        }
    }
    Ok(groups)
}
