//! How does money move?
//!
//! Only here: a reservation holds, an ending releases and settles. Each act reads what it needs,
//! judges it, and only then writes, so that a refused act has written nothing.
//!
//! A reservation ends once: open → settled, void or in doubt; in doubt → settled or void. What
//! was estimated or void may be corrected once by the provider's usage. Nothing else.

use smallvec::SmallVec;

use super::{
    alert,
    approval::refusing,
    entry::{Entry, Kind, Under, flag},
    held::{FEW, Held, Views, held_in_turn, keep_turn, read_views},
    store::{CallRow, State, Tx, present},
};
use crate::{
    error::{Error, ErrorKind, Result},
    policy::{
        Amounts, Ask, Balance, Denial, Grant, Window,
        budget::{decide, observe},
    },
    sync::Arc,
    value::{Id, Millis, Usage},
};

/// Provider, model and unit prices of a request.
#[derive(Clone, Debug)]
pub(crate) enum Names {
    /// Their dictionary ids; 0 for none.
    Known([u32; 3]),
    /// Keys and values to be put into the dictionary; an empty value for none.
    New(Box<[(&'static str, Arc<str>); 3]>),
}

/// What is recorded of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// `flag` bits.
    pub flags: u32,
    pub input_bound: u64,
    /// 0 where the bound was given.
    pub counted_tokens: u64,
    pub request_hash: i64,
    pub message_count: u32,
    pub tool_definition_tokens: u64,
    pub prefix: Prefix,
    /// What the provider counted for the prefix; 0 where it did not.
    pub known_tokens: u64,
}

/// The part a request shares with the one before it in its attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// The first message that differs.
    pub messages: u32,
    /// Where in it, in bytes, to the block.
    pub bytes: u64,
    /// Tokens of the messages before it.
    pub tokens: u64,
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
    pub facts: Facts,
    pub names: Names,
    pub tools: Option<Arc<str>>,
    pub turn: Option<Arc<str>>,
}

impl Reserve {
    fn entry(&self, now: Millis, grant: &Grant, under: &Under) -> Entry {
        let facts = &self.facts;
        let mut entry = Entry {
            kind: Kind::Reserved,
            at_ms: now,
            task: self.task,
            attempt: self.attempt,
            call: Some(self.id),
            flags: facts.flags,
            input_bound: facts.input_bound,
            counted_tokens: facts.counted_tokens,
            max_output_tokens: grant.max_output_tokens,
            request_hash: facts.request_hash,
            message_count: facts.message_count,
            tool_definition_tokens: facts.tool_definition_tokens,
            prefix_messages: facts.prefix.messages,
            prefix_bytes: facts.prefix.bytes,
            prefix_tokens: facts.prefix.tokens,
            known_tokens: facts.known_tokens,
            under: Some(under.clone()),
            ..Entry::default()
        };
        entry.set_amounts(&grant.amounts);
        entry
    }
}

/// What a reserve came to.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Held {
        id: Id,
        created: bool,
        grant: Grant,
        /// How a call that existed already had ended.
        ended: Option<Box<Ended>>,
        denied: Option<Box<Denial>>,
        names: [u32; 3],
    },
    Denied(Box<Denial>),
}

/// How a call ends.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Settle(Settle),
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

pub(crate) fn reserve(tx: &mut (impl Tx + ?Sized), want: &Reserve) -> Result<Verdict> {
    if want.named
        && let Some(first) = tx.call(&want.id)?
    {
        return same_call(&first, want);
    }
    check_attempt(tx, want.task, want.attempt)?;
    let held = held_in_turn(tx, want.task, want.turn.as_deref())?;
    if let Some(halt) = &held.halt {
        return Err(halt.error());
    }
    reserve_under(tx, want, &held)
}

fn same_call(first: &CallRow, want: &Reserve) -> Result<Verdict> {
    if first.request_hash != want.facts.request_hash {
        return Err(Error::conflict("this call id was reserved with another request"));
    }
    let grant = Grant { amounts: first.held, max_output_tokens: first.max_output_tokens, over_soft: false };
    let ended = (first.state != State::Open).then(|| Box::new(Ended::of(first)));
    Ok(Verdict::Held { id: first.id, created: false, grant, ended, denied: None, names: [0; 3] })
}

pub(super) fn reserve_under(tx: &mut (impl Tx + ?Sized), want: &Reserve, held: &Held) -> Result<Verdict> {
    let now = tx.now()?;
    let mut views = Views::new();
    read_views(tx, held, &mut views)?;
    let (grant, denied) = if want.observes {
        observe(&views, &want.ask, now)
    } else {
        match decide(&views, &want.ask, now) {
            Ok(grant) => (grant, None),
            Err(denial) => return Ok(Verdict::Denied(denial)),
        }
    };
    let pending = Balance { pending: grant.amounts, ..Balance::default() };
    let mut after = After::new();
    for ((account, slot), view) in held.accounts.iter().zip(&views) {
        // Of a window that does not roll only the present slot counts, and that was just read.
        let before = match account.window {
            Window::Rolling(_) => tx.slot(account.no, slot.start)?,
            _ => view.balance,
        };
        after.push(sum(&before, &pending)?);
    }

    let mut entry = want.entry(now, &grant, &held.under);
    entry.flags |= if grant.over_soft { flag::OVER_SOFT } else { 0 };
    entry.flags |= if denied.is_some() { flag::WOULD_DENY } else { 0 };
    if let Some(denial) = &denied {
        // Whose limit it was, for who asks what enforcing would have refused.
        let refusing = refusing(&views, denial).map(|(index, _)| held.accounts[index].0.no);
        entry.subject = refusing.unwrap_or(0);
        entry.evidence = intern(tx, &mut entry, "unit", denial.limit_name())?;
    }
    let names = name_request(tx, &mut entry, want)?;
    let turned;
    let under = if held.per_turn {
        turned = keep_turn(tx, want.task, held, Millis::from(entry.turn));
        entry.under = Some(turned.under.clone());
        &turned.under
    } else {
        &held.under
    };
    apply(tx, under, &after)?;
    let row = CallRow {
        id: want.id,
        task: want.task,
        attempt: want.attempt,
        owner: tx.owner(),
        state: if entry.flags & flag::KEPT == 0 { State::Open } else { State::Kept },
        correctable: false,
        at_ms: now,
        held: grant.amounts,
        used: Amounts::ZERO,
        max_output_tokens: grant.max_output_tokens,
        request_hash: want.facts.request_hash,
        under: under.clone(),
    };
    tx.open_call(row, &mut entry)?;
    Ok(Verdict::Held { id: want.id, created: true, grant, ended: None, denied, names })
}

fn name_request(tx: &mut (impl Tx + ?Sized), entry: &mut Entry, want: &Reserve) -> Result<[u32; 3]> {
    let mut names = [0; 3];
    match &want.names {
        Names::Known(known) => names = *known,
        Names::New(new) => {
            for (no, (key, value)) in names.iter_mut().zip(new.iter()) {
                if !value.is_empty() {
                    *no = intern(tx, entry, key, value)?;
                }
            }
        }
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
pub(super) fn intern(tx: &mut (impl Tx + ?Sized), entry: &mut Entry, key: &str, value: &str) -> Result<u32> {
    let (no, proof) = tx.intern(key, value)?;
    entry.proofs.extend(proof.map(|proof| (no, proof)));
    Ok(no)
}

pub(super) fn check_attempt(tx: &mut (impl Tx + ?Sized), task: u32, attempt: u32) -> Result<()> {
    let (attempts, owner) = present(tx.attempt(task)?, "task", task)?;
    if attempts != attempt || owner == 0 {
        return Err(Error::conflict(format!("attempt {attempt} of this task has ended")));
    }
    Ok(())
}

/// The balances of the slots a change lands in, as they will be.
type After = SmallVec<[Balance; FEW]>;

/// Adds them to `after`; fails if a sum does not fit.
fn prepare(
    tx: &mut (impl Tx + ?Sized),
    under: &[(u32, Millis)],
    change: &Balance,
    after: &mut After,
) -> Result<()> {
    for (account, slot) in under {
        after.push(sum(&tx.slot(*account, *slot)?, change)?);
    }
    Ok(())
}

pub(super) fn sum(slot: &Balance, change: &Balance) -> Result<Balance> {
    let sum = slot.checked_add(change);
    sum.ok_or_else(|| Error::invalid("the amounts of this call do not fit its budget"))
}

fn apply(tx: &mut (impl Tx + ?Sized), under: &[(u32, Millis)], after: &[Balance]) -> Result<()> {
    for ((account, slot), balance) in under.iter().zip(after) {
        tx.put_slot(*account, *slot, balance)?;
    }
    Ok(())
}

pub(crate) fn end(tx: &mut (impl Tx + ?Sized), id: &Id, ending: &Ending) -> Result<Ended> {
    let Some(mut row) = tx.call(id)? else {
        return Err(Error::new(ErrorKind::NotFound, format!("call `{id}` is not in the ledger")));
    };
    // Whoever ends an attempt ends all it left open; what was put by is no call, and was not billed.
    let is_kept = row.state == State::Kept;
    let ending = if is_kept { &Ending::Void { by: None } } else { ending };
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
    let mut after = After::new();
    prepare(tx, &row.under, &change, &mut after)?;
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
    (row.state, row.used, row.correctable) = (state, used, ending.is_correctable() && !is_kept);
    tx.end_call(&row, &mut entry)?;
    alert::tell(tx, (row.task, row.attempt), &row.under, &change, &after)?;
    Ok(Ended::of(&row))
}

/// What an ending changes; nothing when it says what was said before.
#[inline]
fn transition(row: &CallRow, ending: &Ending, used: &Amounts) -> Result<Option<(Kind, State, Balance)>> {
    let freed = row.state.freed(&row.held);
    let change = match (row.state, ending) {
        (State::Open | State::InDoubt, Ending::Settle(_)) => {
            (Kind::Settled, State::Settled, Balance { settled: *used, ..freed })
        }
        (State::Open | State::InDoubt, Ending::Void { .. }) | (State::Kept, _) => {
            (Kind::Voided, State::Voided, freed)
        }
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
    tx: &mut (impl Tx + ?Sized),
    entry: &mut Entry,
    ending: &Ending,
    row: &CallRow,
    change: &Balance,
) -> Result<()> {
    let by = match ending {
        Ending::Settle(settle) => {
            entry.set_amounts(&change.settled);
            entry.set_usage(&settle.usage);
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
            entry.set_amounts(&row.held);
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
pub(crate) fn tool_call(tx: &mut (impl Tx + ?Sized), want: &Reserve, tool: &str) -> Result<Verdict> {
    let verdict = reserve(tx, want)?;
    if let Verdict::Held { id, created: true, .. } = &verdict {
        let mut row = present(tx.call(id)?, "call", id)?;
        let released = Balance { pending: row.held.negated(), settled: row.held, ..Balance::default() };
        let mut after = After::new();
        prepare(tx, &row.under, &released, &mut after)?;
        let mut entry = Entry {
            kind: Kind::Settled,
            at_ms: tx.now()?,
            task: row.task,
            attempt: row.attempt,
            call: Some(row.id),
            ..Entry::default()
        };
        entry.set_amounts(&row.held);
        entry.tool = intern(tx, &mut entry, "tool", tool)?;
        apply(tx, &row.under, &after)?;
        (row.state, row.used) = (State::Settled, row.held);
        tx.end_call(&row, &mut entry)?;
        alert::tell(tx, (row.task, row.attempt), &row.under, &released, &after)?;
    }
    Ok(verdict)
}
