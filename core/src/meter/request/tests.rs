use serde_json::{Value, json};

use super::*;
use crate::{ErrorKind, meter::PriceBook};

mod gemini;
mod templates;

const NOW: i64 = 1_795_305_600_000;

fn facts(api: Api, body: &Value) -> Facts {
    let price = PriceBook::bundled().find(None, Request::model(body).unwrap(), NOW).ok();
    Request::read(api, body, price.as_deref()).unwrap().facts
}

fn chat(fields: Value) -> Facts {
    let mut body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]});
    merge(&mut body, fields);
    facts(Api::OpenAiChat, &body)
}

fn responses(fields: Value) -> Facts {
    let mut body = json!({"model": "gpt-5.6", "input": "hello world"});
    merge(&mut body, fields);
    facts(Api::OpenAiResponses, &body)
}

fn messages(fields: Value) -> Facts {
    let mut body = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 1_000,
        "messages": [{"role": "user", "content": "hello world"}],
    });
    merge(&mut body, fields);
    facts(Api::AnthropicMessages, &body)
}

fn merge(body: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { unreachable!() };
    body.as_object_mut().unwrap().extend(fields);
}

/// Calls whose billed input is known, from public test suites; not part of the repository.
fn recorded() -> Vec<Value> {
    let Some(file) = crate::meter::samples::open("chat_token_counts.dev.json") else { return Vec::new() };
    serde_json::from_reader(file).unwrap()
}

#[test]
fn no_recorded_call_was_billed_more_than_its_bound() {
    for case in recorded() {
        let model = case["model"].as_str().unwrap().split(' ').next().unwrap();
        let mut body = case.clone();
        body["model"] = model.into();
        let facts = facts(Api::OpenAiChat, &body);
        let billed = case["prompt_tokens"].as_u64().unwrap();
        let plain = !["functions", "tools", "tool_calls", "function_call"]
            .iter()
            .any(|word| case.to_string().contains(&format!("\"{word}\"")));
        let ours = facts.input;
        eprintln!("{model} {} billed {billed} bound {} {:?}", case["index"], ours.tokens, ours.method);
        assert!(ours.tokens >= billed && ours.tokens * 100 <= billed * 103, "{case}: {ours:?}");
        assert!(facts.strict_input_tokens >= ours.tokens, "{case}");
        if plain {
            assert_eq!((ours.tokens, ours.method), (billed, Method::Exact), "{case}");
        }
    }
}

#[test]
fn plain_messages_are_counted_exactly() {
    let exact = |model: &str, messages: Value, tokens| {
        let input = facts(Api::OpenAiChat, &json!({"model": model, "messages": messages})).input;
        let method = Method::Exact;
        assert_eq!(input, InputBound { tokens, counted_tokens: tokens, fixed_tokens: 0, method });
    };
    // Three round the message, one for the role, two for the text, three for the reply.
    exact("gpt-4o", json!([{"role": "user", "content": "hello world"}]), 9);
    exact("gpt-4-0613", json!([{"role": "user", "content": "hello world"}]), 9);
    exact("gpt-4o", json!([{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]), 9);
    exact("gpt-4o", json!([{"role": "user", "name": "user", "content": "hello world"}]), 11);
    exact("gpt-4o", json!([]), 3);
}

#[test]
fn the_bound_is_enlarged_where_the_tokenizer_is_not_the_models() {
    let gemini = chat(json!({"model": "gemini-2.5-pro"})).input;
    assert_eq!(gemini.method, Method::Calibrated);
    assert_eq!(gemini.tokens, (gemini.counted_tokens * 1_400).div_ceil(1_000));
    let sonnet = messages(json!({})).input;
    assert_eq!(sonnet.method, Method::Reconstructed);
    // Two tokens of text and a frame of seven; a margin for the message.
    assert_eq!((sonnet.counted_tokens, sonnet.tokens), (9, 10 + 8));
    let newest = messages(json!({"model": "claude-opus-5", "system": "NASA likes tokenizers"})).input;
    let older = messages(json!({"system": "NASA likes tokenizers"})).input;
    assert!(newest.counted_tokens > older.counted_tokens, "another vocabulary");
    let unpriced = facts(Api::AnthropicMessages, &json!({"model": "claude-nova-9", "messages": []}));
    assert_eq!(unpriced.input.method, Method::Reconstructed);
    let unknown = chat(json!({"model": "unheard-of"})).input;
    assert_eq!((unknown.method, unknown.tokens), (Method::Calibrated, (10_u64 * 1_700).div_ceil(1_000)));
    let long = "ab".repeat(1 << 20);
    let text = chat(json!({"messages": [{"role": "user", "content": long}]})).input;
    assert_eq!((text.method, text.tokens), (Method::Ceiling, (2 << 20) + 7));
}

#[test]
fn the_maximum_goes_where_the_caller_or_the_model_wants_it() {
    let key = |facts: Facts| facts.patch(Some(9))[0].0;
    assert_eq!(key(chat(json!({}))), "max_tokens");
    assert_eq!(key(chat(json!({"max_completion_tokens": 5}))), "max_completion_tokens");
    assert_eq!(key(chat(json!({"model": "o3"}))), "max_completion_tokens");
    assert_eq!(key(chat(json!({"model": "o3", "max_tokens": 5}))), "max_tokens");
    assert_eq!(key(responses(json!({}))), "max_output_tokens");
    assert_eq!(key(messages(json!({}))), "max_tokens");
    assert_eq!(chat(json!({"max_tokens": 7, "max_completion_tokens": 5})).max_output_tokens, Some(5));
    assert_eq!(chat(json!({"max_tokens": null})).max_output_tokens, None);
}

#[test]
fn a_stream_is_asked_for_its_usage() {
    let stream = chat(json!({"stream": true, "stream_options": {"include_obfuscation": false}}));
    let options = json!({"include_obfuscation": false, "include_usage": true});
    assert_eq!(stream.patch(None), [("stream_options", options)]);
    assert!(!stream.include_usage);
    let own = chat(json!({"stream": true, "stream_options": {"include_usage": true}}));
    assert!(own.include_usage && own.patch(None).is_empty());
    assert!(responses(json!({"stream": true})).patch(None).is_empty());
}

#[test]
fn a_strict_bound_is_a_token_for_every_byte_and_never_less_than_the_count() {
    let gpt = chat(json!({}));
    // The role and the text in bytes, and the six tokens of the frame.
    assert_eq!(gpt.strict_input_tokens, 4 + 11 + 6);
    let words = json!([{"role": "user", "content": "QQ1É1".repeat(100)}]);
    for facts in [messages(json!({"messages": words})), chat(json!({"messages": words, "model": "x"}))] {
        assert!(facts.strict_input_tokens >= facts.input.tokens.max(600), "{facts:?}");
    }
}

#[test]
fn what_is_sent_along_is_bounded() {
    let content = |content: Value| json!({"messages": [{"role": "user", "content": [content]}]});
    let pdf = content(json!({"type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}));
    let file =
        content(json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}));
    let input =
        json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "JVBERi0="}]}]});
    for (facts, window) in [(messages(pdf), 200_000), (chat(file), 128_000), (responses(input), 1_050_000)] {
        assert_eq!((facts.unbounded, facts.input.method), (None, Method::Ceiling));
        assert_eq!(facts.input.tokens, window);
    }
    let sound = content(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}));
    let sound = chat(sound);
    assert!(sound.unbounded.is_none() && sound.input_media.audio && sound.input.tokens >= 10);
    let mut tiny =
        content(json!({"type": "image", "source": {"type": "base64", "data": "R0lGODlhIAAgAA=="}}));
    tiny["model"] = "claude-sonnet-4-5".into();
    assert!(messages(tiny).input.tokens < 40, "an image of 32 by 32 pixels");
}

#[test]
fn what_the_provider_keeps_is_unbounded() {
    let file = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]);
    let input_file = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]);
    let pdf = json!([{"role": "user", "content": [
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}]}]);
    for (facts, what) in [
        (chat(json!({"messages": file})), "file"),
        (chat(json!({"web_search_options": {}})), "search"),
        (chat(json!({"prediction": {"type": "content", "content": "x"}})), "prediction"),
        (responses(json!({"previous_response_id": "resp_1"})), "earlier response"),
        (responses(json!({"conversation": "conv_1"})), "conversation"),
        (responses(json!({"prompt": {"id": "p"}})), "template"),
        (responses(json!({"input": input_file})), "file"),
        (responses(json!({"input": [{"type": "item_reference", "id": "x"}]})), "item"),
        (responses(json!({"tools": [{"type": "web_search"}]})), "max_tool_calls"),
        (responses(json!({"tools": [{"type": "file_search"}], "max_tool_calls": 2})), "file_search"),
        (
            responses(json!({"tools": [{"type": "code_interpreter"}], "max_tool_calls": 2})),
            "code_interpreter",
        ),
        (messages(json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})), "max_uses"),
        (messages(json!({"tools": [{"type": "code_execution_20260120", "name": "x"}]})), "code_execution"),
        (messages(json!({"mcp_servers": [{}]})), "remote"),
        (messages(json!({"messages": pdf})), "document"),
    ] {
        assert!(facts.unbounded.as_deref().unwrap().contains(what), "{:?}", facts.unbounded);
    }
    for facts in [
        chat(json!({"tools": [{"type": "function", "function": {"name": "f"}}]})),
        responses(json!({"tools": [{"type": "function", "name": "f"}, {"type": "local_shell"}]})),
        messages(
            json!({"tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}),
        ),
    ] {
        assert_eq!(facts.unbounded, None);
    }
}

#[test]
fn capped_searches_are_bounded_by_the_window() {
    let tools = json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]);
    let facts = messages(json!({"tools": tools}));
    assert_eq!((facts.web_searches_max, &facts.unbounded), (Some(3), &None));
    assert_eq!(facts.input.method, Method::Ceiling);
    assert!(facts.input.tokens > 600_000, "{:?}", facts.input);
    assert_eq!(facts.exposure().web_searches, 3);
    let facts = responses(json!({"tools": [{"type": "web_search"}], "max_tool_calls": 2}));
    assert_eq!((facts.web_searches_max, facts.unbounded), (Some(2), None));
}

#[test]
fn images_are_bounded_by_the_largest_of_their_model() {
    let image = |detail| {
        json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": detail}}]}]})
    };
    let (high, low) = (chat(image("high")), chat(image("low")));
    assert_eq!(high.input.tokens - low.input.tokens, 1_360);
    assert!(high.input_media.image && high.unbounded.is_none());
    let mut mini = image("auto");
    merge(&mut mini, json!({"model": "gpt-4o-mini"}));
    assert!(chat(mini.clone()).input.tokens > 48_169);
    merge(&mut mini, json!({"model": "gpt-3.5-turbo"}));
    assert!(chat(mini).unbounded.unwrap().contains("image"));
}

#[test]
fn a_price_of_its_own_is_remarked() {
    for facts in [
        chat(json!({"service_tier": "scale"})),
        chat(json!({"model": "gpt-3.5-turbo", "service_tier": "priority"})),
        chat(json!({"model": "gpt-4o-search-preview"})),
        responses(json!({"service_tier": "ultrafast"})),
        responses(json!({"access_programs": {"cyber": "daybreak_red"}})),
        responses(json!({"prompt_cache_options": {"ttl": "12h"}})),
        messages(json!({"speed": "fast"})),
        messages(json!({"model": "claude-opus-5", "speed": "fast", "service_tier": "batch"})),
        messages(json!({"inference_geo": "us"})),
    ] {
        assert!(facts.unpriced.is_some(), "{facts:?}");
    }
    for facts in [
        chat(json!({"service_tier": "auto"})),
        chat(json!({"service_tier": "flex"})),
        chat(json!({"service_tier": "priority"})),
        messages(json!({"model": "claude-opus-5", "speed": "fast"})),
        responses(json!({"prompt_cache_options": {"ttl": "30m"}})),
        messages(json!({"service_tier": "standard_only", "speed": "standard"})),
        messages(json!({"model": "claude-opus-5", "inference_geo": "us"})),
    ] {
        assert_eq!(facts.unpriced, None);
    }
    assert!(responses(json!({"background": true})).unsupported.is_some());
}

#[test]
fn cache_writes_are_found_wherever_they_are_asked_for() {
    let control = |ttl: Value| json!({"type": "ephemeral", "ttl": ttl});
    assert_eq!(messages(json!({})).cache_write, CacheWrite::None);
    assert_eq!(messages(json!({"cache_control": {"type": "ephemeral"}})).cache_write, CacheWrite::Default);
    let system = json!([{"type": "text", "text": "x", "cache_control": control("5m".into())}]);
    assert_eq!(messages(json!({"system": system})).cache_write, CacheWrite::Default);
    let nested = json!([{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
        {"type": "text", "text": "x", "cache_control": control("1h".into())}]}]}]);
    assert_eq!(messages(json!({"system": system, "messages": nested})).cache_write, CacheWrite::OneHour);
}

#[test]
fn hidden_output_is_known() {
    assert!(!chat(json!({})).has_hidden_output);
    assert!(chat(json!({"model": "o3"})).has_hidden_output);
    assert!(chat(json!({"modalities": ["text", "audio"]})).has_hidden_output);
    assert!(responses(json!({})).has_hidden_output);
    assert!(!responses(json!({"reasoning": {"effort": "none"}})).has_hidden_output);
    assert!(!messages(json!({})).has_hidden_output);
    assert!(messages(json!({"model": "claude-sonnet-5"})).has_hidden_output);
    let thinking = messages(json!({"thinking": {"type": "enabled", "budget_tokens": 2_048}}));
    assert!(thinking.has_hidden_output);
    assert_eq!(thinking.thinking_budget, Some(2_048));
}

#[test]
fn tools_are_named_and_counted() {
    let facts = chat(json!({"n": 3, "tools": [
        {"type": "function", "function": {
            "name": "search", "parameters": {"type": "object", "properties": {}}}},
        {"type": "custom", "custom": {"name": "run"}},
    ]}));
    assert_eq!(facts.tools, ["search", "run"]);
    assert!(facts.tool_definition_tokens > 20);
    assert_eq!((facts.choices, facts.message_count), (3, 1));
    let without = chat(json!({"n": 3}));
    assert_eq!(facts.input.counted_tokens - without.input.counted_tokens, facts.tool_definition_tokens);
}

#[test]
fn embeddings_and_images_are_bounded() {
    let embed = |input: Value| {
        facts(Api::OpenAiEmbeddings, &json!({"model": "text-embedding-3-small", "input": input}))
    };
    assert_eq!(embed("hello world".into()).input.tokens, 2);
    assert_eq!(
        embed(json!(["hello world", "hello"])).input,
        InputBound { tokens: 3, counted_tokens: 3, fixed_tokens: 0, method: Method::Exact }
    );
    assert_eq!(embed(json!([1, 2, 3])).input.tokens, 3);
    assert_eq!(embed(json!([[1, 2], [3]])).input.tokens, 3);
    assert_eq!(embed("x".into()).max_output_tokens, Some(0));
    let draw = |fields: Value| {
        let mut body = json!({"model": "gpt-image-1", "prompt": "a cat"});
        merge(&mut body, fields);
        facts(Api::OpenAiImages, &body)
    };
    let low = draw(json!({"n": 2, "quality": "low", "size": "1024x1024"}));
    assert_eq!((low.max_output_tokens, low.choices, low.output_media.image), (Some(272), 2, true));
    assert_eq!(draw(json!({})).max_output_tokens, Some(6_240));
    assert!(draw(json!({"model": "gpt-image-2"})).unbounded.is_some());
    assert!(draw(json!({"image": "x"})).unbounded.is_some());
}

#[test]
fn messages_come_in_the_order_of_the_cache() {
    let body = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 5, "system": "be kind",
        "tools": [{"name": "f", "input_schema": {}}],
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
        ],
    });
    let request = Request::read(Api::AnthropicMessages, &body, None).unwrap();
    let roles: Vec<_> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, ["tools", "system", "user", "assistant"]);
    let texts: Vec<_> = request.messages[3].pieces.iter().map(Piece::content).collect();
    assert_eq!(texts, ["f", r#"{"a":1}"#]);
    assert!(request.messages.iter().all(|message| message.counted_tokens > 0));
    assert_eq!(request.facts.message_count, 3);
}

#[test]
fn a_memory_of_counts_can_be_used() {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]});
    let mut asked = Vec::new();
    let mut remembered = |_, text: &str| {
        asked.push(text.to_owned());
        Count { tokens: 100, exact: true }
    };
    let request = Request::read_with(Api::OpenAiChat, &body, None, &mut remembered).unwrap();
    assert_eq!(request.facts.input.counted_tokens, 207);
    assert_eq!(asked, ["user", "hello world"]);
}

#[test]
fn what_is_no_request_is_refused() {
    for (api, body, named) in [
        (Api::OpenAiChat, json!([]), "the request"),
        (Api::OpenAiChat, json!({"messages": []}), "model"),
        (Api::OpenAiChat, json!({"model": 3, "messages": []}), "model"),
        (Api::OpenAiChat, json!({"model": "m", "messages": "x"}), "messages"),
        (Api::OpenAiChat, json!({"model": "m", "messages": [{"content": "x"}]}), "role"),
        (Api::OpenAiChat, json!({"model": "m", "messages": [{"role": "user", "content": 3}]}), "content"),
        (Api::OpenAiChat, json!({"model": "m", "max_tokens": -1}), "max_tokens"),
        (Api::OpenAiChat, json!({"model": "m", "max_tokens": 1.5}), "max_tokens"),
        (Api::OpenAiChat, json!({"model": "m", "n": "2"}), "n"),
        (Api::OpenAiChat, json!({"model": "m", "stream": "yes"}), "stream"),
        (Api::OpenAiResponses, json!({"model": "m", "input": 3}), "input"),
        (Api::OpenAiEmbeddings, json!({"model": "m"}), "input"),
        (Api::OpenAiEmbeddings, json!({"model": "m", "input": [{}]}), "input"),
        (Api::AnthropicMessages, json!({"model": "m", "messages": [3]}), "a message"),
    ] {
        let error = Request::read(api, &body, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(named), "{error}");
    }
}
