//! Who was told how much is spent?
//!
//! Whatever changes what was spent looks, in the same act, whether a threshold of a limit was
//! passed. If so a row and an entry say it, once per window over all processes: the act that
//! writes them has read that nobody wrote them before. Who delivers alerts notes what it has
//! delivered under a name of its own, after it has: what a death leaves out is delivered again.
//!
//! A threshold that has to stay passed for a time is written down as passing, and judged by the
//! acts that follow and by whoever asks for alerts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    chain::salt,
    commit::intern,
    entry::{Entry, Kind},
    open::name_of,
    store::{Account, Tx},
};
use crate::{
    error::Result,
    policy::{Amounts, Balance, Threshold, Thresholds, Unit, Window, alert::Mark},
    sync::Arc,
    value::{Id, Millis},
};

/// What a consumer nobody knows yet is given: the alerts of the last day.
const FIRST_MS: Millis = 24 * 3_600_000;
/// The most thresholds waiting to have been passed long enough that are judged at a time.
const RIPENED_MAX: usize = 1_000;
/// The most stretches of alerts a consumer may have had behind one it has not.
const STRETCHES_MAX: usize = 256;

/// How often this process has recorded alerts: tells those who deliver them that there are some.
static RECORDED: AtomicU64 = AtomicU64::new(0);

/// To be called by a store when alerts can be read.
pub(super) fn note_recorded() {
    RECORDED.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn recorded() -> u64 {
    RECORDED.load(Ordering::Relaxed)
}

/// One alert, once and for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlertRow {
    /// In the order of recording, from 1; 0 when it is new.
    pub no: u64,
    pub id: Id,
    pub account: u32,
    pub slot: Millis,
    pub mark: Mark,
    pub spent: i64,
    pub task: u32,
    pub owner: u32,
    pub at_ms: Millis,
}

/// A threshold that has not been passed for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PassingRow {
    pub account: u32,
    pub slot: Millis,
    pub mark: Mark,
    pub since_ms: Millis,
}

impl PassingRow {
    pub fn due_ms(&self) -> Millis {
        self.since_ms.saturating_add(self.mark.threshold.sustained_ms)
    }

    pub fn is_same(&self, other: &Self) -> bool {
        (self.account, self.slot, self.mark) == (other.account, other.slot, other.mark)
    }
}

/// What a consumer of alerts has had: all up to a number, and stretches behind it, in order, each
/// from a first number to a last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerRow {
    pub after: u64,
    pub delivered: Vec<(u64, u64)>,
}

impl ConsumerRow {
    /// The last of what it has had without a gap from this number on, if it has had that.
    fn had(&self, no: u64) -> Option<u64> {
        if no <= self.after {
            return Some(self.after);
        }
        let place = self.delivered.partition_point(|(_, last)| *last < no);
        self.delivered.get(place).filter(|(first, _)| *first <= no).map(|(_, last)| *last)
    }

    /// Adds what it has not had. Where there are too many stretches the oldest gap is given up.
    fn add(&mut self, no: u64) {
        let place = self.delivered.partition_point(|(_, last)| *last < no);
        self.delivered.insert(place, (no, no));
        self.delivered.dedup_by(|next, stretch| {
            let meet = stretch.1 + 1 == next.0;
            if meet {
                stretch.1 = next.1;
            }
            meet
        });
        if self.delivered.len() > STRETCHES_MAX {
            self.after = self.delivered.remove(0).1;
        }
    }
}

/// What a store keeps of alerts.
pub(crate) trait Alerts {
    /// Can any account have thresholds?
    fn has_thresholds(&self) -> bool {
        true
    }
    /// The alerts of an account in slots from `oldest` on.
    fn alerts_of(&mut self, account: u32, oldest: Millis) -> Result<Vec<AlertRow>>;
    fn put_alert(&mut self, row: &AlertRow) -> Result<()>;
    /// Hands out the alerts behind a number, in order, until the visitor returns false.
    fn alerts(&mut self, after: u64, visit: &mut dyn FnMut(AlertRow) -> bool) -> Result<()>;

    /// What is passing in an account: what is due first.
    fn passing_of(&mut self, account: u32) -> Result<Vec<PassingRow>>;
    /// What is passing in all accounts, at most `most`: what is due first.
    fn passing(&mut self, most: usize) -> Result<Vec<PassingRow>>;
    /// Is anything passing?
    fn is_passing(&mut self) -> Result<bool>;
    fn put_passing(&mut self, row: &PassingRow) -> Result<()>;
    fn drop_passing(&mut self, row: &PassingRow) -> Result<()>;

    fn consumer(&mut self, name: &str) -> Result<Option<ConsumerRow>>;
    /// Keeps what a consumer has had, in place of what it was before.
    fn put_consumer(&mut self, name: &str, row: &ConsumerRow) -> Result<()>;
}

/// That a threshold was passed, once per window over all processes.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The same however often it is delivered.
    pub id: Id,
    /// Whose limit it is, as in ``budget `tenant=acme` ``.
    pub budget: String,
    /// What is limited.
    pub unit: Unit,
    /// How much of it.
    pub limit: i64,
    /// Over which time.
    pub window: Window,
    /// Since when, where the window is a part of the calendar.
    pub window_start: Option<Millis>,
    /// Which share of the limit.
    pub threshold: Threshold,
    /// What had been spent then: settled and in doubt.
    pub spent: i64,
    /// The task whose call passed it.
    pub task: String,
    /// When.
    pub at: Millis,
    pub(crate) no: u64,
}

impl std::fmt::Display for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (unit, limit) = (self.unit, self.unit.show(self.limit));
        let unit_name = if unit == Unit::Usd { "USD".to_owned() } else { unit.name().replace('_', " ") };
        write!(f, "{} has spent {} of {limit} {unit_name}", self.budget, unit.show(self.spent))?;
        if self.window != Window::Life {
            write!(f, " in its window `{}`", self.window)?;
        }
        write!(f, ", {} of the limit", self.threshold)
    }
}

/// The account, the slot a change landed in, and who made the change.
struct Place<'a> {
    account: &'a Account,
    slot: Millis,
    task: u32,
    attempt: u32,
}

/// Tells of the thresholds a change passes; to be called when all else of the act is written.
#[inline]
pub(super) fn tell(
    tx: &mut (impl Tx + ?Sized),
    (task, attempt): (u32, u32),
    under: &[(u32, Millis)],
    change: &Balance,
    after: &[Balance],
) -> Result<()> {
    if !tx.has_thresholds() {
        return Ok(());
    }
    for ((no, slot), balance) in under.iter().zip(after) {
        let Some(account) = known(tx, *no)?.filter(|account| !account.alerts.is_empty()) else { continue };
        let place = Place { account: &account, slot: *slot, task, attempt };
        look(tx, &place, change, balance)?;
    }
    Ok(())
}

fn known(tx: &mut (impl Tx + ?Sized), no: u32) -> Result<Option<Arc<Account>>> {
    if let Some(account) = tx.cache().accounts.get(&no) {
        return Ok(Some(Arc::clone(account)));
    }
    let account = tx.account(no)?.map(Arc::new);
    if let Some(account) = &account {
        tx.cache().accounts.insert(no, Arc::clone(account));
    }
    Ok(account)
}

fn look(tx: &mut (impl Tx + ?Sized), place: &Place<'_>, change: &Balance, after: &Balance) -> Result<()> {
    let Place { account, slot, .. } = *place;
    let now = tx.now()?;
    let (slot, balance) = match account.window {
        Window::Rolling(_) => {
            (account.window.slot(now).start, tx.balance(account.no, account.window.oldest(now))?)
        }
        _ => (slot, *after),
    };
    let seen = tx.cache().told.get(&account.no).filter(|told| told.slot == slot).map(|told| told.next);
    if seen.is_some_and(|next| Unit::ALL.iter().all(|unit| balance.spent(*unit) < next[*unit as usize])) {
        return Ok(());
    }
    judge(tx, &Place { slot, ..*place }, change, &balance, now)
}

/// Compares every threshold with what was spent and with what was told before.
fn judge(
    tx: &mut (impl Tx + ?Sized),
    place: &Place<'_>,
    change: &Balance,
    balance: &Balance,
    now: Millis,
) -> Result<()> {
    let Place { account, slot, .. } = *place;
    let rolls = matches!(account.window, Window::Rolling(_));
    let oldest = if rolls { account.window.oldest(now) } else { slot };
    let counts = |of: Millis| if rolls { of >= oldest } else { of == slot };
    let told = tx.alerts_of(account.no, oldest)?;
    let sustained = account.alerts.any_sustained();
    let passing = if sustained { tx.passing_of(account.no)? } else { Vec::new() };
    // With thresholds that are to stay passed every change is looked at: one may end what is passing.
    let mut next = [if sustained { i64::MIN } else { i64::MAX }; 4];
    for mark in account.alerts.marks(&account.ceiling) {
        if told.iter().any(|row| row.mark == mark && counts(row.slot)) {
            continue;
        }
        let (amount, spent) = (mark.amount(), balance.spent(mark.unit));
        let is_above = spent >= amount;
        if mark.threshold.sustained_ms == 0 {
            if is_above {
                record(tx, place, mark, spent, now)?;
            } else {
                let next = &mut next[mark.unit as usize];
                *next = amount.min(*next);
            }
            continue;
        }
        let row = passing.iter().find(|row| row.mark == mark && (rolls || row.slot == slot));
        let began = spent.saturating_sub(change.spent(mark.unit)) < amount;
        match row {
            None if is_above => {
                tx.put_passing(&PassingRow { account: account.no, slot, mark, since_ms: now })?;
            }
            Some(row) if !is_above => tx.drop_passing(row)?,
            // Of a rolling window money had left meanwhile.
            Some(row) if began => {
                tx.drop_passing(row)?;
                tx.put_passing(&PassingRow { slot, since_ms: now, ..*row })?;
            }
            Some(row) if now - row.since_ms >= mark.threshold.sustained_ms => {
                tx.drop_passing(row)?;
                record(tx, place, mark, spent, now)?;
            }
            _ => {}
        }
    }
    tx.cache().told.insert(account.no, Told { slot, next });
    Ok(())
}

/// What of an account's present slot is known to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    slot: Millis,
    /// Of each unit, the least that was told to nobody.
    next: [i64; 4],
}

fn record(
    tx: &mut (impl Tx + ?Sized),
    place: &Place<'_>,
    mark: Mark,
    spent: i64,
    at_ms: Millis,
) -> Result<()> {
    let Place { account, slot, task, attempt } = *place;
    let (account, owner) = (account.no, tx.owner());
    let mut bytes = salt()?;
    // Version 4 of RFC 9562: random bits.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let id = Id::from_bytes(bytes);
    let mut entry = Entry { kind: Kind::Alerted, at_ms, task, attempt, subject: account, ..Entry::default() };
    let mut amounts = Amounts::ZERO;
    amounts.0[mark.unit as usize] = spent;
    entry.set_amounts(&amounts);
    entry.note = intern(tx, &mut entry, "threshold", &mark.threshold.to_string())?;
    entry.evidence = intern(tx, &mut entry, "alert", &id.to_string())?;
    tx.put_alert(&AlertRow { no: 0, id, account, slot, mark, spent, task, owner, at_ms })?;
    tx.append(&mut entry)
}

/// Judges what was passing, where no act came to do it; returns how many alerts came of it.
pub(crate) fn ripen(tx: &mut dyn Tx) -> Result<usize> {
    let now = tx.now()?;
    let mut ripe = 0;
    for row in tx.passing(RIPENED_MAX)? {
        let account = known(tx, row.account)?;
        let Some(account) =
            account.filter(|account| account.alerts.marks(&account.ceiling).any(|mark| mark == row.mark))
        else {
            tx.drop_passing(&row)?;
            continue;
        };
        let (spent, until) = match account.window {
            Window::Rolling(_) => (tx.balance(row.account, account.window.oldest(now))?, now),
            // What is spent of a part of the calendar stays so, but only until its end.
            _ => (tx.slot(row.account, row.slot)?, now.min(account.window.slot(row.slot).end)),
        };
        let spent = spent.spent(row.mark.unit);
        let is_long = until - row.since_ms >= row.mark.threshold.sustained_ms;
        let is_above = spent >= row.mark.amount();
        if is_above && !is_long && until == now {
            continue;
        }
        tx.drop_passing(&row)?;
        if is_above && is_long {
            let place = Place { account: &account, slot: row.slot, task: account.task, attempt: 0 };
            record(tx, &place, row.mark, spent, now)?;
            ripe += 1;
        }
    }
    Ok(ripe)
}

/// Gives accounts other thresholds, where they have others.
pub(super) fn set_thresholds(tx: &mut dyn Tx, accounts: Vec<Account>, alerts: &Thresholds) -> Result<()> {
    let mut changed = false;
    for account in accounts.into_iter().filter(|account| account.alerts != *alerts) {
        tx.put_account(&Account { alerts: alerts.clone(), ..account })?;
        changed = true;
    }
    if changed { tx.bump() } else { Ok(()) }
}

/// The alerts from a time on, oldest first, at most `most`.
pub(crate) fn since(tx: &mut dyn Tx, since: Millis, most: usize) -> Result<Vec<Alert>> {
    let mut rows = Vec::new();
    tx.alerts(0, &mut |row| {
        if row.at_ms >= since {
            rows.push(row);
        }
        rows.len() < most
    })?;
    rows.iter().map(|row| shown(tx, row)).collect()
}

/// What a consumer has not had, oldest first, at most `most`. Not what other running owners
/// recorded, unless `everybodys`: they deliver that themselves.
pub(crate) fn undelivered(tx: &mut dyn Tx, name: &str, everybodys: bool, most: usize) -> Result<Vec<Alert>> {
    let (own, running) = (tx.owner(), tx.owners()?);
    let is_ours = |owner| everybodys || owner == own || !running.iter().any(|row| row.no == owner);
    let consumer = consumer(tx, name)?;
    let mut rows = Vec::new();
    let mut from = Some(consumer.after);
    while let Some(after) = from.take() {
        tx.alerts(after, &mut |row| {
            from = consumer.had(row.no);
            if from.is_none() && is_ours(row.owner) {
                rows.push(row);
            }
            from.is_none() && rows.len() < most
        })?;
    }
    rows.iter().map(|row| shown(tx, row)).collect()
}

/// Notes that a consumer has had an alert.
pub(crate) fn delivered(tx: &mut dyn Tx, name: &str, no: u64) -> Result<()> {
    let mut consumer = consumer(tx, name)?;
    if consumer.had(no).is_some() {
        return Ok(());
    }
    consumer.add(no);
    let mut from = Some(consumer.after);
    while let Some(after) = from.take() {
        consumer.after = after;
        tx.alerts(after, &mut |row| {
            from = consumer.had(row.no);
            false
        })?;
    }
    let after = consumer.after;
    consumer.delivered.retain(|(_, last)| *last > after);
    tx.put_consumer(name, &consumer)
}

fn consumer(tx: &mut dyn Tx, name: &str) -> Result<ConsumerRow> {
    if let Some(row) = tx.consumer(name)? {
        return Ok(row);
    }
    let (mut after, first) = (0, tx.now()?.saturating_sub(FIRST_MS));
    tx.alerts(0, &mut |row| {
        let is_old = row.at_ms < first;
        after = if is_old { row.no } else { after };
        is_old
    })?;
    Ok(ConsumerRow { after, delivered: Vec::new() })
}

fn shown(tx: &mut dyn Tx, row: &AlertRow) -> Result<Alert> {
    let account = tx.account(row.account)?;
    let task = match tx.task(row.task)? {
        Some(task) => name_of(tx, task.name)?,
        None => None,
    };
    let (window, budget) = match account {
        Some(account) => (account.window, account.label),
        None => (Window::Life, "a budget kept no longer".to_owned()),
    };
    let window_start = window.zone().map(|_| row.slot);
    Ok(Alert {
        id: row.id,
        budget,
        unit: row.mark.unit,
        limit: row.mark.limit,
        window,
        window_start,
        threshold: row.mark.threshold,
        spent: row.spent,
        task: task.map(|name| name.to_string()).unwrap_or_default(),
        at: row.at_ms,
        no: row.no,
    })
}
