//! Does every conversation stay valid for its API when a cheaper model takes it?
//!
//! Written conversations, each with the model it must go out with: that asked for, where the cheaper
//! one would refuse the request, or the cheaper one, where it takes it just as well.

use outlay::{Ledger, Limit, TaskOptions, meter::Api, run::exchange::Terms};
use serde_json::{Value, json};

/// The model a request goes out with under a soft limit it passes; nothing else of it may change.
fn sent(api: Api, body: &Value, fallback: &str) -> String {
    let limit = Limit::usd("0.000001").unwrap().soft();
    let options = TaskOptions::new("t").limit(limit).fallback([fallback]).unwrap();
    let task = Ledger::in_memory().open_task(options).unwrap();
    let exchange = task.exchange(api, body.to_string().as_bytes(), &Terms::default()).unwrap();
    let fields: Vec<_> = exchange.patch().iter().map(|(key, _)| *key).filter(|key| *key != "model").collect();
    assert_eq!(fields, [""; 0], "{body}");
    exchange.call().model().to_owned()
}

/// Each body, on top of `base`, goes to `fallback` or stays, as it says.
fn check(api: Api, base: &Value, fallback: &str, bodies: &[(&str, bool, Value)]) {
    for (what, goes, more) in bodies {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let expected = if *goes { fallback } else { body["model"].as_str().unwrap() };
        assert_eq!(sent(api, &body, fallback), expected, "{what}");
    }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn chat_tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})
}

fn chat_calls(ids: &[&str]) -> Value {
    let call = |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls: Vec<_> = ids.iter().map(call).collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn chat_result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "done"})
}

#[test]
fn chat_completions() {
    let base = json!({"model": "gpt-4o", "max_tokens": 900, "messages": [user("hi")]});
    let system = json!({"role": "system", "content": "be brief"});
    let schema = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let image = part(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}));
    let sound = part(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}));
    let spoken = json!({"role": "assistant", "audio": {"id": "audio_1"}});
    let thought = json!({"role": "assistant", "content": "a", "reasoning_details": [{"data": "x"}]});
    let tools = json!([chat_tool()]);
    let common = [
        ("text", true, json!({})),
        ("system text in the middle", true, json!({"messages": [user("a"), system, user("b")]})),
        ("tools", true, json!({"tools": tools, "tool_choice": "auto"})),
        ("a forced tool", true, json!({"tools": tools, "tool_choice": "required"})),
        ("sampling", true, json!({"temperature": 0, "stop": ["x"], "logprobs": true})),
        (
            "parallel calls half answered",
            false,
            json!({"messages": [user("a"), chat_calls(&["1", "2"]), chat_result("2")]}),
        ),
        (
            "parallel calls answered",
            true,
            json!({"messages": [user("a"), chat_calls(&["1", "2"]), chat_result("2"), chat_result("1")]}),
        ),
        ("a spoken answer", false, json!({"messages": [user("a"), spoken, user("b")]})),
        ("another's reasoning", false, json!({"messages": [user("a"), thought, user("b")]})),
        ("sound", false, sound),
        ("a prediction", false, json!({"prediction": {"type": "content", "content": "a"}})),
        ("an unknown field", false, json!({"enable_thinking": true})),
        ("a custom tool", false, json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]})),
    ];
    check(Api::OpenAiChat, &base, "gpt-4o-mini", &common);
    check(Api::OpenAiChat, &base, "gpt-3.5-turbo", &common);
    let strict = json!([{"type": "function", "function": {"name": "f", "strict": true, "parameters": {}}}]);
    for (fallback, can) in [("gpt-4o-mini", true), ("gpt-3.5-turbo", false)] {
        let more = [
            ("an image", can, image.clone()),
            ("a schema", can, json!({"response_format": schema})),
            ("a strict tool", can, json!({"tools": strict})),
        ];
        check(Api::OpenAiChat, &base, fallback, &more);
    }
    // Models of other APIs, and one that wants sound.
    for other in ["text-embedding-3-small", "gpt-4o-mini-audio-preview", "gpt-3.5-turbo-instruct"] {
        check(Api::OpenAiChat, &base, other, &[("text", false, json!({}))]);
    }
}

#[test]
fn models_that_reason() {
    let base = json!({"model": "gpt-5.1", "max_completion_tokens": 900, "messages": [user("hi")]});
    let bodies = [
        ("text", true, json!({})),
        ("the default temperature", true, json!({"temperature": 1})),
        ("a temperature", false, json!({"temperature": 0, "reasoning_effort": "none"})),
        ("an effort both know", true, json!({"reasoning_effort": "low"})),
        ("no effort", false, json!({"reasoning_effort": "none"})),
        ("verbosity", false, json!({"verbosity": "low"})),
    ];
    check(Api::OpenAiChat, &base, "gpt-5-mini", &bodies);
    check(Api::OpenAiChat, &base, "gpt-5-codex", &[("a model of responses only", false, json!({}))]);
    let minimal = [
        ("an effort of one", false, json!({"model": "gpt-5", "reasoning_effort": "minimal"})),
        ("parallel calls", false, json!({"tools": [chat_tool()], "parallel_tool_calls": false})),
        ("tools", true, json!({"tools": [chat_tool()]})),
    ];
    let dear = json!({"model": "gpt-5", "max_completion_tokens": 900, "messages": [user("hi")]});
    check(Api::OpenAiChat, &dear, "o4-mini", &minimal);
}

#[test]
fn responses() {
    let base = json!({"model": "gpt-5.1", "max_output_tokens": 900, "input": [user("hi")]});
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "done"});
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"});
    let searched = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let asks = json!({"type": "mcp_approval_request", "id": "a", "name": "f", "arguments": "{}"});
    let input = |items: Value| json!({"input": items});
    let text = |text: Value| json!({"text": text});
    let schema = json!({"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}});
    let bodies = [
        ("text", true, json!({"instructions": "be brief", "input": "hi"})),
        ("half answered", false, input(json!([user("a"), call("1"), call("2"), output("1")]))),
        ("answered", true, input(json!([user("a"), call("1"), call("2"), output("1"), output("2")]))),
        ("reasoning of the turn", false, input(json!([user("a"), reasoning, call("1"), output("1")]))),
        (
            "reasoning of an earlier turn",
            true,
            input(json!([user("a"), reasoning, call("1"), output("1"), user("b")])),
        ),
        ("a search of the provider", false, input(json!([user("a"), searched, user("b")]))),
        ("an approval that is asked for", false, input(json!([user("a"), asks]))),
        ("a tool of the provider", false, json!({"tools": [{"type": "code_interpreter"}]})),
        ("a schema", true, text(schema)),
        ("verbosity", false, text(json!({"verbosity": "low"}))),
        ("an effort", true, json!({"reasoning": {"effort": "medium", "summary": "auto"}})),
        ("no effort", false, json!({"reasoning": {"effort": "none"}})),
        ("what the provider keeps", false, json!({"previous_response_id": "r"})),
        ("a tool", true, json!({"tools": [{"type": "function", "name": "f", "parameters": {}}]})),
    ];
    check(Api::OpenAiResponses, &base, "gpt-5-mini", &bodies);
}

#[test]
fn messages() {
    let base = json!({"model": "claude-opus-4-5", "max_tokens": 9_000, "messages": [user("hi")]});
    let says = |role: &str, blocks: Value| json!({"role": role, "content": blocks});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "done"});
    let text = |text: &str| json!({"type": "text", "text": text});
    let marked = json!({"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}});
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let said = |messages: Value| json!({"messages": messages});
    let turn = |first: Value| {
        let answers = says("user", json!([result("1"), text("and now?")]));
        json!([user("a"), says("assistant", json!([first, call("1")])), answers])
    };
    let mut later = turn(thinking.clone());
    let more = [says("assistant", json!([text("b")])), user("c")];
    later.as_array_mut().unwrap().extend(more);
    let half = json!([
        user("a"),
        says("assistant", json!([call("1"), call("2")])),
        says("user", json!([result("2"), text("b")]))
    ]);
    let bodies = [
        ("text", true, json!({"system": [marked], "temperature": 0.2})),
        ("a marked prefix", true, said(json!([says("user", json!([marked, text("a")]))]))),
        ("parallel calls half answered, text beside", false, said(half)),
        ("a result with text beside it", true, said(turn(text("b")))),
        ("thinking of the turn", false, said(turn(thinking))),
        ("thinking of an earlier turn", true, said(later)),
        ("an image", true, said(json!([says("user", json!([image]))]))),
        ("an image in a result", true, {
            let result = json!({"type": "tool_result", "tool_use_id": "1", "content": [image]});
            said(json!([user("a"), says("assistant", json!([call("1")])), says("user", json!([result]))]))
        }),
        ("a budget of thinking", true, json!({"thinking": {"type": "enabled", "budget_tokens": 2_000}})),
        ("an effort", false, json!({"output_config": {"effort": "low"}})),
        ("temperature beside top_p", false, json!({"temperature": 0.2, "top_p": 0.9})),
        ("a tool of the provider", false, json!({"tools": [{"type": "memory_20250818", "name": "memory"}]})),
        (
            "a tool",
            true,
            json!({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}}),
        ),
        ("context management", false, json!({"context_management": {"edits": []}})),
        (
            "an unknown block",
            false,
            said(json!([says("user", json!([{"type": "compaction", "content": "x"}]))])),
        ),
    ];
    check(Api::AnthropicMessages, &base, "claude-haiku-4-5", &bodies);
    check(
        Api::AnthropicMessages,
        &base,
        "claude-haiku-5-5",
        &[
            ("a budget of thinking", false, json!({"thinking": {"type": "enabled", "budget_tokens": 2_000}})),
            ("a temperature", false, json!({"temperature": 0.2})),
            (
                "an answer that was begun",
                false,
                said(json!([user("a"), says("assistant", json!([text("b")]))])),
            ),
            ("text", true, json!({})),
        ],
    );
    let middle = said(json!([user("a"), {"role": "system", "content": "b"}, user("c")]));
    check(Api::AnthropicMessages, &base, "claude-haiku-4-5", &[("system text in the middle", false, middle)]);
    let long = json!({"max_tokens": 9_000});
    check(Api::AnthropicMessages, &base, "claude-3-5-haiku-latest", &[("a longer answer", false, long)]);
}

#[test]
fn gemini_keeps_its_model() {
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let limits = json!({"maxOutputTokens": 900});
    let body = json!({"model": "gemini-2.5-pro", "contents": contents, "generationConfig": limits});
    assert_eq!(sent(Api::GeminiGenerate, &body, "gemini-2.5-flash-lite"), "gemini-2.5-pro");
}
