//! How many tokens is this to a model?

use outlay::{
    Clock,
    meter::{Counted, Method, PriceBook},
};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyDict,
};

use crate::{
    error::{invalid, waiting},
    exchange::LARGE_BYTES,
};

/// How many tokens something is to a model.
#[pyclass(frozen, eq, get_all, module = "outlay")]
#[derive(Clone, PartialEq)]
pub(crate) struct Count {
    /// The count, in the model's tokens as far as its tokenizer is known.
    tokens: u64,
    /// The most it is taken to be: what a reservation of the same holds.
    bound: u64,
    /// How it came about: "exact" (the model's own tokenizer and published frames),
    /// "reconstructed" (a published reconstruction of them), "calibrated" (the nearest tokenizer
    /// times what the model's family uses at most, or the length in bytes).
    method: &'static str,
}

#[pymethods]
impl Count {
    fn __repr__(&self) -> String {
        format!("Count(tokens={}, bound={}, method='{}')", self.tokens, self.bound, self.method)
    }
}

/// Counts the tokens of a text, or of messages with tools, as a model reads them.
///
/// A text is counted on its own. Messages are in the form of OpenAI's chat or of Anthropic's
/// messages, and are counted with the frames that the provider puts round them. Nothing is sent.
///
/// Args:
///     model: The model's name, as the client is given it.
///     text: A text.
///     messages: A list of messages; either this or a text.
///     tools: The tools beside the messages; functions may lack their wrapper.
///     tool_choice: Which of them is to be called, as in the request.
///
/// Raises:
///     InvalidInput: Neither or both of text and messages, or no such messages.
///     Unbounded: Some of it nobody can count, such as a file the provider keeps.
///
/// Example:
///     >>> import outlay
///     >>> outlay.count("gpt-4o", text="hello world")
///     Count(tokens=2, bound=2, method='exact')
///     >>> outlay.count("gpt-4o", messages=[{"role": "user", "content": "hello world"}]).tokens
///     9
///     >>> outlay.count("claude-sonnet-5", text="hello, world")
///     Count(tokens=4, bound=5, method='reconstructed')
#[pyfunction]
#[pyo3(signature = (model, *, text=None, messages=None, tools=None, tool_choice=None))]
pub(crate) fn count(
    py: Python<'_>,
    model: &str,
    text: Option<&str>,
    messages: Option<&Bound<'_, PyAny>>,
    tools: Option<&Bound<'_, PyAny>>,
    tool_choice: Option<&Bound<'_, PyAny>>,
) -> PyResult<Count> {
    let (prices, now) = (PriceBook::bundled(), Clock::System.now());
    let counted = match (text, messages) {
        (Some(text), None) if tools.is_none() && tool_choice.is_none() => {
            waiting(py, text.len() > LARGE_BYTES, || prices.count_text(model, text, now))?
        }
        (None, Some(messages)) => {
            let request = PyDict::new(py);
            for (key, value) in [("messages", Some(messages)), ("tools", tools), ("tool_choice", tool_choice)]
            {
                value.map_or(Ok(()), |value| request.set_item(key, value))?;
            }
            let request = json(&request)?;
            waiting(py, true, || prices.count_messages(model, request.as_bytes(), now))?
        }
        _ => {
            return Err(invalid(
                py,
                "give either `text` or `messages`, and tools with messages only".to_owned(),
            ));
        }
    };
    Ok(Count { tokens: counted.tokens, bound: counted.bound, method: method(&counted) })
}

fn method(counted: &Counted) -> &'static str {
    match counted.method {
        Method::Exact => "exact",
        Method::Reconstructed => "reconstructed",
        Method::Calibrated | Method::Ceiling => "calibrated",
    }
}

fn json(value: &Bound<'_, PyDict>) -> PyResult<String> {
    let py = value.py();
    let text = py.import("json")?.getattr("dumps")?.call1((value,));
    let is_wrong =
        |error: &PyErr| error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyValueError>(py);
    match text {
        Err(error) if is_wrong(&error) => Err(invalid(py, format!("no JSON can be made of this: {error}"))),
        text => text?.extract(),
    }
}
