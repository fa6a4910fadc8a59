//! Is the model in the middle of something?
//!
//! Between a call of a tool and its result, and as long as reasoning that only its own model can read
//! back belongs to the turn, a conversation cannot go on with another model.

use serde_json::Value;

use super::list;
use crate::meter::Api;

/// Would another model find calls without results, sealed reasoning of this turn, or text only the
/// provider has?
pub(super) fn is_open(api: Api, body: &Value) -> bool {
    match api {
        Api::OpenAiChat => chat(list(body, "messages")),
        Api::AnthropicMessages => anthropic(list(body, "messages")),
        Api::OpenAiResponses => {
            let kept = ["previous_response_id", "conversation", "prompt"];
            kept.iter().any(|key| !body[*key].is_null()) || responses(list(body, "input"))
        }
        // The model stands in the address, not in the body.
        _ => true,
    }
}

fn chat(messages: &[Value]) -> bool {
    let mut calls = Waiting::default();
    for message in messages {
        list(message, "tool_calls").iter().for_each(|call| calls.made(&call["id"]));
        calls.answered(&message["tool_call_id"]);
        // The old form, in which a result names its function.
        calls.made(&message["function_call"]["name"]);
        if message["role"] == "function" {
            calls.answered(&message["name"]);
        }
    }
    calls.any()
}

fn anthropic(messages: &[Value]) -> bool {
    let (mut calls, mut sealed) = (Waiting::default(), false);
    for message in messages {
        let blocks = list(message, "content");
        let results = blocks.iter().any(|block| block["type"] == "tool_result");
        if message["role"] == "user" && !results {
            sealed = false;
        }
        for block in blocks {
            match block["type"].as_str() {
                Some("tool_use") => calls.made(&block["id"]),
                Some("tool_result") => calls.answered(&block["tool_use_id"]),
                Some("thinking" | "redacted_thinking") => sealed = true,
                _ => {}
            }
        }
    }
    sealed || calls.any()
}

fn responses(items: &[Value]) -> bool {
    let (mut calls, mut sealed, mut kept) = (Waiting::default(), false, false);
    for item in items {
        match item["type"].as_str() {
            Some("reasoning") => sealed = true,
            Some("compaction" | "item_reference") => kept = true,
            Some(kind) if kind.ends_with("_call_output") => calls.answered(&item["call_id"]),
            Some(kind) if kind.ends_with("_call") => calls.made(&item["call_id"]),
            _ if item["role"] == "user" => sealed = false,
            _ => {}
        }
    }
    sealed || kept || calls.any()
}

/// Calls without a result yet; no more than the body has.
#[derive(Default)]
struct Waiting<'a>(Vec<&'a str>);

impl<'a> Waiting<'a> {
    /// A call the provider ran itself has no id to answer to.
    fn made(&mut self, id: &'a Value) {
        self.0.extend(id.as_str());
    }

    fn answered(&mut self, id: &Value) {
        self.0.retain(|call| Some(*call) != id.as_str());
    }

    fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_chat_is_open_until_every_call_has_its_result() {
        let user = json!({"role": "user", "content": "hi"});
        let calls = json!({"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]});
        let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": ""});
        let open = |messages: Value| is_open(Api::OpenAiChat, &json!({"messages": messages}));
        assert!(!open(json!([user])));
        assert!(open(json!([user, calls])));
        assert!(open(json!([user, calls, result("b")])));
        assert!(!open(json!([user, calls, result("b"), result("a")])));
        let call =
            json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": ""}});
        assert!(open(json!([user, call])));
        assert!(!open(json!([user, call, {"role": "function", "name": "f", "content": ""}])));
    }

    #[test]
    fn thinking_belongs_to_its_turn() {
        let user = json!({"role": "user", "content": "hi"});
        let calls = json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "", "signature": "s"}, {"type": "tool_use", "id": "a"}]});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]});
        let open = |messages: Value| is_open(Api::AnthropicMessages, &json!({"messages": messages}));
        assert!(open(json!([user, calls])));
        assert!(open(json!([user, calls, result])), "its thinking goes back with the result");
        assert!(!open(json!([user, calls, result, {"role": "assistant", "content": "done"}, user])));
    }

    #[test]
    fn what_the_provider_keeps_stays_with_its_model() {
        let open = |body: Value| is_open(Api::OpenAiResponses, &body);
        let call = json!({"type": "function_call", "call_id": "a"});
        let output = json!({"type": "function_call_output", "call_id": "a"});
        let reasoning = json!({"type": "reasoning", "encrypted_content": "x"});
        assert!(!open(json!({"input": "hi"})));
        assert!(open(json!({"input": "hi", "previous_response_id": "r"})));
        assert!(open(json!({"input": [call]})));
        assert!(!open(json!({"input": [call, output]})));
        assert!(open(json!({"input": [reasoning, call, output]})));
        assert!(!open(json!({"input": [reasoning, call, output, {"role": "user", "content": "go on"}]})));
        let told = json!({"role": "user", "content": "go on"});
        assert!(open(json!({"input": [{"type": "compaction", "encrypted_content": "x"}, told]})));
        assert!(open(json!({"input": [{"type": "item_reference", "id": "m"}, told]})));
        assert!(is_open(Api::GeminiGenerate, &json!({})));
    }
}
