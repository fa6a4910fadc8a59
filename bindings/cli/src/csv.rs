//! How does it read in a spreadsheet? RFC 4180, and no cell that would be run as a formula.

use outlay::report::text::csv_cell;
use serde_json::{Map, Value};

/// Rows of the same keys under a line of those keys.
pub(crate) fn sheet(rows: &[Map<String, Value>], keys: &[&str]) -> String {
    let mut out = keys.join(",") + "\r\n";
    for row in rows {
        let cells: Vec<String> = keys.iter().map(|key| cell(row.get(*key))).collect();
        out += &(cells.join(",") + "\r\n");
    }
    out
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => csv_cell(text).into_owned(),
        Some(other) => csv_cell(&other.to_string()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_run_as_a_formula() {
        let cases = [
            ("refund", "refund"),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
        ];
        for (text, cell) in cases {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
