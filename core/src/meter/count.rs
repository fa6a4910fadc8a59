//! How many tokens is this to a model?
//!
//! For people who ask; a reservation reads the body it guards itself. The invariant: the answer says
//! how it came about, and `bound` is what a reservation of the same holds before a ledger has learned.

use serde_json::{Map, Value, json};

use super::{
    api::Api,
    json::Object,
    price::PriceBook,
    request::{Method, Request},
    tokens,
};
use crate::{
    error::{Error, ErrorKind, Field, Result},
    value::Millis,
};

/// How many tokens something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The count, in the model's tokens as far as it is known.
    pub tokens: u64,
    /// The most it is taken to be.
    pub bound: u64,
    /// How good the count is.
    pub method: Method,
}

impl PriceBook {
    /// Counts a text on its own, without the frame of a message.
    ///
    /// `Exact` for OpenAI's models, `Reconstructed` for Claude, else `Calibrated`, or `Ceiling` where
    /// some of it could only be bounded by its bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: no name of a model.
    ///
    /// # Example
    ///
    /// ```
    /// use outlay::meter::{Method, PriceBook};
    ///
    /// let prices = PriceBook::bundled();
    /// let counted = prices.count_text("gpt-4o", "hello world", 0)?;
    /// assert_eq!((counted.tokens, counted.bound, counted.method), (2, 2, Method::Exact));
    /// let counted = prices.count_text("claude-opus-5", "hello, world", 0)?;
    /// assert_eq!((counted.tokens, counted.bound, counted.method), (4, 5, Method::Reconstructed));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn count_text(&self, model: &str, text: &str, now: Millis) -> Result<Counted> {
        let body = json!({"model": model, "input": text});
        self.count_request(Api::OpenAiEmbeddings, &body, now)
    }

    /// Counts the messages and tools of a request's JSON, in the form of OpenAI's chat or of
    /// Anthropic's messages.
    ///
    /// The count holds the frames the provider puts round them. Tools may be functions without their
    /// wrapper. For a model called Claude the form is Anthropic's, unless it shows that it is not.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: no such messages; the message names the field.
    /// * `Unbounded`: some of it nobody can count, such as a file the provider keeps.
    ///
    /// # Example
    ///
    /// ```
    /// use outlay::meter::{Method, PriceBook};
    ///
    /// let request = r#"{"messages": [{"role": "user", "content": "hello world"}]}"#;
    /// let counted = PriceBook::bundled().count_messages("gpt-4o", request.as_bytes(), 0)?;
    /// assert_eq!((counted.tokens, counted.method), (9, Method::Exact));
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn count_messages(&self, model: &str, request: &[u8], now: Millis) -> Result<Counted> {
        let mut request: Map<String, Value> = serde_json::from_slice(request)
            .map_err(|error| Error::invalid(format!("the messages are no JSON: {error}")))?;
        request.insert("model".to_owned(), model.into());
        let api = form(model, &request);
        if api == Api::OpenAiChat
            && request.get("tools").is_some_and(|tools| tools[0].get("type").is_none())
            && let Some(tools) = request.remove("tools")
        {
            request.insert("functions".to_owned(), tools);
        }
        self.count_request(api, &Value::Object(request), now)
    }

    fn count_request(&self, api: Api, body: &Value, now: Millis) -> Result<Counted> {
        let price = self.find(None, Request::model(body)?, now).ok();
        let facts = Request::read_with(api, body, price.as_deref(), &mut tokens::count)?.facts;
        if let Some(reason) = facts.unbounded {
            let message = format!("the tokens of this request cannot be bounded: it has {reason}");
            return Err(Error::new(ErrorKind::Unbounded, message).with("reason", Field::Text(reason)));
        }
        let input = facts.input;
        Ok(Counted { tokens: input.counted_tokens, bound: input.tokens, method: input.method })
    }
}

fn form(model: &str, request: &Object) -> Api {
    let is_wrapped = request.get("tools").is_some_and(|tools| tools[0].get("function").is_some());
    let is_chat = |message: &Value| {
        let role = message.get("role").and_then(Value::as_str);
        message.get("tool_calls").is_some() || matches!(role, Some("system" | "developer" | "tool"))
    };
    let messages = request.get("messages").and_then(Value::as_array);
    let is_chat = is_wrapped || messages.is_some_and(|messages| messages.iter().any(is_chat));
    let is_claude = model.to_ascii_lowercase().contains("claude");
    if is_claude && !is_chat { Api::AnthropicMessages } else { Api::OpenAiChat }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(model: &str, request: Value) -> Result<Counted> {
        PriceBook::bundled().count_messages(model, request.to_string().as_bytes(), 0)
    }

    #[test]
    fn functions_may_come_without_their_wrapper() {
        let function = json!({"name": "foo", "parameters": {"type": "object", "properties": {}}});
        let messages = json!([{"role": "user", "content": "hello"}]);
        let bare = json!({"messages": messages, "tools": [function]});
        let wrapped = json!({"messages": messages, "tools": [{"type": "function", "function": function}]});
        // As the API billed it.
        assert_eq!(count("gpt-3.5-turbo", bare).unwrap().bound, 31);
        assert_eq!(count("gpt-3.5-turbo", wrapped).unwrap().bound, 31);
    }

    #[test]
    fn claude_is_asked_in_the_form_that_is_given() {
        let text = json!({"messages": [{"role": "user", "content": "hello, world"}]});
        // What the reference counts for a single message, frame included.
        for (model, tokens) in [("claude-3-5-sonnet", 10), ("claude-opus-4-7", 15), ("claude-opus-4-8", 10)] {
            let counted = count(model, text.clone()).unwrap();
            assert_eq!((counted.tokens, counted.method), (tokens, Method::Reconstructed), "{model}");
            assert!(counted.bound > tokens);
        }
        let chat = json!({"messages": [{"role": "system", "content": "hello, world"}]});
        assert_eq!(count("claude-opus-4-8", chat).unwrap().method, Method::Reconstructed);
    }

    #[test]
    fn what_nobody_can_count_is_said() {
        let file =
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]});
        assert_eq!(count("gpt-4o", file).unwrap_err().kind(), ErrorKind::Unbounded);
        for wrong in [json!([]), json!({"messages": 5}), json!({"messages": [{"content": "x"}]})] {
            assert_eq!(
                count("gpt-4o", wrong.clone()).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{wrong}"
            );
        }
        assert_eq!(PriceBook::bundled().count_text("", "x", 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
