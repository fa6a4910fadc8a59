//! How does it look in a terminal? Plain columns, and nothing a name could smuggle in.
//!
//! ```
//! use outlay::report::text::Table;
//!
//! let mut table = Table::new(["task", "spent"]).left(1);
//! table.row(["refund", "0.50"]);
//! table.row(["a\u{1b}[2Jb", "12.00"]);
//! assert_eq!(table.to_string(), "task          spent\nrefund         0.50\na\\u{1b}[2Jb   12.00");
//! ```

use std::{borrow::Cow, fmt};

/// Rows of cells under headings. The first columns may be aligned left, all others are right.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
    gap: usize,
}

impl Table {
    /// A table with these headings.
    pub fn new<T: AsRef<str>>(headings: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self { rows: Vec::new(), left: 0, gap: 3 };
        table.row(headings);
        table
    }

    /// Aligns the first `columns` left.
    #[must_use]
    pub fn left(mut self, columns: usize) -> Self {
        self.left = columns;
        self
    }

    /// Sets columns so many blanks apart; 3 without it.
    #[must_use]
    pub fn gap(mut self, blanks: usize) -> Self {
        self.gap = blanks;
        self
    }

    /// One more row; control characters in it are shown, not sent.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| shown(cell.as_ref())).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = width_of(cell).max(*width);
            }
        }
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let fill = " ".repeat(width - width_of(cell));
                let gap = if column == 0 { String::new() } else { " ".repeat(self.gap) };
                let (before, after) =
                    if column < self.left { ("", fill.as_str()) } else { (fill.as_str(), "") };
                line.extend([gap.as_str(), before, cell, after]);
            }
            write!(f, "{}{}", if index == 0 { "" } else { "\n" }, line.trim_end())?;
        }
        Ok(())
    }
}

/// `text` without anything that could move the cursor or turn the direction of writing.
///
/// ```
/// use outlay::report::text::shown;
///
/// assert_eq!(shown("refund é 退款"), "refund é 退款");
/// assert_eq!(shown("a\r\u{202e}b"), "a\\r\\u{202e}b");
/// ```
pub fn shown(text: &str) -> String {
    let turns = |c: char| {
        matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` as a cell of CSV: RFC 4180, and nothing a spreadsheet would run as a formula.
///
/// ```
/// use outlay::report::text::csv_cell;
///
/// assert_eq!(csv_cell("refund"), "refund");
/// assert_eq!(csv_cell("=1+1"), "\"'=1+1\"");
/// ```
pub fn csv_cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if !formula && !text.contains(['"', ',', '\r', '\n', '\'']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\"")))
}

/// Columns of a terminal that `text` takes; wide characters of East Asia and emoji take two.
fn width_of(text: &str) -> usize {
    let wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
    };
    let joins =
        |c: char| matches!(c, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    text.chars().map(|c| if joins(c) { 0 } else { 1 + usize::from(wide(c)) }).sum()
}

/// What a report says of entries that a ledger in memory keeps no longer; nothing if there are none.
pub(super) fn left_out(dropped: u64) -> Option<String> {
    (dropped > 0).then(|| format!("{dropped} older entries are kept no longer: their calls are left out"))
}

/// A count with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(["key", "n"]).left(1);
        table.row(["退款", "1"]);
        table.row(["cafe\u{301}", "22"]);
        let lines: Vec<usize> = table.to_string().lines().map(width_of).collect();
        assert_eq!(lines, [9, 9, 9]);
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(count(number), text);
        }
    }
}
