//! Where in the book does a name stand?
//!
//! The book is text that `core/prices/generate.py` writes: a head, then for each provider a line that
//! begins with `:` and the lines of its names in the order of their bytes, all tab-separated.
//!
//! ```text
//! outlay prices 1 ⇥ VERSION ⇥ SOURCES
//! :PROVIDER ⇥ ALIASES ⇥ WHOSE MODELS IT SELLS AT THEIR PRICE ⇥ M maker, W writes caches unasked, F free
//! NAME ⇥ FACTS ⇥ PRICES          with `*` before the facts where a snapshot may follow the name
//! NAME ⇥ >OTHER NAME             with a space and facts behind it where they are not the other's
//! ```
//!
//! It is searched where it lies; reading it at the start costs one look for its providers.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};

const FORMAT: &str = "outlay prices 1";

/// A whole book.
pub(super) struct Table {
    text: Cow<'static, str>,
    pub version: Box<str>,
    pub source: Box<str>,
    sections: Vec<Section>,
    aliases: FxHashMap<Box<str>, usize>,
}

/// One provider.
pub(super) struct Section {
    pub id: Box<str>,
    pub resells: Box<[usize]>,
    pub is_maker: bool,
    pub writes_caches: bool,
    pub is_free: bool,
    from: usize,
    to: usize,
}

/// The line of one model.
#[derive(Clone, Copy)]
pub(super) struct Line<'t> {
    pub name: &'t str,
    pub facts: &'t str,
    /// What is otherwise by the name it was asked for.
    pub own: &'t str,
    pub prices: &'t str,
}

impl Table {
    /// Finds the providers of a book.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: the text is no price book this version reads.
    pub(super) fn new(text: Cow<'static, str>) -> Result<Self> {
        let wrong = |why: &str| Error::invalid(format!("this is no price book: {why}"));
        let mut head = text.lines().next().unwrap_or_default().split('\t');
        let (format, version, source) = (head.next(), head.next(), head.next());
        let (Some(FORMAT), Some(version), Some(source)) = (format, version, source) else {
            return Err(wrong("it does not begin with `outlay prices 1`"));
        };
        if !text.ends_with('\n') {
            return Err(wrong("it is cut off"));
        }
        let starts: Vec<usize> = text.match_indices("\n:").map(|(at, _)| at + 1).collect();
        let mut table = Self {
            version: version.into(),
            source: source.into(),
            sections: Vec::with_capacity(starts.len()),
            aliases: FxHashMap::default(),
            text: Cow::Borrowed(""),
        };
        let mut resells = Vec::with_capacity(starts.len());
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(text.len());
            let heading = text[*start..end].lines().next().unwrap_or_default();
            let mut columns = heading[1..].split('\t');
            let id = columns.next().unwrap_or_default();
            let aliases = columns.next().ok_or_else(|| wrong(&format!("`{id}` has no names")))?;
            table.aliases.extend(aliases.split(' ').map(|alias| (alias.into(), index)));
            resells.push(columns.next().unwrap_or_default());
            let marks = columns.next().unwrap_or_default();
            let marked = |mark| marks.contains(mark);
            table.sections.push(Section {
                id: id.into(),
                resells: Box::default(),
                is_maker: marked('M'),
                writes_caches: marked('W'),
                is_free: marked('F'),
                from: start + heading.len() + 1,
                to: end,
            });
        }
        for (index, makers) in resells.into_iter().enumerate() {
            let found = makers.split_whitespace().map(|maker| table.aliases.get(maker).copied());
            table.sections[index].resells = found
                .collect::<Option<_>>()
                .ok_or_else(|| wrong(&format!("`{makers}` are not all in it")))?;
        }
        table.text = text;
        Ok(table)
    }

    /// Fails unless every name can be found: in the order of their bytes, and none of another that is
    /// not there.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: names the first that cannot.
    pub(super) fn check_names(&self) -> Result<()> {
        for section in &self.sections {
            let mut before = "";
            for line in self.text[section.from..section.to].lines().map(columns) {
                if line.name <= before || self.line(section, line.name).is_none() {
                    let message = format!("`{}` of `{}` cannot be found in this book", line.name, section.id);
                    return Err(Error::invalid(message));
                }
                before = line.name;
            }
        }
        Ok(())
    }

    /// All providers, the makers first.
    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The provider of this name, in small letters.
    pub(super) fn provider(&self, name: &str) -> Option<&Section> {
        self.aliases.get(name).map(|index| &self.sections[*index])
    }

    /// The line of a listed name of a provider, and whether a snapshot may follow the name.
    pub(super) fn line(&self, section: &Section, name: &str) -> Option<(Line<'_>, bool)> {
        let own = self.search(section, name)?;
        let (facts, is_stem) = match own.facts.strip_prefix('*') {
            Some(facts) => (facts, true),
            None => (own.facts, false),
        };
        let line = match facts.strip_prefix('>') {
            Some(other) => {
                let (other, own) = other.split_once(' ').unwrap_or((other, ""));
                let line = self.search(section, other)?;
                Line { facts: line.facts.trim_start_matches('*'), own, ..line }
            }
            None => Line { facts, ..own },
        };
        Some((line, is_stem))
    }

    /// Every line of a provider that is a model, not another name of one.
    pub(super) fn models(&self, section: &Section) -> impl Iterator<Item = Line<'_>> {
        let lines = self.text[section.from..section.to].lines().map(columns);
        let lines = lines.map(|line| Line { facts: line.facts.trim_start_matches('*'), ..line });
        lines.filter(|line| !line.facts.starts_with('>'))
    }

    fn search(&self, section: &Section, name: &str) -> Option<Line<'_>> {
        let bytes = self.text.as_bytes();
        let (mut low, mut high) = (section.from, section.to);
        while low < high {
            let middle = low + (high - low) / 2;
            let start =
                bytes[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
            let length = bytes[start..high].iter().position(|byte| *byte == b'\n')?;
            let line = &bytes[start..start + length];
            let own = line.split(|byte| *byte == b'\t').next().unwrap_or_default();
            match own.cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = start + length + 1,
                std::cmp::Ordering::Greater => high = start,
                std::cmp::Ordering::Equal => return Some(columns(&self.text[start..start + length])),
            }
        }
        None
    }
}

fn columns(line: &str) -> Line<'_> {
    let mut columns = line.splitn(3, '\t');
    let mut next = || columns.next().unwrap_or_default();
    Line { name: next(), facts: next(), own: "", prices: next() }
}
