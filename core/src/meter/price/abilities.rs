//! What can a call ask of a model, beside tokens?
//!
//! [`Abilities`] are what a model is known to take, or what a call needs. Nobody lists all models: of
//! what the sources of the book are silent about it is not known whether a model takes it, and that
//! counts as no, as a call that is refused helps nobody.

/// Something a call can need and a model can lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`told` says what each is")]
pub enum Ability {
    Chat,
    Responses,
    System,
    Tools,
    ForcedTool,
    ParallelTools,
    Images,
    Documents,
    Audio,
    Schema,
    Sampling,
    Prefill,
    LaterSystem,
    Effort,
    EffortNone,
    EffortMinimal,
    EffortXhigh,
    EffortMax,
    ThinkingBudget,
    AdaptiveThinking,
    /// What the sources of the book say of no model.
    Other,
}

/// Each with its letter in the book, its name, and how a person reads it.
const ALL: [(Ability, char, &str, &str); 21] = [
    (Ability::Chat, 'c', "chat", "requests of this form"),
    (Ability::Responses, 'p', "responses", "requests of the Responses API"),
    (Ability::System, 'y', "system", "system text"),
    (Ability::Tools, 't', "tools", "tools"),
    (Ability::ForcedTool, 'f', "forced_tool", "a choice of tool"),
    (Ability::ParallelTools, 'm', "parallel_tools", "`parallel_tool_calls`"),
    (Ability::Images, 'i', "images", "images"),
    (Ability::Documents, 'd', "documents", "documents"),
    (Ability::Audio, 'a', "audio", "audio"),
    (Ability::Schema, 'j', "schema", "a form its answer must have"),
    (Ability::Sampling, 's', "sampling", "`temperature` and the like"),
    (Ability::Prefill, 'l', "prefill", "an answer that was begun for it"),
    (Ability::LaterSystem, 'v', "later_system", "system text between messages"),
    (Ability::Effort, 'e', "effort", "an effort of reasoning"),
    (Ability::EffortNone, 'n', "effort_none", "the effort `none`"),
    (Ability::EffortMinimal, 'k', "effort_minimal", "the effort `minimal`"),
    (Ability::EffortXhigh, 'x', "effort_xhigh", "the effort `xhigh`"),
    (Ability::EffortMax, 'z', "effort_max", "the effort `max`"),
    (Ability::ThinkingBudget, 'b', "thinking_budget", "a budget of thinking"),
    (Ability::AdaptiveThinking, 'h', "adaptive_thinking", "adaptive thinking"),
    (Ability::Other, '-', "other", "all that the call asks for"),
];

impl Ability {
    /// Its name, as `outlay route explain --needs` takes it.
    pub const fn name(self) -> &'static str {
        ALL[self as usize].2
    }

    /// What it is to take, as a person reads it.
    pub const fn told(self) -> &'static str {
        ALL[self as usize].3
    }

    /// The one of this name.
    ///
    /// ```
    /// use outlay::meter::Ability;
    ///
    /// assert_eq!(Ability::named("forced_tool"), Some(Ability::ForcedTool));
    /// assert_eq!(Ability::named("magic"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|ability| ability.name() == name)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(ability, ..)| *ability)
    }
}

/// Some abilities.
///
/// ```
/// use outlay::meter::{Abilities, Ability};
///
/// let needs: Abilities = [Ability::Chat, Ability::Tools].into_iter().collect();
/// assert_eq!(needs.lacking(Abilities::PLAIN), Some(Ability::Tools));
/// assert_eq!(Abilities::PLAIN.lacking(needs), Some(Ability::System));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities(u32);

impl Abilities {
    /// Of a model the sources say nothing about: a conversation in text.
    pub const PLAIN: Self = Self::of(Ability::Chat).and(Ability::System);
    /// Of a model only its user knows, and named: whatever a request can ask for.
    pub const ANY: Self = Self(u32::MAX);

    const fn of(ability: Ability) -> Self {
        Self(1 << ability as u32)
    }

    /// These and one more.
    #[must_use]
    pub const fn and(self, ability: Ability) -> Self {
        Self(self.0 | Self::of(ability).0)
    }

    /// These and others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without one.
    #[must_use]
    pub const fn without(self, ability: Ability) -> Self {
        Self(self.0 & !Self::of(ability).0)
    }

    /// Is it one of these?
    pub const fn has(self, ability: Ability) -> bool {
        self.0 & Self::of(ability).0 != 0
    }

    /// The first of these that is not among `others`.
    pub fn lacking(self, others: Self) -> Option<Ability> {
        Ability::all().find(|ability| self.has(*ability) && !others.has(*ability))
    }

    /// Those of a word of the book, where `u` is for [`PLAIN`](Self::PLAIN), and whoever takes a choice of
    /// tool takes tools.
    pub(super) fn read(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::default(), |found, letter| {
            let found = match letter {
                'u' => return Some(found.with(Self::PLAIN)),
                'f' => found.and(Ability::Tools),
                _ => found,
            };
            let known = ALL.iter().find(|(_, own, ..)| *own == letter && letter != '-');
            known.map(|(ability, ..)| found.and(*ability))
        })
    }
}

impl FromIterator<Ability> for Abilities {
    fn from_iter<I: IntoIterator<Item = Ability>>(abilities: I) -> Self {
        abilities.into_iter().fold(Self::default(), Self::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_its_abilities() {
        for (place, (ability, letter, ..)) in ALL.iter().enumerate() {
            assert_eq!(*ability as usize, place);
            assert_eq!(ALL.iter().filter(|(_, own, ..)| own == letter).count(), 1, "{letter}");
        }
    }

    #[test]
    fn a_word_of_the_book_is_read_or_refused() {
        let read = Abilities::read("ct").unwrap();
        assert_eq!(read, Abilities::of(Ability::Chat).and(Ability::Tools));
        assert_eq!(Abilities::read("uf"), Some(Abilities::PLAIN.with(read).and(Ability::ForcedTool)));
        assert_eq!(Abilities::read(""), Some(Abilities::default()));
        assert_eq!((Abilities::read("c?"), Abilities::read("-")), (None, None));
    }
}
