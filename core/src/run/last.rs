//! How does an attempt end that has used up its limits?
//!
//! With one last call, if money was put by for it when it started. Tasks inside it may make that
//! call too: what is put by is the attempt's, whoever asks.

use super::{approval::OnLimit, ledger::Ledger, options::TaskOptions, task::Task};
use crate::{
    error::{Error, Result},
    ledger::{
        commit::{Reserve, Verdict},
        flag,
        last::{self, PutBy},
        store::{State, Tx},
    },
    policy::{Ask, Output},
    sync::{Arc, Mutex, lock},
    value::{Id, Money},
};

/// What is put by for the last call of an attempt, and what became of it.
pub(crate) struct Last {
    put_by: PutBy,
    usd: Money,
    made: Mutex<Option<Id>>,
    above: Option<Arc<Self>>,
}

impl Last {
    /// What a task opened like this has from the task above.
    pub fn inherited(options: &TaskOptions) -> Result<Option<Arc<Self>>> {
        if options.observes {
            return Ok(None);
        }
        let above = options.parent.as_ref().and_then(Task::last).cloned();
        match options.wrap_up {
            Some(usd) if usd <= Money::ZERO => {
                Err(Error::invalid(format!("`{usd}` cannot be put by for a last call")))
            }
            None if options.on_limit == Some(OnLimit::Finish) && above.is_none() => {
                Err(Error::invalid("on_limit `finish` needs `wrap_up_usd`, which pays for the last call"))
            }
            _ => Ok(above),
        }
    }

    /// The error of a last call for which nothing was put by.
    pub fn missing() -> Error {
        Error::invalid("nothing was put by for a last call; open the task with `wrap_up_usd`")
    }

    /// What is put by, by this attempt first.
    pub fn chain(&self) -> Vec<PutBy> {
        let mut chain = vec![self.put_by];
        let mut above = &self.above;
        while let Some(last) = above {
            chain.push(last.put_by);
            above = &last.above;
        }
        chain
    }

    /// Reserves for a call, or for the last one, which only one can make.
    pub fn reserve(&self, ledger: &Ledger, want: &Reserve, is_last: bool) -> Result<Verdict> {
        let mut put_by = self.chain();
        let act = |put_by: Vec<PutBy>| {
            let want = want.clone();
            ledger.act_untold(move |tx| last::reserve(tx, &want, &put_by, is_last))
        };
        let verdict = if is_last {
            let mut made = lock(&self.made);
            put_by[0].last = *made;
            let verdict = act(put_by);
            if let Ok(Verdict::Held { id, created: true, .. }) = &verdict {
                *made = Some(*id);
            }
            verdict
        } else {
            act(put_by)
        };
        ledger.deliver();
        verdict
    }

    /// How much is still kept.
    pub fn kept(&self, tx: &mut dyn Tx) -> Result<Option<Money>> {
        let row = tx.call(&self.put_by.id)?.filter(|row| row.state == State::Kept);
        Ok(row.map(|_| self.usd))
    }
}

impl Task {
    /// Holds so much and one call of a model under every limit it falls under.
    pub(super) fn put_by(&self, usd: Money, above: Option<Arc<Last>>) -> Result<Arc<Last>> {
        let ask = Ask {
            fixed_pico: i128::from(usd.nanos()) * 1_000,
            output_pico: 0,
            input_tokens: 0,
            choices: 1,
            output: Output::Exactly(0),
            llm_calls: 1,
            tool_calls: 0,
        };
        let ledger = self.ledger().current()?;
        let want = self.unmodelled(&ledger, ask, flag::KEPT);
        match ledger.reserve(&want, ledger.now())? {
            Verdict::Denied(denial) => Err(self.refusal(denial)),
            Verdict::Held { id, .. } => {
                let put_by = PutBy { id, task: self.no(), attempt: self.attempt(), last: None };
                Ok(Arc::new(Last { put_by, usd, made: Mutex::default(), above }))
            }
        }
    }
}
