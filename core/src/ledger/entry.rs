//! What happened?
//!
//! An [`Entry`] is one immutable line of the ledger. It holds integers only: names stand in a
//! dictionary, so that a name can be erased without touching an entry. Every store keeps the same
//! columns in the same order, and [`Entry::write_canonical`] is what the hash chain covers.

use std::sync::Arc;

use super::chain::Proof;
use crate::{
    policy::Amounts,
    value::{Id, Millis, Usage},
};

/// What an entry records. The numbers never change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// A task was opened for the first time.
    #[default]
    TaskOpened = 1,
    /// An attempt at a task began.
    AttemptStarted = 2,
    /// An attempt ended; `note` says how.
    AttemptEnded = 3,
    /// The worst case of a call was held.
    Reserved = 4,
    /// A call used this much.
    Settled = 5,
    /// A call was not billed.
    Voided = 6,
    /// Nobody knows whether a call was billed.
    Doubted = 7,
    /// The truth about a call that had been estimated or voided: the amounts are differences.
    Corrected = 8,
    /// A budget was declared: the amounts are its limits.
    BudgetSet = 9,
    /// A limit was raised: the amounts are differences.
    Granted = 10,
    /// A scope was halted.
    Halted = 11,
    /// A halt was undone.
    Unhalted = 12,
    /// A detector or policy judged a run.
    Verdict = 13,
    /// A threshold was passed.
    Alerted = 14,
    /// A durable step began.
    StepStarted = 15,
    /// A durable step ended.
    StepEnded = 16,
    /// A process took an allowance on a shared budget.
    AllowanceTaken = 17,
    /// A process gave the rest of an allowance back.
    AllowanceReturned = 18,
    /// A call was not made because its answer was known.
    Avoided = 19,
    /// The value of a dictionary id was erased.
    Forgotten = 20,
}

impl Kind {
    const ALL: [Self; 20] = [
        Self::TaskOpened,
        Self::AttemptStarted,
        Self::AttemptEnded,
        Self::Reserved,
        Self::Settled,
        Self::Voided,
        Self::Doubted,
        Self::Corrected,
        Self::BudgetSet,
        Self::Granted,
        Self::Halted,
        Self::Unhalted,
        Self::Verdict,
        Self::Alerted,
        Self::StepStarted,
        Self::StepEnded,
        Self::AllowanceTaken,
        Self::AllowanceReturned,
        Self::Avoided,
        Self::Forgotten,
    ];

    const NAMES: [&str; 20] = [
        "task_opened",
        "attempt_started",
        "attempt_ended",
        "reserved",
        "settled",
        "voided",
        "doubted",
        "corrected",
        "budget_set",
        "granted",
        "halted",
        "unhalted",
        "verdict",
        "alerted",
        "step_started",
        "step_ended",
        "allowance_taken",
        "allowance_returned",
        "avoided",
        "forgotten",
    ];

    /// Every kind, in the order of their numbers.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The word for it, as exports and the views of a ledger file have it.
    ///
    /// ```
    /// assert_eq!(outlay::ledger::Kind::AttemptEnded.name(), "attempt_ended");
    /// ```
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize - 1]
    }
}

/// Facts about an entry that are yes or no.
pub mod flag {
    /// The amounts are our count, not the provider's.
    pub const ESTIMATED: u32 = 1;
    /// More was settled than had been reserved.
    pub const OVERRUN: u32 = 1 << 1;
    /// It came after its owner had been thought dead.
    pub const LATE: u32 = 1 << 2;
    /// A soft limit was passed.
    pub const OVER_SOFT: u32 = 1 << 3;
    /// A limit would have refused it; the task only observes.
    pub const WOULD_DENY: u32 = 1 << 4;
    /// The model has no known price; the task only observes.
    pub const UNPRICED: u32 = 1 << 5;
    /// The answer was streamed.
    pub const STREAMED: u32 = 1 << 6;
    /// The stream was cut at its reservation.
    pub const CUT: u32 = 1 << 7;
    /// The bound of the input is a count enlarged by a prior or by what was learned.
    pub const CALIBRATED: u32 = 1 << 8;
    /// A person ended it.
    pub const RESOLVED: u32 = 1 << 9;
    /// The task was opened to observe, not to enforce.
    pub const OBSERVES: u32 = 1 << 10;
    /// The bound of the input is a reconstructed count and a margin.
    pub const RECONSTRUCTED: u32 = 1 << 11;
    /// Some of the input was bounded without being counted: it teaches nothing about counts.
    pub const CEILING: u32 = 1 << 12;
    /// What the input, or what is new of it, is mostly written in: 0 where nobody looked.
    pub const SCRIPT: u32 = 7 << SCRIPT_SHIFT;
    pub(crate) const SCRIPT_SHIFT: u32 = 13;
    /// It went to a cheaper model than the one asked for.
    pub const ROUTED: u32 = 1 << 16;
    /// It is no call, but money put by for the last one of its attempt.
    pub const KEPT: u32 = 1 << 17;

    /// The words for those of an entry, as exports and the views of a ledger file have them.
    pub const NAMES: [(u32, &str); 15] = [
        (ESTIMATED, "estimated"),
        (OVERRUN, "overrun"),
        (LATE, "late"),
        (OVER_SOFT, "over_soft"),
        (WOULD_DENY, "would_deny"),
        (UNPRICED, "unpriced"),
        (STREAMED, "streamed"),
        (CUT, "cut"),
        (CALIBRATED, "calibrated"),
        (RESOLVED, "resolved"),
        (OBSERVES, "observes"),
        (RECONSTRUCTED, "reconstructed"),
        (CEILING, "ceiling"),
        (ROUTED, "routed"),
        (KEPT, "kept"),
    ];
}

/// Where a call is held: accounts, each with the slot it belongs to.
pub type Under = Arc<[(u32, Millis)]>;

/// A number that fits a column.
pub(crate) trait Cell: Copy {
    fn cell(self) -> i64;
    fn of(cell: i64) -> Option<Self>;
}

macro_rules! cells {
    ($($int:ty),*) => {$(
        impl Cell for $int {
            fn cell(self) -> i64 { i64::try_from(self).unwrap_or(i64::MAX) }
            fn of(cell: i64) -> Option<Self> { Self::try_from(cell).ok() }
        }
    )*};
}
cells!(u32, u64, i64);

impl Cell for Kind {
    fn cell(self) -> i64 {
        self as i64
    }
    fn of(cell: i64) -> Option<Self> {
        // Their numbers are their places, from 1.
        Self::ALL.get(usize::try_from(cell).ok()?.checked_sub(1)?).copied()
    }
}

// In groups: of most entries all of a group is zero, and one look tells.
macro_rules! entry {
    ($({ $($(#[$doc:meta])* $name:ident: $int:ty,)* })*) => {
        /// One line of the ledger. What does not apply to its kind is zero.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Entry {
            $($($(#[$doc])* pub $name: $int,)*)*
            /// The call it is about.
            pub call: Option<Id>,
            /// Where a reservation is held.
            pub under: Option<Under>,
            /// For each dictionary id first used here, what proves its value.
            pub proofs: Vec<(u32, Proof)>,
        }

        impl Entry {
            /// The names of the integer columns, in order.
            pub const COLUMNS: &'static [&'static str] = &[$($(stringify!($name)),*),*];

            /// The integer columns, in order.
            pub fn cells(&self) -> [i64; Self::COLUMNS.len()] {
                [$($(self.$name.cell()),*),*]
            }

            /// Visits the integer columns that are not zero, by their place in the order.
            #[inline]
            #[expect(clippy::cast_lossless, reason = "of any width, and asked only whether it is zero")]
            pub(super) fn visit_cells(&self, mut visit: impl FnMut(usize, i64)) {
                let mut index = 0;
                $(
                    let group = [$(self.$name as i64),*];
                    if group.iter().fold(0, |any, cell| any | cell) != 0 {
                        let mut index = index;
                        $(
                            let cell = self.$name.cell();
                            if cell != 0 {
                                visit(index, cell);
                            }
                            index += 1;
                        )*
                        let _ = index;
                    }
                    index += group.len();
                )*
                debug_assert_eq!(index, Self::COLUMNS.len());
            }

            /// Puts an entry together again; nothing when a column cannot be what it says.
            pub fn of(cells: &[i64; Self::COLUMNS.len()], call: Option<Id>, under: Option<Under>,
                proofs: Vec<(u32, Proof)>) -> Option<Self> {
                let mut cells = cells.iter();
                Some(Self { $($($name: <$int>::of(*cells.next()?)?,)*)* call, under, proofs })
            }
        }
    };
}

entry! {
    {
        /// The running process that wrote it.
        owner: u32,
        /// What it records.
        kind: Kind,
        /// When, by the ledger's time, which never goes back.
        at_ms: Millis,
        /// The task; 0 for none.
        task: u32,
        /// The attempt at the task, from 1.
        attempt: u32,
    }
    {
        /// Dictionary id of the durable step.
        step: u32,
        /// Dictionary id of the turn.
        turn: u32,
        /// Yes-or-no facts, see [`flag`].
        flags: u32,
    }
    {
        /// Nano-USD.
        usd: i64,
        /// Tokens, input and output.
        tokens: i64,
        /// Model calls.
        llm_calls: i64,
        /// Tool calls.
        tool_calls: i64,
    }
    {
        /// Dictionary id of the provider.
        provider: u32,
        /// Dictionary id of the model that was asked for.
        model_asked: u32,
        /// Dictionary id of the model that answered.
        model_used: u32,
        /// Dictionary id of the unit prices and their version.
        price: u32,
    }
    {
        /// Dictionary id of the tool.
        tool: u32,
        /// The upper bound of the input, in tokens.
        input_bound: u64,
        /// What was counted of the input before any prior or margin; 0 where the caller gave the bound.
        counted_tokens: u64,
        /// The most tokens an answer could have.
        max_output_tokens: u64,
    }
    {
        /// All input tokens.
        input_tokens: u64,
    }
    {
        /// Of them read from a cache.
        cache_read_tokens: u64,
        /// Of them written to a five-minute cache.
        cache_write_tokens: u64,
        /// Of them written to a one-hour cache.
        cache_write_1h_tokens: u64,
        /// Of them audio.
        input_audio_tokens: u64,
        /// Of them images.
        input_image_tokens: u64,
    }
    {
        /// All output tokens.
        output_tokens: u64,
    }
    {
        /// Of them hidden reasoning.
        reasoning_tokens: u64,
        /// Of them audio.
        output_audio_tokens: u64,
        /// Of them images.
        output_image_tokens: u64,
        /// Searches on the provider's side.
        web_searches: u64,
    }
    {
        /// From reserve to settle.
        runtime_ms: u64,
    }
    {
        /// Keyed hash of the request; of a task that was opened, what [`chain::task_hash`] says of its row.
        request_hash: i64,
        /// Messages in the request.
        message_count: u32,
        /// Tokens of its tool definitions.
        tool_definition_tokens: u64,
        /// Dictionary id of the set of tools offered.
        tool_set: u32,
        /// Which of them were used, a bit each. For the end of an attempt: what the attempt was worth,
        /// in billionths of the caller's unit.
        tools_used: i64,
        /// First message that differs from the previous call of the attempt.
        prefix_messages: u32,
        /// Where in that message, in bytes.
        prefix_bytes: u64,
        /// Tokens before it.
        prefix_tokens: u64,
        /// What the provider had counted for these, where they are all of the previous call.
        known_tokens: u64,
    }
    {
        /// The budget, account or dictionary id it is about; for the start of an attempt, the number
        /// of the attempt at the task above it is part of; 0 for none.
        subject: u32,
        /// Dictionary id of a remark: an outcome, a reason, who did it.
        note: u32,
        /// Dictionary id of why: the reason of a halt, the request a verdict asks for or a grant
        /// approves, and what the breaker said on what grounds, which has no `subject`.
        evidence: u32,
    }
}

impl Entry {
    /// The amounts of the four units.
    pub const fn amounts(&self) -> Amounts {
        Amounts([self.usd, self.tokens, self.llm_calls, self.tool_calls])
    }

    /// Records these amounts.
    pub const fn set_amounts(&mut self, amounts: &Amounts) {
        [self.usd, self.tokens, self.llm_calls, self.tool_calls] = amounts.0;
    }

    /// Records this usage.
    pub const fn set_usage(&mut self, usage: &Usage) {
        self.input_tokens = usage.input_tokens;
        self.cache_read_tokens = usage.cache_read_tokens;
        self.cache_write_tokens = usage.cache_write_tokens;
        self.cache_write_1h_tokens = usage.cache_write_1h_tokens;
        self.input_audio_tokens = usage.input_audio_tokens;
        self.input_image_tokens = usage.input_image_tokens;
        self.output_tokens = usage.output_tokens;
        self.reasoning_tokens = usage.reasoning_tokens;
        self.output_audio_tokens = usage.output_audio_tokens;
        self.output_image_tokens = usage.output_image_tokens;
        self.web_searches = usage.web_searches;
    }

    /// The usage it records: of cached and of other media only what has a column.
    pub const fn usage(&self) -> Usage {
        Usage {
            cache_read_tokens: self.cache_read_tokens,
            cache_write_tokens: self.cache_write_tokens,
            cache_write_1h_tokens: self.cache_write_1h_tokens,
            input_audio_tokens: self.input_audio_tokens,
            input_image_tokens: self.input_image_tokens,
            reasoning_tokens: self.reasoning_tokens,
            output_audio_tokens: self.output_audio_tokens,
            output_image_tokens: self.output_image_tokens,
            web_searches: self.web_searches,
            ..Usage::tokens(self.input_tokens, self.output_tokens)
        }
    }

    /// Is this fact on?
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The bytes the hash chain covers: every integer column as eight bytes, big-endian; the call
    /// id as sixteen bytes, zero for none; then `under` and `proofs`, each behind its length in
    /// four bytes.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        for cell in self.cells() {
            out.extend_from_slice(&cell.to_be_bytes());
        }
        out.extend_from_slice(self.call.map_or([0; 16], |id| *id.bytes()).as_slice());
        for blob in [self.under_bytes(), self.proof_bytes()] {
            out.extend_from_slice(&(blob.len() as u32).to_be_bytes());
            out.extend_from_slice(&blob);
        }
    }

    /// `under` as a column holds it: account (4 bytes) and slot (8 bytes) in turn.
    pub fn under_bytes(&self) -> Vec<u8> {
        self.under.as_deref().map(under_bytes).unwrap_or_default()
    }

    /// `proofs` as a column holds them: dictionary id (4 bytes) and proof (32 bytes) in turn.
    pub fn proof_bytes(&self) -> Vec<u8> {
        let pairs = self.proofs.iter();
        pairs.flat_map(|(id, proof)| id.to_be_bytes().into_iter().chain(*proof)).collect()
    }
}

/// Accounts and slots as a column holds them.
pub(crate) fn under_bytes(under: &[(u32, Millis)]) -> Vec<u8> {
    under.iter().flat_map(|(no, slot)| no.to_be_bytes().into_iter().chain(slot.to_be_bytes())).collect()
}

/// Reads what [`under_bytes`] wrote; nothing when it is not that.
pub(crate) fn read_under(bytes: &[u8]) -> Option<Under> {
    let (pairs, rest) = bytes.as_chunks::<12>();
    rest.is_empty().then(|| {
        pairs
            .iter()
            .map(|pair| {
                let (no, slot) = pair.split_at(4);
                let slot = slot.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                (no.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)), slot as i64)
            })
            .collect()
    })
}

/// Reads what [`Entry::proof_bytes`] wrote; nothing when it is not that.
pub(crate) fn read_proofs(bytes: &[u8]) -> Option<Vec<(u32, Proof)>> {
    let (pairs, rest) = bytes.as_chunks::<36>();
    rest.is_empty().then(|| {
        pairs
            .iter()
            .map(|pair| {
                let mut proof = [0; 32];
                proof.copy_from_slice(&pair[4..]);
                (pair[..4].iter().fold(0, |value, byte| value << 8 | u32::from(*byte)), proof)
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_columns() {
        let entry = Entry {
            kind: Kind::Reserved,
            usd: -5,
            tokens: 12,
            request_hash: i64::MIN,
            call: Some(Id::from_bytes([7; 16])),
            under: Some(Arc::from([(3, 0), (9, -86_400_000)])),
            proofs: vec![(4, [9; 32])],
            ..Entry::default()
        };
        let under = read_under(&entry.under_bytes());
        let proofs = read_proofs(&entry.proof_bytes()).unwrap();
        assert_eq!(Entry::of(&entry.cells(), entry.call, under, proofs), Some(entry));
    }

    #[test]
    fn every_kind_has_its_own_number() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index + 1);
            assert_eq!(Kind::of(kind.cell()), Some(kind));
        }
        assert_eq!(Kind::of(0), None);
    }
}
