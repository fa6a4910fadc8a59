//! What happened? One step of a run, as it is told to the breaker.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    meter::newest,
};

/// What a step was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A tool was called and answered.
    Tool,
    /// A model answered.
    Llm,
    /// The user said something.
    User,
    /// The model thought aloud; it changes nothing.
    Thought,
    /// The conversation was made shorter.
    Compaction,
}

/// One step of a run.
///
/// ```
/// use outlay::policy::Step;
/// use serde_json::json;
///
/// let told = json!({"kind": "tool", "name": "bash", "args": {"command": "ls"}, "result": "a.txt"});
/// let step = Step::from_json(&told)?;
/// assert_eq!((step.name, step.error), ("bash", None));
/// # Ok::<(), outlay::Error>(())
/// ```
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[non_exhaustive]
pub struct Step<'a> {
    /// What it was.
    pub kind: StepKind,
    /// The tool, or who spoke; may be empty.
    pub name: &'a str,
    /// What the tool was called with.
    pub args: Option<&'a Value>,
    /// What the tool gave, or what was said.
    pub result: Cow<'a, str>,
    /// Did it fail? None: nobody said so or otherwise, and its text is read for signs of it.
    pub error: Option<bool>,
    /// Was the model's answer not to be understood?
    pub malformed: bool,
    /// Was a tool asked for that does not exist?
    pub unknown_tool: bool,
    /// Did it change the world? A declaration for the tool counts as well.
    pub mutates: bool,
    /// Was the call not made, because the breaker refused it?
    pub refused: bool,
    /// Steps of one parallel batch carry the same; zero: none.
    pub batch: u64,
    /// Steps of one conversation carry the same, and streaks are counted in each; zero: not known.
    pub conversation: u64,
    /// When it ended, in milliseconds since whenever the caller counts from.
    pub at_ms: Option<i64>,
    /// Stands for the arguments: two calls with the same are the same.
    pub loop_key: Option<&'a str>,
    /// Stands for the result: progress was made if it changed.
    pub progress: Option<&'a str>,
}

impl<'a> Step<'a> {
    /// A step of which only the kind and the name are known.
    pub fn new(kind: StepKind, name: &'a str) -> Self {
        Self {
            kind,
            name,
            args: None,
            result: Cow::Borrowed(""),
            error: None,
            malformed: false,
            unknown_tool: false,
            mutates: false,
            refused: false,
            batch: 0,
            conversation: 0,
            at_ms: None,
            loop_key: None,
            progress: None,
        }
    }

    /// Reads a step: an object with `kind` ("tool", "llm", "user", "thought", "compaction") and, all
    /// of them optional, `name`, `args`, `result`, `error`, `malformed`, `unknown_tool`, `mutates`,
    /// `refused`, `batch`, `conversation`, `parts` (what was given beside the text, of which a digest is
    /// taken), `at_ms`, `loop_key`, `progress`. Other members are left alone.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: it is no object, its kind is unknown, or a member has the wrong type.
    pub fn from_json(value: &'a Value) -> Result<Self> {
        let members = value.as_object().ok_or_else(|| Error::invalid("the step is not an object"))?;
        let kind = match text(members, "kind")? {
            Some("tool") => StepKind::Tool,
            Some("llm") => StepKind::Llm,
            Some("user") => StepKind::User,
            Some("thought") => StepKind::Thought,
            Some("compaction") => StepKind::Compaction,
            Some(other) => {
                let shown: String = other.chars().take(40).collect();
                return Err(Error::invalid(format!("there is no kind of step `{shown}`")));
            }
            None => return Err(Error::invalid("the step has no `kind`")),
        };
        let result = match member(members, "result") {
            None => Cow::Borrowed(""),
            Some(Value::String(said)) => Cow::Borrowed(said.as_str()),
            Some(other) => Cow::Owned(other.to_string()),
        };
        let result = match member(members, "parts").map(|parts| parts.as_array()) {
            None => result,
            Some(Some(parts)) if parts.is_empty() => result,
            Some(Some(parts)) => newest::with_digest(result, parts),
            Some(None) => return Err(Error::invalid("`parts` of the step is not a list")),
        };
        Ok(Self {
            args: member(members, "args"),
            result,
            error: member(members, "error").map(|_| flag(members, "error")).transpose()?,
            malformed: flag(members, "malformed")?,
            unknown_tool: flag(members, "unknown_tool")?,
            mutates: flag(members, "mutates")?,
            refused: flag(members, "refused")?,
            batch: named(members, "batch")?,
            conversation: named(members, "conversation")?,
            at_ms: moment(members)?,
            loop_key: text(members, "loop_key")?,
            progress: text(members, "progress")?,
            ..Self::new(kind, text(members, "name")?.unwrap_or_default())
        })
    }
}

/// A member that is there and not null.
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = member(members, name) else { return Ok(None) };
    value.as_str().map(Some).ok_or_else(|| Error::invalid(format!("`{name}` of the step is not a text")))
}

fn flag(members: &Map<String, Value>, name: &str) -> Result<bool> {
    let Some(value) = member(members, name) else { return Ok(false) };
    value.as_bool().ok_or_else(|| Error::invalid(format!("`{name}` of the step is not true or false")))
}

fn named(members: &Map<String, Value>, name: &str) -> Result<u64> {
    match member(members, name) {
        None => Ok(0),
        Some(Value::String(text)) => Ok(super::hash::of(12, text.as_bytes())),
        Some(Value::Number(number)) => Ok(super::hash::of(12, number.to_string().as_bytes())),
        Some(_) => Err(Error::invalid(format!("`{name}` of the step is neither a text nor a number"))),
    }
}

fn moment(members: &Map<String, Value>) -> Result<Option<i64>> {
    let Some(value) = member(members, "at_ms") else { return Ok(None) };
    let moment = value.as_i64().ok_or_else(|| Error::invalid("`at_ms` of the step is not a whole number"));
    moment.map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_that_is_none_is_refused() {
        for (value, said) in [
            (json!(3), "the step is not an object"),
            (json!({}), "the step has no `kind`"),
            (json!({ "kind": "dance" }), "there is no kind of step `dance`"),
            (json!({ "kind": "tool", "name": 3 }), "`name` of the step is not a text"),
            (json!({ "kind": "tool", "error": "yes" }), "`error` of the step is not true or false"),
            (json!({ "kind": "tool", "at_ms": 1.5 }), "`at_ms` of the step is not a whole number"),
            (json!({ "kind": "tool", "batch": [] }), "`batch` of the step is neither a text nor a number"),
            (json!({ "kind": "tool", "parts": "x" }), "`parts` of the step is not a list"),
        ] {
            assert_eq!(Step::from_json(&value).expect_err("it is none").to_string(), said);
        }
    }

    #[test]
    fn what_is_missing_or_null_is_empty() {
        let told = json!({ "kind": "llm", "name": null, "result": null, "error": null, "tokens_in": 3 });
        let step = Step::from_json(&told).expect("a step");
        assert_eq!((step.name, &*step.result, step.error, step.batch), ("", "", None, 0));
        let told = json!({ "kind": "tool", "result": { "a": [1] } });
        assert_eq!(Step::from_json(&told).expect("a step").result, r#"{"a":[1]}"#);
    }
}
