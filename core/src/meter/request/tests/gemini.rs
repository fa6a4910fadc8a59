use serde_json::{Value, json};

use super::*;

fn gemini(fields: Value) -> Facts {
    let mut body = json!({
        "model": "gemini-2.5-flash", "stream": false,
        "contents": [{"role": "user", "parts": [{"text": "hello world"}]}],
    });
    merge(&mut body, fields);
    facts(Api::GeminiGenerate, &body)
}

#[test]
fn gemini_says_its_limits_in_its_configuration() {
    let facts = gemini(json!({
        "stream": true,
        "generationConfig":
            {"maxOutputTokens": 500, "candidateCount": 3, "responseModalities": ["TEXT", "IMAGE"]},
    }));
    assert_eq!((facts.max_output_tokens, facts.choices, facts.stream), (Some(500), 3, true));
    assert!(facts.output_media.image && !facts.output_media.audio && facts.unbounded.is_none());
    // Two tokens and the frame of a content, times the prior of the family.
    assert_eq!(
        (facts.input.counted_tokens, facts.input.tokens, facts.input.method),
        (6, 9, Method::Calibrated)
    );
}

#[test]
fn gemini_gets_its_maximum_beside_what_the_caller_configured() {
    let set = |config: Value| gemini(config).patch(Some(256));
    assert_eq!(set(json!({})), [("generationConfig", json!({"maxOutputTokens": 256}))]);
    assert_eq!(
        set(json!({"generationConfig": {"temperature": 0, "maxOutputTokens": 9_999}})),
        [("generationConfig", json!({"temperature": 0, "maxOutputTokens": 256}))]
    );
    assert_eq!(
        set(json!({"generation_config": {"top_k": 1, "max_output_tokens": 9_999}})),
        [("generation_config", json!({"top_k": 1, "max_output_tokens": 256}))]
    );
    assert_eq!(gemini(json!({})).patch(None), []);
    let body = json!({
        "model": "gemini-2.5-flash", "contents": [],
        "generationConfig": {}, "generation_config": {"maxOutputTokens": 9},
    });
    let twice = Request::read(Api::GeminiGenerate, &body, None).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidInput);
}

#[test]
fn gemini_thinks_in_its_output_unless_told_not_to() {
    let thinks = |thinking: Value| {
        let facts = gemini(json!({"generationConfig": {"thinkingConfig": thinking}}));
        (facts.has_hidden_output, facts.thinking_budget)
    };
    assert_eq!(thinks(Value::Null), (true, None));
    assert_eq!(thinks(json!({"thinkingBudget": -1})), (true, None));
    assert_eq!(thinks(json!({"thinkingLevel": "LOW"})), (true, None));
    assert_eq!(thinks(json!({"thinking_budget": 2_048})), (true, Some(2_048)));
    assert_eq!(thinks(json!({"thinking_budget": 0})), (false, None));
}

/// What google-genai 3.4 sends: names of protobuf inside those of JSON.
#[test]
fn all_that_gemini_reads_is_counted() {
    let body = json!({
        "model": "gemini-2.5-flash",
        "systemInstruction": {"parts": [{"text": "a b c"}], "role": "user"},
        "tools": [{"functionDeclarations": [
            {"name": "search", "parameters_json_schema": {"type": "object"}},
        ]}],
        "contents": [
            {"role": "user", "parts": [{"text": "hello world"}]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "search", "args": {"q": "x"}}, "thoughtSignature": "QUJDREVGRw=="},
            ]},
            {"role": "user", "parts":
                [{"functionResponse": {"name": "search", "response": {"result": "y"}}}]},
        ],
        "generationConfig": {"responseSchema": {"type": "OBJECT"}},
    });
    let price = PriceBook::bundled().find(None, "gemini-2.5-flash", NOW).unwrap();
    let read = Request::read(Api::GeminiGenerate, &body, Some(&price)).unwrap();
    assert_eq!((read.facts.message_count, read.facts.unbounded.as_deref()), (4, None));
    assert_eq!(read.facts.tools, ["search"]);
    assert_eq!(read.facts.input.method, Method::Ceiling, "a signature is bounded by its bytes");
    let roles: Vec<_> = read.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, ["tools", "system", "user", "model", "user", "format"]);
    let text: String = read.messages.iter().flat_map(|m| &m.pieces).map(Piece::content).collect();
    for word in
        ["a b c", "search", "parameters_json_schema", "hello world", "\"q\":\"x\"", "QUJD", "\"y\"", "OBJECT"]
    {
        assert!(text.contains(word), "{word} in {text}");
    }
    for message in &read.messages {
        assert!(message.counted_tokens > 0, "{}", message.role);
    }
}

#[test]
fn what_gemini_cannot_be_bounded_by_is_said() {
    for (fields, reason) in [
        (json!({"cachedContent": "cachedContents/1"}), "a context the provider keeps"),
        (json!({"cached_content": "cachedContents/1"}), "a context the provider keeps"),
        (json!({"continuationToken": "1"}), "a conversation the provider keeps"),
        (json!({"tools": [{"code_execution": {}}]}), "the tool `code_execution`"),
        (json!({"tools": [{"googleSearch": {}}]}), "the tool `googleSearch`"),
        (
            json!({"contents": [{"parts": [{"inlineData": {"mime_type": "audio/wav", "data": "AAAA"}}]}]}),
            "length",
        ),
        (
            json!({"contents": [{"parts": [{"fileData": {"fileUri": "gs://a", "mimeType": "video/mp4"}}]}]}),
            "length",
        ),
        (json!({"contents": [{"parts": [{"file_data": {"file_uri": "gs://a"}}]}]}), "pages"),
        (
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "parts": [
            {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}]}}]}]}),
            "pages",
        ),
        (json!({"contents": [{"parts": [{"toolCall": {}}]}]}), "`toolCall`"),
    ] {
        let said = gemini(fields.clone()).unbounded.unwrap_or_default();
        assert!(said.contains(reason), "{fields}: {said}");
    }
}

#[test]
fn what_is_no_request_of_gemini_is_invalid() {
    for (key, value) in [
        ("contents", json!({"parts": []})),
        ("contents", json!([{"parts": ["hello"]}])),
        ("contents", json!([{"parts": [{"text": 1}]}])),
        ("generationConfig", json!({"maxOutputTokens": -1})),
        ("tools", json!([{"functionDeclarations": {}}])),
    ] {
        let body = json!({"model": "gemini-2.5-flash", key: value});
        let error = Request::read(Api::GeminiGenerate, &body, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{body}");
    }
}

#[test]
fn a_price_of_its_own_is_said_of_gemini_too() {
    let unpriced = |fields: Value| gemini(fields).unpriced.unwrap_or_default();
    assert_eq!(unpriced(json!({"serviceTier": "standard", "tools": [{"codeExecution": {}}]})), "");
    assert!(unpriced(json!({"serviceTier": "of_tomorrow"})).contains("service tier"));
    assert_eq!(unpriced(json!({"tools": [{"google_search": {}}]})), "");
    assert!(unpriced(json!({"tools": [{"googleMaps": {}}]})).contains("a fee"));
    assert!(unpriced(json!({"generationConfig": {"routingConfig": {}}})).contains("chooses the model"));
}

#[test]
fn embeddings_of_gemini_have_input_only() {
    let text = |text: &str| json!({"content": {"parts": [{"text": text}]}, "title": "a title"});
    let model = json!({"model": "gemini-embedding-001"});
    let mut one = model.clone();
    merge(&mut one, text("hello world"));
    let mut batch = model;
    batch["requests"] = json!([text("hello world"), text("again")]);
    let (one, batch) = (facts(Api::GeminiGenerate, &one), facts(Api::GeminiGenerate, &batch));
    for facts in [&one, &batch] {
        assert_eq!((facts.max_output_tokens, facts.patch(Some(1)).len()), (Some(0), 0));
        assert!(!facts.has_hidden_output && facts.unbounded.is_none());
    }
    assert_eq!(one.input.counted_tokens, 2 + 4 + 2 + 4);
    assert!(batch.input.counted_tokens > one.input.counted_tokens);
}
