//! Which known names look like one that is not known?
//!
//! For the words of an error only: no price is ever taken from a name that merely looks alike. Costs
//! at most one look at each name it is given, and none at a name much longer or shorter.

/// So many names are shown.
const SHOWN_MAX: usize = 3;
/// A longer name is like none.
const LENGTH_MAX: usize = 64;

/// The names nearest to `name`, of which at most two fifths differ: those it begins with first, since
/// what is new about a name stands mostly at its end.
pub(super) fn similar<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    if name.len() > LENGTH_MAX {
        return Vec::new();
    }
    let most = name.len() * 2 / 5;
    let near = known.filter(|other| other.len().abs_diff(name.len()) <= most);
    let judged =
        near.map(|other| (!name.starts_with(other), edits(name.as_bytes(), other.as_bytes()), other));
    let mut found: Vec<_> = judged.filter(|(_, edits, _)| *edits <= most).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(SHOWN_MAX).map(|(.., other)| other).collect()
}

/// How many bytes must be put in, taken out or changed to make one of the other.
fn edits(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (index, own) in other.iter().enumerate() {
            let changed = corner + usize::from(byte != own);
            corner = row[index + 1];
            row[index + 1] = changed.min(corner + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_strangers_not_at_all() {
        let known = ["gpt-4o", "gpt-4o-mini", "gpt-4", "claude-opus-5", "o3", "gpt-4o"];
        assert_eq!(similar("gpt-4o-min", known.into_iter()), ["gpt-4o", "gpt-4o-mini"]);
        assert_eq!(similar("gpt-4o-mino", known.into_iter()), ["gpt-4o-mini"]);
        assert_eq!(similar("claude-opus5", known.into_iter()), ["claude-opus-5"]);
        assert_eq!(similar("house-7b", known.into_iter()), [""; 0]);
        assert_eq!(similar(&"gpt-4o".repeat(100), known.into_iter()), [""; 0]);
        assert_eq!(similar("", known.into_iter()), [""; 0]);
    }

    #[test]
    fn every_edit_counts_once() {
        for (one, other, expected) in
            [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("abc", "abd", 1), ("abcd", "bcde", 2)]
        {
            assert_eq!(edits(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
        }
    }
}
