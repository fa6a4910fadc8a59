//! What if a limit is in the way?
//!
//! A refused call raises, or asks a person first: [`OnLimit`]. A person approves with
//! [`Ledger::approve`], from any process on the ledger; the call is then made again.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{ledger::Ledger, task::Task};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    ledger::{
        approval::{self, Approval},
        halt::halt_of,
    },
    policy::{Denial, Limit, Unit},
    value::{Id, PublicKey, SecretKey, tags::checked_text},
};

/// What happens to a call that a hard limit refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// It raises `BudgetExceeded`.
    #[default]
    Raise,
    /// It raises `ApprovalRequired` with the id of a request that a person can approve.
    Ask,
    /// It raises `BudgetExceeded`, and an integration then lets the agent answer by one last call, paid
    /// from what was put by ([`TaskOptions::wrap_up`](super::TaskOptions::wrap_up)).
    Finish,
}

impl OnLimit {
    /// Reads `raise`, `ask` or `finish`.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: another word.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "raise" => Ok(Self::Raise),
            "ask" => Ok(Self::Ask),
            "finish" => Ok(Self::Finish),
            _ => Err(Error::invalid(format!("on_limit `{text}` is not `raise`, `ask` or `finish`"))),
        }
    }

    /// The word that [`parse`](Self::parse) reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Ask => "ask",
            Self::Finish => "finish",
        }
    }
}

/// Those whose approval counts, by name, each with the key it is signed with. With none, whoever
/// can write the ledger can approve, and the name is a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approvers(BTreeMap<String, PublicKey>);

impl Approvers {
    /// Reads public Ed25519 keys in PEM, with or without its first and last line, or 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a name or key that cannot be.
    pub fn parse(keys: &BTreeMap<String, String>) -> Result<Self> {
        let read = |(name, key): (&String, &String)| {
            checked_text("approver", name)?;
            let wrong = || Error::invalid(format!("the key of approver `{name}` is no public Ed25519 key"));
            Ok((name.clone(), key.parse().map_err(|_| wrong())?))
        };
        keys.iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// The signature of a grant, in base64; nothing where no key is asked for.
    fn sign(&self, id: &Id, unit: Unit, add: i64, by: &str, key: Option<&str>) -> Result<Option<String>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let refused = |why: &str| Error::invalid(format!("`{by}` cannot approve: {why}"));
        let own = self.0.get(by).ok_or_else(|| refused("the configuration names no key of that name"))?;
        let pem = key.ok_or_else(|| refused("the configuration asks for a key"))?;
        let key = SecretKey::from_pem(pem).map_err(|_| refused("the key is no Ed25519 key in PEM"))?;
        let message =
            [b"outlay grant 1\0", &id.bytes()[..], &[unit as u8], &add.to_be_bytes(), by.as_bytes()];
        let message = message.concat();
        let signature = key.sign(&message);
        if !own.has_signed(&message, &signature) {
            return Err(refused("the key is another's"));
        }
        Ok(Some(format!("ed25519:{}", BASE64_STANDARD.encode(signature))))
    }
}

impl Ledger {
    /// Approves what a task asks for: raises the limit that is in its way by `add`, USD as a decimal
    /// number, other units as a whole one. Approving again with the same amount changes nothing.
    ///
    /// `key` is the private key of `by` in PEM, where the configuration names approvers.
    ///
    /// # Errors
    ///
    /// * `NotFound`: no such request, or its budget is gone.
    /// * `InvalidInput`: an amount that raises nothing; `by` is no approver, or the key not theirs.
    /// * `Conflict`: it was approved with another amount.
    /// * `StoreUnavailable`: the ledger could not answer.
    ///
    /// ```
    /// use outlay::{ErrorKind, Field, Ledger, Limit, Request, TaskOptions, run::OnLimit};
    ///
    /// let ledger = Ledger::in_memory();
    /// let options = TaskOptions::new("refund").limit(Limit::usd("0.01")?).on_limit(OnLimit::Ask);
    /// let task = ledger.open_task(options)?;
    /// let request = Request::model("gpt-4o").input_tokens(1_000).max_output_tokens(4_000);
    ///
    /// let refused = task.reserve(&request).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::ApprovalRequired);
    /// let Some(Field::Text(id)) = refused.field("id") else { panic!() };
    /// ledger.approve(&id.parse()?, "0.50", "maria", None)?;
    /// assert!(task.reserve(&request).is_ok());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn approve(&self, id: &Id, add: &str, by: &str, key: Option<&str>) -> Result<Approval> {
        checked_text("name", by)?;
        let (id, by) = (*id, by.to_owned());
        let unit = self.read(|tx| approval::unit_of(tx, &id))?;
        let add = Limit::parse(unit, add)?.amount;
        let proof = self.config().approvers.sign(&id, unit, add, &by, key)?;
        self.act(move |tx| approval::approve(tx, &id, add, &by, proof.as_deref()))
    }

    /// The requests nobody has approved yet, oldest first, at most a thousand.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the ledger could not answer.
    pub fn approvals(&self) -> Result<Vec<Approval>> {
        self.read(approval::approvals)
    }

    /// One request.
    ///
    /// # Errors
    ///
    /// `NotFound`: no such request. `StoreUnavailable`: the ledger could not answer.
    pub fn approval(&self, id: &Id) -> Result<Approval> {
        self.read(|tx| approval::approval(tx, id))
    }

    /// Was it approved? Asked by whoever waits for it.
    ///
    /// # Errors
    ///
    /// * `NotFound`: no such request.
    /// * `Halted`: the task that asks was halted meanwhile.
    /// * `StoreUnavailable`: the ledger could not answer.
    pub fn is_approved(&self, id: &Id) -> Result<bool> {
        self.read(|tx| {
            let (task, approved) = approval::standing(tx, id)?;
            match halt_of(tx, task)? {
                Some(halt) => Err(halt.error()),
                None => Ok(approved),
            }
        })
    }
}

impl Task {
    /// The error of a refused call. Where only pending money is in the way, nobody is asked: it
    /// comes back by itself. Nobody can approve time.
    pub(super) fn refusal(&self, denial: Box<Denial>) -> Error {
        if self.on_limit() != OnLimit::Ask || denial.contended || denial.deadline.is_some() {
            return denial.into_error();
        }
        let ledger = match self.ledger().current() {
            Ok(ledger) => ledger,
            Err(error) => return error,
        };
        let (no, attempt, id) = (self.no(), self.attempt(), ledger.next_id(ledger.now()));
        let asked = denial.clone();
        let id = match ledger.act(move |tx| approval::ask(tx, no, attempt, id, &asked)) {
            Ok(id) => id,
            Err(error) => return error,
        };
        let denied = denial.into_error();
        let message = format!("{denied}; `{id}` asks for approval");
        let error = Error::new(ErrorKind::ApprovalRequired, message).with("id", Field::Text(id.to_string()));
        denied.fields().iter().fold(error, |error, (name, value)| error.with(name, value.clone()))
    }
}
