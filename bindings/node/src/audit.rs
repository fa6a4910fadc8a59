//! Is the ledger as it was written? Audits and checkpoints.

use napi::{Env, bindgen_prelude::Object};
use napi_derive::napi;
use outlay::report::{self, Checkpoint, Place};

use crate::{ledger::LEDGERS, outcome::later};

/// Something that is not as it was written.
#[napi(object)]
pub struct Problem {
    /// `entry`, `owner`, `name` or `balance`.
    pub place: String,
    /// The number of the entry, owner or name, or of the balance's account.
    pub number: f64,
    /// The last entry that may be the bad one; for a balance its slot.
    pub until: Option<f64>,
    /// What is wrong there.
    pub what: String,
    /// Both, as one line.
    pub text: String,
}

/// What an audit found.
#[napi(object)]
pub struct Audit {
    /// Is everything as it was written?
    pub is_sound: bool,
    /// How many entries were read.
    pub entries: f64,
    /// How many of them lie before the checkpoint.
    pub checkpoint_entries: Option<f64>,
    /// How many names are erased, as entries say.
    pub erased_names: f64,
    /// What is wrong, the first bad entry first.
    pub problems: Vec<Problem>,
    /// The same as a few lines of text.
    pub text: String,
}

/// Computes chains, balances and names again, and holds them against a checkpoint, by whose key.
#[napi(ts_return_type = "Promise<Audit | Failure>")]
pub fn audit(
    env: &Env,
    ledger: u32,
    checkpoint: Option<String>,
    key: Option<String>,
) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || {
        let kept: Option<Checkpoint> = checkpoint.as_deref().map(str::parse).transpose()?;
        if let (Some(kept), Some(key)) = (&kept, &key) {
            kept.expect_signer(key)?;
        }
        ledger?.audit(kept.as_ref()).map(|found| audit_of(&found))
    })
}

/// What the ledger is now, signed by an Ed25519 key in PEM.
#[napi(ts_return_type = "Promise<string | Failure>")]
pub fn checkpoint(env: &Env, ledger: u32, key: String) -> napi::Result<Object<'_>> {
    let ledger = LEDGERS.get(ledger);
    later(env, move || ledger?.checkpoint(&key).map(|checkpoint| checkpoint.to_string()))
}

fn audit_of(audit: &report::Audit) -> Audit {
    Audit {
        is_sound: audit.is_sound(),
        entries: audit.entries as f64,
        checkpoint_entries: audit.checkpoint_entries.map(|entries| entries as f64),
        erased_names: audit.erased as f64,
        problems: audit.problems.iter().map(problem_of).collect(),
        text: audit.to_string(),
    }
}

fn problem_of(problem: &report::Problem) -> Problem {
    let (place, number, until) = match problem.place {
        Place::Entries(first, last) => ("entry", first as f64, Some(last as f64)),
        Place::Owner(no) => ("owner", no.into(), None),
        Place::Name(no) => ("name", no.into(), None),
        Place::Task(no) => ("task", no.into(), None),
        Place::Balance(account, slot) => ("balance", account.into(), Some(slot as f64)),
    };
    let text = format!("{}: {}", problem.place, problem.what);
    Problem { place: place.to_owned(), number, until, what: problem.what.clone(), text }
}
