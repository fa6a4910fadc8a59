//! Which listed name does a name stand for?
//!
//! For itself, or for a listed stem followed by a mark of a snapshot, or for the listed base of a
//! fine-tune. Never for a neighbour: `gpt-4o-turbo` is not `gpt-4o`.

use std::fmt;

/// How a name led to a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The user's own price of this name.
    Yours,
    /// The name is in the book.
    Listed,
    /// A name in the book, followed by a date, `-latest` or another mark of a snapshot.
    Snapshot,
    /// A fine-tune of a model in the book.
    FineTune,
    /// The provider sells it at its maker's price.
    Maker,
    /// It runs on the user's own machine.
    Local,
}

impl Rule {
    /// Its name, such as `snapshot`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Yours => "yours",
            Self::Listed => "listed",
            Self::Snapshot => "snapshot",
            Self::FineTune => "fine_tune",
            Self::Maker => "maker",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The listed name behind `name`, and the rule, as far as `listed` knows it.
///
/// `listed` says of a name whether it is in the book, and if so, whether a snapshot may follow it.
pub(super) fn resolve(name: &str, listed: impl Fn(&str) -> Option<bool>) -> Option<(&str, Rule)> {
    if listed(name).is_some() {
        return Some((name, Rule::Listed));
    }
    if let Some(base) = fine_tuned(name) {
        let known = listed(base).is_some();
        let base = if known { Some(base) } else { stem(base, &listed) };
        return base.map(|base| (base, Rule::FineTune));
    }
    stem(name, &listed).map(|stem| (stem, Rule::Snapshot))
}

/// The listed stem that `name` is a snapshot of.
fn stem<'n>(name: &'n str, listed: &impl Fn(&str) -> Option<bool>) -> Option<&'n str> {
    std::iter::successors(without_snapshot(name), |shorter| without_snapshot(shorter))
        .find(|shorter| listed(shorter) == Some(true))
}

/// What a fine-tune is priced as: `ft:gpt-4o` of `ft:gpt-4o:acme::id`, `gpt-4o.ft` of `gpt-4o.ft-id`.
fn fine_tuned(name: &str) -> Option<&str> {
    if let Some(rest) = name.strip_prefix("ft:") {
        return rest.find(':').map(|cut| &name[..cut + 3]);
    }
    name.find(".ft-").map(|cut| &name[..cut + 3])
}

/// The name without one trailing mark of a snapshot; none if it has no such mark.
fn without_snapshot(name: &str) -> Option<&str> {
    // A date, or after a preview a day or a month. Two digits alone are a version, not a snapshot.
    if let Some(stem) = without_digits(name, &[2, 2, 4]) {
        return Some(stem);
    }
    if let Some(stem) = without_digits(name, &[2, 2]).or_else(|| without_digits(name, &[4, 2])) {
        return ["-preview", "-exp"].iter().any(|mark| stem.ends_with(mark)).then_some(stem);
    }
    let (stem, mark) = name.split_at(name.rfind(['-', '@', ':'])?);
    let (sign, word) = mark.split_at(1);
    let known = matches!(word, "latest" | "default" | "preview" | "exp" | "thinking")
        || matches!(word.len(), 3 | 4 | 8) && is_digits(word)
        // Bedrock's revisions: `-v1:0`.
        || sign == ":" && word.len() < 3 && is_digits(word)
        || word.strip_prefix('v').is_some_and(is_digits);
    known.then_some(stem)
}

/// The name without trailing `-` groups of so many digits, the last first.
fn without_digits<'a>(name: &'a str, groups: &[usize]) -> Option<&'a str> {
    groups.iter().try_fold(name, |rest, length| {
        let (before, group) = rest.rsplit_once('-')?;
        (group.len() == *length && is_digits(group)).then_some(before)
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `…-2025-12-11` of `…-20251211`, which some gateways write.
pub(super) fn dashed_date(name: &str) -> Option<String> {
    let (stem, date) = name.rsplit_once('-')?;
    let compact = date.len() == 8 && date.starts_with("20") && is_digits(date);
    compact.then(|| format!("{stem}-{}-{}-{}", &date[..4], &date[4..6], &date[6..]))
}
