//! How does money move?
//!
//! Only here: a reservation holds, an ending releases and settles. Each act reads what it needs,
//! judges it, and only then writes, so that a refused act has written nothing.
//!
//! A reservation ends once: open → settled, void or in doubt; in doubt → settled or void. What
//! was estimated or void may be corrected once by the provider's usage. Nothing else.

use super::{
    entry::{Entry, Kind, Under, flag},
    open::DEPTH_MAX,
    store::{CallRow, Held, State, Tx, present},
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{
        Amounts, Ask, Balance, Denial, Grant, View,
        budget::{decide, observe},
    },
    sync::Arc,
    value::{Id, Usage},
};

/// The most values a budget per value of a tag can have at a time.
const VALUES_MAX: usize = 10_000;

/// A name to be kept in the dictionary, with its id once known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Name {
    pub key: &'static str,
    pub value: Arc<str>,
    pub no: u32,
}

/// What a call wants to hold.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    pub id: Id,
    /// Did the caller name the call, so that it may exist already?
    pub named: bool,
    pub task: u32,
    pub attempt: u32,
    pub observes: bool,
    pub ask: Ask,
    /// What is known of the request; amounts and names are filled in.
    pub facts: Entry,
    pub names: [Name; 3],
    pub tools: Option<Arc<str>>,
    pub turn: Option<Arc<str>>,
}

/// What a reserve came to.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Held {
        id: Id,
        created: bool,
        grant: Grant,
        /// How a call that existed already had ended.
        ended: Option<Ended>,
        denied: Option<Box<Denial>>,
        names: [u32; 3],
    },
    Denied(Box<Denial>),
}

/// How a call ends.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Settle(Box<Settle>),
    Void { by: Option<Arc<str>> },
    Doubt,
}

impl Ending {
    /// May the truth about the call still come?
    fn is_correctable(&self) -> bool {
        match self {
            Self::Settle(settle) => settle.flags & flag::ESTIMATED != 0,
            Self::Void { .. } | Self::Doubt => true,
        }
    }
}

/// What a call used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settle {
    pub usage: Usage,
    pub usd: i64,
    /// `flag` bits: estimated, cut, streamed, unpriced, resolved.
    pub flags: u32,
    pub model_used: Option<Arc<str>>,
    pub price: Option<Arc<str>>,
    pub by: Option<Arc<str>>,
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub state: State,
    pub used: Amounts,
    pub held: Amounts,
    pub estimated: bool,
}

impl Ended {
    fn of(row: &CallRow) -> Self {
        let estimated = row.state == State::Settled && row.correctable;
        Self { state: row.state, used: row.used, held: row.held, estimated }
    }
}

pub(crate) fn reserve(tx: &mut dyn Tx, want: &Reserve) -> Result<Verdict> {
    if want.named
        && let Some(first) = tx.call(&want.id)?
    {
        return same_call(&first, want);
    }
    let now = tx.now()?;
    check_attempt(tx, want.task, want.attempt)?;
    let held = held_under(tx, want.task)?;
    let verdict = reserve_under(tx, want, now, &held);
    tx.cache().under.insert(want.task, held);
    verdict
}

fn same_call(first: &CallRow, want: &Reserve) -> Result<Verdict> {
    if first.request_hash != want.facts.request_hash {
        return Err(Error::conflict("this call id was reserved with another request"));
    }
    let grant = Grant { amounts: first.held, max_output_tokens: first.max_output_tokens, over_soft: false };
    let ended = (first.state != State::Open).then(|| Ended::of(first));
    Ok(Verdict::Held { id: first.id, created: false, grant, ended, denied: None, names: [0; 3] })
}

fn reserve_under(tx: &mut dyn Tx, want: &Reserve, now: i64, held: &Held) -> Result<Verdict> {
    let mut balances = Vec::with_capacity(held.len());
    for (account, _) in held {
        balances.push(tx.balance(account.no, account.window.oldest(now))?);
    }
    let views: Vec<View<'_>> =
        held.iter().zip(&balances).map(|((account, _), balance)| account.view(*balance)).collect();
    let (grant, denied) = if want.observes {
        observe(&views, &want.ask, now)
    } else {
        match decide(&views, &want.ask, now) {
            Ok(grant) => (grant, None),
            Err(denial) => return Ok(Verdict::Denied(denial)),
        }
    };
    let pending = Balance { pending: grant.amounts, ..Balance::default() };
    let under: Under = held.iter().map(|(account, slot)| (account.no, slot.start)).collect();
    let moves = prepare(tx, &under, &pending)?;

    let mut entry = Entry {
        kind: Kind::Reserved,
        at_ms: now,
        task: want.task,
        attempt: want.attempt,
        call: Some(want.id),
        max_output_tokens: grant.max_output_tokens,
        under: Some(Arc::clone(&under)),
        ..want.facts.clone()
    }
    .with_amounts(grant.amounts);
    entry.flags |= if grant.over_soft { flag::OVER_SOFT } else { 0 };
    entry.flags |= if denied.is_some() { flag::WOULD_DENY } else { 0 };
    let names = name_request(tx, &mut entry, want)?;
    let row = CallRow {
        id: want.id,
        task: want.task,
        attempt: want.attempt,
        owner: tx.owner(),
        state: State::Open,
        correctable: false,
        at_ms: now,
        held: grant.amounts,
        used: Amounts::ZERO,
        max_output_tokens: grant.max_output_tokens,
        request_hash: want.facts.request_hash,
        under,
    };
    apply(tx, &row.under, &moves)?;
    tx.put_call(row)?;
    tx.append(entry)?;
    Ok(Verdict::Held { id: want.id, created: true, grant, ended: None, denied, names })
}

fn name_request(tx: &mut dyn Tx, entry: &mut Entry, want: &Reserve) -> Result<[u32; 3]> {
    let mut names = [0; 3];
    for (no, name) in names.iter_mut().zip(&want.names) {
        *no = if name.no != 0 || name.value.is_empty() {
            name.no
        } else {
            intern(tx, entry, name.key, &name.value)?
        };
    }
    [entry.provider, entry.model_asked, entry.price] = names;
    if let Some(tools) = &want.tools {
        entry.tool_set = intern(tx, entry, "tools", tools)?;
    }
    if let Some(turn) = &want.turn {
        entry.turn = intern(tx, entry, "turn", turn)?;
    }
    Ok(names)
}

/// Puts a value into the dictionary; the first entry to use it carries its proof.
pub(super) fn intern(tx: &mut dyn Tx, entry: &mut Entry, key: &str, value: &str) -> Result<u32> {
    let (no, proof) = tx.intern(key, value)?;
    entry.proofs.extend(proof.map(|proof| (no, proof)));
    Ok(no)
}

fn check_attempt(tx: &mut dyn Tx, task: u32, attempt: u32) -> Result<()> {
    let (attempts, owner) = present(tx.attempt(task)?, "task", task)?;
    if attempts != attempt || owner == 0 {
        return Err(Error::conflict(format!("attempt {attempt} of this task has ended")));
    }
    Ok(())
}

/// Everything a call of this task is held under, with the present slots.
fn held_under(tx: &mut dyn Tx, task: u32) -> Result<Held> {
    let now = tx.now()?;
    let mut held = match tx.cache().under.remove(&task) {
        Some(held) => held,
        None => find_accounts(tx, task)?,
    };
    for (account, slot) in &mut held {
        if now < slot.start || now >= slot.end {
            *slot = account.window.slot(now);
        }
    }
    Ok(held)
}

fn find_accounts(tx: &mut dyn Tx, task: u32) -> Result<Held> {
    let now = tx.now()?;
    let row = present(tx.task(task)?, "task", task)?;
    let mut numbers = Vec::new();
    let mut above = Some(row.clone());
    for _ in 0..=DEPTH_MAX {
        let Some(row) = above else { break };
        numbers.extend(tx.accounts_of_task(row.no)?);
        above = if row.parent == 0 { None } else { tx.task(row.parent)? };
    }
    for budget in shared_budgets(tx)?.iter() {
        numbers.extend(accounts_for(tx, budget, &row.tags)?);
    }
    let mut held = Held::with_capacity(numbers.len());
    for account in numbers {
        let slot = account.window.slot(now);
        let shared = tx.cache().accounts.entry(account.no).or_insert_with(|| Arc::new(account));
        held.push((Arc::clone(shared), slot));
    }
    Ok(held)
}

/// Every budget of the ledger, kept until one changes.
pub(super) fn shared_budgets(tx: &mut dyn Tx) -> Result<Arc<[super::store::Budget]>> {
    if let Some(budgets) = &tx.cache().budgets {
        return Ok(Arc::clone(budgets));
    }
    let budgets: Arc<[_]> = tx.budgets()?.into();
    tx.cache().budgets = Some(Arc::clone(&budgets));
    Ok(budgets)
}

/// The accounts of `budget` that a task with these tags falls under.
fn accounts_for(
    tx: &mut dyn Tx,
    budget: &super::store::Budget,
    tags: &[u32],
) -> Result<Vec<super::store::Account>> {
    for (key, value) in budget.scope.iter() {
        let no = tx.find_name(key, value)?;
        if !no.is_some_and(|no| tags.contains(&no)) {
            return Ok(Vec::new());
        }
    }
    let Some(per) = &budget.per else { return tx.accounts_of_budget(budget.no, 0) };
    let mut value = None;
    for no in tags {
        if let Some((key, text)) = tx.name(*no)?
            && key == *per
        {
            value = text.map(|text| (*no, text));
        }
    }
    let Some((no, text)) = value else { return Ok(Vec::new()) };
    let accounts = tx.accounts_of_budget(budget.no, no)?;
    if accounts.is_empty() { open_value(tx, budget, no, &text) } else { Ok(accounts) }
}

/// Opens a budget for one more value of its tag.
fn open_value(
    tx: &mut dyn Tx,
    budget: &super::store::Budget,
    value: u32,
    text: &str,
) -> Result<Vec<super::store::Account>> {
    let now = tx.now()?;
    let mut accounts = tx.accounts_of_budget(budget.no, 0)?;
    if tx.values(budget.no)? >= VALUES_MAX {
        let oldest = accounts.iter().map(|account| account.window.oldest(now)).min().unwrap_or(0);
        if tx.drop_values(budget.no, oldest)? > 0 {
            // Nobody may go on with an account that is gone.
            tx.bump()?;
        } else {
            let label = budget.label(None);
            let message = format!("{label} has {VALUES_MAX} values already");
            let field = crate::error::Field::Text(label);
            return Err(Error::new(ErrorKind::BudgetExceeded, message).with("budget", field));
        }
    }
    for account in &mut accounts {
        account.no = 0;
        account.value = value;
        account.label = budget.label(Some(text));
        account.no = tx.put_account(account)?;
    }
    Ok(accounts)
}

/// The slots a change lands in, as they will be; fails if a sum does not fit.
fn prepare(tx: &mut dyn Tx, under: &Under, change: &Balance) -> Result<Vec<Balance>> {
    let mut after = Vec::with_capacity(under.len());
    for (account, slot) in under.iter() {
        let sum = tx.slot(*account, *slot)?.checked_add(change);
        after.push(sum.ok_or_else(|| Error::invalid("the amounts of this call do not fit its budget"))?);
    }
    Ok(after)
}

fn apply(tx: &mut dyn Tx, under: &Under, after: &[Balance]) -> Result<()> {
    for ((account, slot), balance) in under.iter().zip(after) {
        tx.put_slot(*account, *slot, balance)?;
    }
    Ok(())
}

pub(crate) fn end(tx: &mut dyn Tx, id: &Id, ending: &Ending) -> Result<Ended> {
    let missing = || Error::new(ErrorKind::NotFound, format!("call `{id}` is not in the ledger"));
    let row = tx.call(id)?.ok_or_else(missing)?;
    let used = match ending {
        Ending::Settle(settle) => {
            let tokens = i64::try_from(settle.usage.total_tokens()).unwrap_or(i64::MAX);
            Amounts([settle.usd, tokens, row.held.0[2], row.held.0[3]])
        }
        _ => Amounts::ZERO,
    };
    let Some((kind, state, change)) = transition(&row, ending, &used)? else {
        return Ok(Ended::of(&row));
    };
    let after = prepare(tx, &row.under, &change)?;
    let now = tx.now()?;
    let mut entry = Entry {
        kind,
        at_ms: now,
        task: row.task,
        attempt: row.attempt,
        call: Some(row.id),
        runtime_ms: u64::try_from(now - row.at_ms).unwrap_or(0),
        ..Entry::default()
    };
    describe(tx, &mut entry, ending, &row, &change)?;
    apply(tx, &row.under, &after)?;
    let row = CallRow { state, used, correctable: ending.is_correctable(), ..row };
    let ended = Ended::of(&row);
    tx.put_call(row)?;
    tx.append(entry)?;
    Ok(ended)
}

/// What an ending changes; nothing when it says what was said before.
fn transition(row: &CallRow, ending: &Ending, used: &Amounts) -> Result<Option<(Kind, State, Balance)>> {
    let released = row.held.negated();
    let freed = match row.state {
        State::Open => Balance { pending: released, ..Balance::default() },
        State::InDoubt => Balance { in_doubt: released, ..Balance::default() },
        State::Settled | State::Voided => Balance::default(),
    };
    let change = match (row.state, ending) {
        (State::Open | State::InDoubt, Ending::Settle(_)) => {
            (Kind::Settled, State::Settled, Balance { settled: *used, ..freed })
        }
        (State::Open | State::InDoubt, Ending::Void { .. }) => (Kind::Voided, State::Voided, freed),
        (State::Open, Ending::Doubt) => {
            (Kind::Doubted, State::InDoubt, Balance { in_doubt: row.held, ..freed })
        }
        (State::InDoubt, Ending::Doubt) | (State::Voided, Ending::Void { .. }) => return Ok(None),
        (State::Settled | State::Voided, Ending::Settle(_))
            if row.correctable && !ending.is_correctable() =>
        {
            // No difference is recorded too: it makes an estimate final.
            let difference = used.checked_add(&row.used.negated()).unwrap_or(*used);
            (Kind::Corrected, State::Settled, Balance { settled: difference, ..freed })
        }
        (State::Settled, Ending::Settle(_)) if row.used == *used => return Ok(None),
        (State::Settled | State::Voided, _) => {
            let how = if row.state == State::Settled { "settled" } else { "voided" };
            return Err(Error::conflict(format!("call `{}` was {how} already, with other content", row.id)));
        }
    };
    Ok(Some(change))
}

fn describe(
    tx: &mut dyn Tx,
    entry: &mut Entry,
    ending: &Ending,
    row: &CallRow,
    change: &Balance,
) -> Result<()> {
    let by = match ending {
        Ending::Settle(settle) => {
            *entry = entry.clone().with_amounts(change.settled).with_usage(&settle.usage);
            entry.flags |= settle.flags;
            let over = settle.usd > row.held.0[0] || settle.usage.total_tokens() as i64 > row.held.0[1];
            entry.flags |= if over { flag::OVERRUN } else { 0 };
            let late = row.state == State::InDoubt && settle.by.is_none();
            entry.flags |= if late { flag::LATE } else { 0 };
            if let Some(model) = &settle.model_used {
                entry.model_used = intern(tx, entry, "model", model)?;
            }
            if let Some(price) = &settle.price {
                entry.price = intern(tx, entry, "price", price)?;
            }
            settle.by.clone()
        }
        Ending::Void { by } => by.clone(),
        Ending::Doubt => {
            *entry = entry.clone().with_amounts(row.held);
            None
        }
    };
    if let Some(by) = by {
        entry.flags |= flag::RESOLVED;
        entry.note = intern(tx, entry, "by", &by)?;
    }
    Ok(())
}

/// Counts a call of a tool: held and settled in one act.
pub(crate) fn tool_call(tx: &mut dyn Tx, want: &Reserve, tool: &str) -> Result<Verdict> {
    let verdict = reserve(tx, want)?;
    if let Verdict::Held { id, created: true, .. } = &verdict {
        let row = present(tx.call(id)?, "call", id)?;
        let released = Balance { pending: row.held.negated(), settled: row.held, ..Balance::default() };
        let after = prepare(tx, &row.under, &released)?;
        let mut entry = Entry {
            kind: Kind::Settled,
            at_ms: tx.now()?,
            task: row.task,
            attempt: row.attempt,
            call: Some(row.id),
            ..Entry::default()
        }
        .with_amounts(row.held);
        entry.tool = intern(tx, &mut entry, "tool", tool)?;
        apply(tx, &row.under, &after)?;
        let used = row.held;
        tx.put_call(CallRow { state: State::Settled, used, ..row })?;
        tx.append(entry)?;
    }
    Ok(verdict)
}

/// What a task's calls fall under, with the present balances: label, window, limits, balance.
pub(crate) fn balances(tx: &mut dyn Tx, task: u32) -> Result<Vec<(Arc<super::store::Account>, Balance)>> {
    let now = tx.now()?;
    let held = held_under(tx, task)?;
    let mut balances = Vec::with_capacity(held.len());
    for (account, _) in &held {
        balances.push((Arc::clone(account), tx.balance(account.no, account.window.oldest(now))?));
    }
    tx.cache().under.insert(task, held);
    Ok(balances)
}
