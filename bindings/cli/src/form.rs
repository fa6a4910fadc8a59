//! In which form does a report go out: JSON, CSV or text?

use serde_json::Value;

use crate::{
    csv,
    json::{Object, printed},
};

/// What was asked for by `--json` and `--csv`, or the text without both.
pub(crate) fn shown(
    (json, csv): (bool, bool),
    whole: impl FnOnce() -> Value,
    columns: &[&str],
    rows: impl FnOnce() -> Vec<Object>,
    text: impl FnOnce() -> String,
) -> String {
    match (json, csv) {
        (true, _) => printed(&whole()),
        (false, true) => csv::sheet(&rows(), columns),
        (false, false) => text() + "\n",
    }
}
