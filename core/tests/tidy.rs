//! Is the source still in order? What is not stands in a list here, with its measure: a ratchet.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Imports point only up: a module may use those before it.
const ORDER: [&str; 6] = ["value", "meter", "policy", "ledger", "run", "report"];
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
const LINE_LENGTH: usize = 110;

/// What is over a bound today; it may shrink, never grow.
const LONG_FILES: &[(&str, usize)] = &[];
const LONG_FUNCTIONS: &[(&str, usize)] = &[];
const LONG_LINES: &[(&str, usize)] = &[("run/stream.rs", 112)];
const FLOATS: &[(&str, usize)] = &[];
const BACKWARD: &[(&str, usize)] = &[];

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 30, "the sources were not found");
    found.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The file without its tests, which stand last.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// The lines with code on them, comments removed.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = product(text).lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).filter(|line| !line.trim().is_empty())
}

/// Fails unless the list allows every count that is over its bound.
fn ratchet(what: &str, over: &[(String, usize)], allowed: &[(&str, usize)]) {
    let is_allowed =
        |(name, count): &(String, usize)| allowed.iter().any(|(of, most)| of == name && count <= most);
    let refused: Vec<_> = over.iter().filter(|over| !is_allowed(over)).collect();
    assert!(refused.is_empty(), "{what}: {refused:?}");
}

fn counted(count: impl Fn(&str, &str) -> usize, bound: usize) -> Vec<(String, usize)> {
    let counts = sources().into_iter().map(|(name, text)| (count(&name, &text), name));
    counts.filter(|(count, _)| *count > bound).map(|(count, name)| (name, count)).collect()
}

#[test]
fn files_are_short() {
    ratchet("lines of code", &counted(|_, text| code(text).count(), FILE_LINES), LONG_FILES);
}

#[test]
fn functions_are_short() {
    let longest = |_: &str, text: &str| {
        let (mut longest, mut start) = (0, None);
        for (no, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let begins = line.contains("fn ") && line.ends_with('{') && !line.trim_start().starts_with("//");
            match start {
                Some((from, at))
                    if line.starts_with(&" ".repeat(at)) && line.trim() == "}" && indent == at =>
                {
                    longest = longest.max(no - from - 1);
                    start = None;
                }
                None if begins => start = Some((no, indent)),
                _ => {}
            }
        }
        longest
    };
    ratchet("lines of the longest function", &counted(longest, FUNCTION_LINES), LONG_FUNCTIONS);
}

#[test]
fn lines_are_short() {
    let longest = |_: &str, text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    ratchet("longest line", &counted(longest, LINE_LENGTH), LONG_LINES);
}

#[test]
fn money_is_never_a_float() {
    let floats = |name: &str, text: &str| {
        let counts = ["value", "policy", "ledger", "meter"].iter().any(|module| name.starts_with(module));
        let is_float = |line: &&str| line.contains("f64") || line.contains("f32");
        if counts { code(text).filter(is_float).count() } else { 0 }
    };
    ratchet("lines with floats", &counted(floats, 0), FLOATS);
}

#[test]
fn nothing_is_unsafe() {
    let uses = |_: &str, text: &str| code(text).filter(|line| line.contains("unsafe ")).count();
    ratchet("lines with unsafe", &counted(uses, 0), &[]);
    let root = sources().into_iter().find(|(name, _)| name == "lib.rs").unwrap().1;
    assert!(root.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn imports_point_only_up() {
    let backward = |name: &str, text: &str| {
        let own = name.split(['/', '.']).next().unwrap_or_default();
        let Some(place) = ORDER.iter().position(|module| *module == own) else { return 0 };
        let text = product(text);
        let mut count = 0;
        for later in &ORDER[place + 1..] {
            count += code(text).filter(|line| line.contains(&format!("crate::{later}"))).count();
            // In `use crate::{...}` each module begins a line of its own, or the one line.
            for list in text.split("use crate::{").skip(1) {
                let list = list.split("\n};").next().unwrap_or_default();
                let begins = |line: &str| line.starts_with(&format!("    {later}::"));
                count += list.lines().filter(|line| begins(line)).count();
            }
        }
        count
    };
    ratchet("imports of later modules", &counted(backward, 0), BACKWARD);
}
