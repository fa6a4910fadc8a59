//! Which accounts does memory keep, and which does nobody use any more?

use super::Memory;
use crate::{
    ledger::store::Account,
    policy::{Amounts, Balance},
    value::Millis,
};

/// The slots of an account that are kept at most, those in which money is held aside.
pub(super) const SLOTS_MAX: usize = 128;

/// Drops the turns that were not heard of for longest; never one in which money is held.
pub(super) fn drop_turns(slots: &mut Vec<(Millis, Balance)>) {
    let mut left = slots.len() - SLOTS_MAX / 2;
    slots.retain(|(start, balance)| {
        let is_held = balance.pending != Amounts::ZERO || balance.in_doubt != Amounts::ZERO;
        // What is in no turn is in the slot 0.
        let stays = left == 0 || is_held || *start == 0;
        left -= usize::from(!stays);
        stays
    });
}

impl Memory {
    pub(super) fn listed(&self, numbers: Option<&Vec<u32>>) -> Vec<Account> {
        let numbers = numbers.map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(|no| self.accounts.get(no).cloned()).collect()
    }

    /// Drops values of a budget in which nothing happened since `oldest`; returns how many.
    pub(super) fn drop_unused(&mut self, budget: u32, oldest: Millis) -> usize {
        let before = self.accounts.len();
        let Self { of_budget, accounts, balances, .. } = self;
        let is_live = |no: &u32| {
            let slots = balances.get(no);
            slots.is_some_and(|slots| slots.iter().any(|(start, _)| *start >= oldest))
        };
        of_budget.retain(|(no, value), numbers| {
            let keep = *no != budget || *value == 0 || numbers.iter().any(is_live);
            if !keep {
                numbers.iter().for_each(|no| drop(accounts.remove(no)));
            }
            keep
        });
        before - self.accounts.len()
    }
}
