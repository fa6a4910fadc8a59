//! Can a cheaper model take this call?
//!
//! The models are named in advance, by the user; [`judge`] says of one of them whether it can answer
//! the call that another was asked for, and costs less. It looks at figures only: how good the answer
//! will be it cannot know.

use std::borrow::Cow;

use crate::meter::{Abilities, Ability};

/// What one model would make of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name, as it goes into the request.
    pub model: Box<str>,
    /// Who bills it, and so whose requests it understands.
    pub provider: Box<str>,
    /// Can it think in tokens the caller does not see? Such models take other options.
    pub reasoning: bool,
    /// Input and output it can take together, in tokens, if that is known.
    pub context_window: Option<u64>,
    /// Output it can make, in tokens, if that is known.
    pub max_output_tokens: Option<u64>,
    /// What it is known to take.
    pub abilities: Abilities,
    /// The bound of the call's input, in its own tokens.
    pub input_tokens: u64,
    /// The most output the call allows, in tokens.
    pub output_tokens: u64,
    /// The most the call can cost, in pico-USD; what a cache holds at the price of cached input.
    pub cost_pico: i128,
}

/// Why a model cannot take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Another provider bills it.
    Provider,
    /// One of the two reasons and the other does not.
    Reasoning,
    /// Input and output are longer than its window.
    Window,
    /// The call allows more output than it can make.
    Output,
    /// The call needs this, and it is not known to take it.
    Lacks(Ability),
    /// It would cost as much, or more: what the cache holds of the conversation it would read anew.
    Cost,
}

impl Unfit {
    /// The reason as a person reads it.
    pub fn reason(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Provider => "another provider's",
            Self::Lacks(ability) => return format!("not known to take {}", ability.told()).into(),
            Self::Reasoning => "takes other options: only one of the two reasons",
            Self::Window => "the call is longer than its context window",
            Self::Output => "cannot answer at such length",
            Self::Cost => "not cheaper, with the lost cache counted in",
        })
    }
}

/// Why `other` cannot take a call asked of `asked`; nothing if it can.
///
/// ```
/// use outlay::{
///     meter::{Abilities, Ability},
///     policy::router::{Candidate, Unfit, judge},
/// };
///
/// let asked = Candidate {
///     model: "gpt-4o".into(),
///     provider: "openai".into(),
///     reasoning: false,
///     context_window: Some(128_000),
///     max_output_tokens: Some(16_384),
///     abilities: Abilities::PLAIN,
///     input_tokens: 1_000,
///     output_tokens: 500,
///     cost_pico: 7_500_000_000,
/// };
/// let mini = Candidate { model: "gpt-4o-mini".into(), cost_pico: 450_000_000, ..asked.clone() };
/// let needs = Abilities::default().and(Ability::Chat);
/// assert_eq!(judge(&asked, &mini, needs), None);
/// assert_eq!(judge(&asked, &mini, needs.and(Ability::Tools)), Some(Unfit::Lacks(Ability::Tools)));
/// let small = Candidate { context_window: Some(1_400), ..mini };
/// assert_eq!(judge(&asked, &small, needs), Some(Unfit::Window));
/// ```
pub fn judge(asked: &Candidate, other: &Candidate, needs: Abilities) -> Option<Unfit> {
    let length = other.input_tokens.saturating_add(other.output_tokens);
    let lacking = needs.lacking(other.abilities);
    let reasons = [
        (other.provider != asked.provider).then_some(Unfit::Provider),
        lacking.map(Unfit::Lacks),
        (other.reasoning != asked.reasoning).then_some(Unfit::Reasoning),
        other.context_window.is_some_and(|window| length > window).then_some(Unfit::Window),
        other.max_output_tokens.is_some_and(|most| other.output_tokens > most).then_some(Unfit::Output),
        (other.cost_pico >= asked.cost_pico).then_some(Unfit::Cost),
    ];
    reasons.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(change: impl FnOnce(&mut Candidate)) -> Candidate {
        let mut candidate = Candidate {
            model: "m".into(),
            provider: "openai".into(),
            reasoning: false,
            context_window: Some(2_000),
            max_output_tokens: Some(1_000),
            abilities: Abilities::PLAIN,
            input_tokens: 1_000,
            output_tokens: 1_000,
            cost_pico: 10,
        };
        change(&mut candidate);
        candidate
    }

    #[test]
    fn each_reason_is_found() {
        let asked = candidate(|asked| asked.cost_pico = 11);
        let unfit = |change: fn(&mut Candidate)| judge(&asked, &candidate(change), Abilities::PLAIN);
        assert_eq!(unfit(|_| {}), None);
        assert_eq!(unfit(|other| other.provider = "groq".into()), Some(Unfit::Provider));
        assert_eq!(unfit(|other| other.reasoning = true), Some(Unfit::Reasoning));
        assert_eq!(unfit(|other| other.input_tokens += 1), Some(Unfit::Window));
        assert_eq!(unfit(|other| other.max_output_tokens = Some(999)), Some(Unfit::Output));
        assert_eq!(unfit(|other| other.cost_pico = 11), Some(Unfit::Cost));
        assert_eq!(
            unfit(|other| (other.context_window, other.max_output_tokens) = (None, None)),
            None,
            "what is not known refuses nothing"
        );
        let tools = Abilities::PLAIN.and(Ability::Tools);
        assert_eq!(judge(&asked, &candidate(|_| {}), tools), Some(Unfit::Lacks(Ability::Tools)));
        assert_eq!(judge(&asked, &candidate(|other| other.abilities = tools), tools), None);
        assert_eq!(Unfit::Lacks(Ability::Tools).reason(), "not known to take tools");
    }
}
