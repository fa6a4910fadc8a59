use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::value::Usage;

/// All that a reader tells, in comparable form.
#[derive(Debug, PartialEq)]
struct Told {
    out: Vec<u8>,
    texts: Vec<(Lane, String)>,
    usage: Option<Usage>,
    finished: bool,
    error: Option<String>,
    model: Option<String>,
    unreadable: u64,
}

fn told(api: Api, hide_usage: bool, pieces: &[&[u8]]) -> Told {
    let mut reader = StreamReader::new(api, hide_usage);
    let mut out = Vec::new();
    let mut texts: Vec<(Lane, String)> = Vec::new();
    let mut collect = |reader: &mut StreamReader| {
        for Delta { lane, text } in reader.deltas() {
            match texts.iter_mut().find(|(known, _)| *known == lane) {
                Some((_, all)) => all.push_str(&text),
                None => texts.push((lane, text)),
            }
        }
    };
    for piece in pieces {
        reader.push(piece, &mut out).unwrap();
        collect(&mut reader);
    }
    reader.end(&mut out);
    collect(&mut reader);
    Told {
        out,
        texts,
        usage: reader.usage().unwrap().and_then(|extracted| extracted.usage),
        finished: reader.is_finished(),
        error: reader.error().map(str::to_owned),
        model: reader.model().map(str::to_owned),
        unreadable: reader.unreadable_events(),
    }
}

fn lane(choice: u64, part: u64) -> Lane {
    Lane { choice, part }
}

fn events(events: &[Value]) -> String {
    events.iter().fold(String::new(), |all, event| all + &format!("data: {event}\n\n"))
}

fn chat() -> String {
    let chunk = |choices: Value, usage: Value| {
        let model = "gpt-4o-2024-08-06";
        json!({"model": model, "choices": choices, "usage": usage})
    };
    let call = |function: Value| {
        let calls = json!([{"index": 2, "function": function}]);
        chunk(json!([{"index": 0, "delta": {"tool_calls": calls}}]), Value::Null)
    };
    let null = || Value::Null;
    events(&[
        chunk(
            json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
            null(),
        ),
        chunk(
            json!([{"index": 0, "delta": {"content": "Hé"}}, {"index": 1, "delta": {"refusal": "no"}}]),
            null(),
        ),
        chunk(json!([{"index": 0, "delta": {"content": "llo"}}]), null()),
        chunk(json!([{"index": 0, "delta": {"reasoning_content": "hm", "reasoning": "hm"}}]), null()),
        call(json!({"name": "f", "arguments": ""})),
        call(json!({"arguments": "{\"a\":1}"})),
        chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), null()),
        chunk(json!([]), json!({"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11})),
    ]) + "data: [DONE]\n\n"
}

fn messages() -> String {
    [
        json!({"type": "message_start", "message": {"model": "claude-haiku-4-5-20251001",
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 10, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "search", "input": {}}}),
        json!({"type": "content_block_delta", "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
        json!({"type": "content_block_delta", "index": 1,
            "delta": {"type": "signature_delta", "signature": "xyz"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 9, "input_tokens": null}}),
        json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 12}}),
        json!({"type": "message_stop"}),
    ]
    .iter()
    .fold(String::new(), |all, event| {
        all + &format!("event: {}\r\ndata: {event}\r\n\r\n", event["type"].as_str().unwrap())
    })
}

fn responses() -> String {
    events(&[
        json!({"type": "response.created", "response": {"model": "gpt-5.6", "usage": null}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0,
            "delta": "Hello"}),
        json!({"type": "response.output_item.added", "output_index": 1,
            "item": {"type": "function_call", "name": "f"}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"}),
        json!({"type": "response.audio.delta", "delta": "AAAA"}),
        json!({"type": "response.incomplete", "response": {"model": "gpt-5.6-sol",
            "output": [{"type": "web_search_call"}],
            "usage": {"input_tokens": 8, "output_tokens": 3,
                "output_tokens_details": {"reasoning_tokens": 1}}}}),
    ])
}

fn generated() -> String {
    let event = |parts: Value, output: u64, reason: Value| {
        let candidates = json!([{"index": 0, "content": {"parts": parts}, "finishReason": reason}]);
        json!({"candidates": candidates, "modelVersion": "gemini-3-flash-preview",
            "usageMetadata":
                {"promptTokenCount": 5, "candidatesTokenCount": output, "thoughtsTokenCount": 2}})
    };
    let call = json!({"functionCall": {"name": "f", "args": {"a": 1}}});
    events(&[
        event(json!([{"text": "hm", "thought": true}]), 0, Value::Null),
        event(json!([{"text": "Hel"}]), 1, Value::Null),
        event(json!([{"text": "lo"}, call]), 3, "STOP".into()),
    ])
}

fn cohere() -> String {
    let delta = |kind: &str, message: Value| json!({"type": kind, "index": 0, "delta": {"message": message}});
    let call = |function: Value| json!({"tool_calls": {"function": function}});
    events(&[
        delta("tool-plan-delta", json!({"tool_plan": "hm"})),
        delta("content-delta", json!({"content": {"text": "Hello"}})),
        delta("tool-call-start", call(json!({"name": "f", "arguments": ""}))),
        delta("tool-call-delta", call(json!({"arguments": "{\"a\":1}"}))),
        json!({"type": "message-end", "delta": {"usage":
            {"billed_units": {"input_tokens": 5, "output_tokens": 5}}}}),
    ])
}

#[test]
fn streams_of_gemini_and_cohere_tell_their_texts_and_their_usage() {
    for (api, stream, usage) in [
        (Api::GeminiGenerate, generated(), Usage { reasoning_tokens: 2, ..Usage::tokens(5, 5) }),
        (Api::CohereChat, cohere(), Usage::tokens(5, 5)),
    ] {
        let told = told(api, true, &[stream.as_bytes()]);
        let expected = [(lane(0, 2), "hm"), (lane(0, 0), "Hello"), (lane(0, 4), "f{\"a\":1}")];
        assert_eq!(told.texts, expected.map(|(lane, text)| (lane, text.to_owned())));
        assert_eq!((told.usage, told.finished), (Some(usage), true));
        let cut = stream.rfind("data: ").unwrap();
        assert_eq!(self::told(api, true, &[&stream.as_bytes()[..cut]]).usage, None);
    }
}

#[test]
fn a_chat_stream_tells_its_texts_and_its_usage() {
    let stream = chat();
    let told = told(Api::OpenAiChat, false, &[stream.as_bytes()]);
    let expected =
        [(lane(0, 0), "Héllo"), (lane(1, 1), "no"), (lane(0, 2), "hm"), (lane(0, 10), "f{\"a\":1}")];
    assert_eq!(told.texts, expected.map(|(lane, text)| (lane, text.to_owned())));
    assert_eq!(told.usage, Some(Usage::tokens(7, 4)));
    assert!(told.finished && told.error.is_none());
    assert_eq!(told.model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(told.out, stream.as_bytes());
}

#[test]
fn only_the_usage_that_was_asked_for_is_kept_back() {
    let stream = chat();
    let told = told(Api::OpenAiChat, true, &[stream.as_bytes()]);
    let without: String =
        stream.split_inclusive("\n\n").filter(|event| !event.contains("\"choices\":[],")).collect();
    assert_eq!(String::from_utf8(told.out).unwrap(), without);
    assert_eq!(told.usage, Some(Usage::tokens(7, 4)));
    // A chunk with a choice is the caller's, even if it holds the usage.
    let last = events(&[json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1}})]);
    let told = self::told(Api::OpenAiChat, true, &[last.as_bytes()]);
    assert_eq!((told.out, told.usage), (last.into_bytes(), Some(Usage::tokens(1, 1))));
}

#[test]
fn a_messages_stream_replaces_its_counts() {
    let told = told(Api::AnthropicMessages, true, &[messages().as_bytes()]);
    let expected = [(lane(0, 0), "Hello"), (lane(1, 0), "search{}")];
    assert_eq!(told.texts, expected.map(|(lane, text)| (lane, text.to_owned())));
    assert_eq!(told.usage, Some(Usage { cache_read_tokens: 10, ..Usage::tokens(15, 12) }));
    assert!(told.finished);
    assert_eq!(told.out, messages().as_bytes());
}

#[test]
fn a_cut_messages_stream_knows_its_input() {
    let stream = messages();
    let cut = stream.find("message_delta").unwrap() - 10;
    let mut reader = StreamReader::new(Api::AnthropicMessages, false);
    reader.push(&stream.as_bytes()[..cut], &mut Vec::new()).unwrap();
    assert_eq!(reader.usage().unwrap(), None);
    assert!(!reader.is_finished());
    assert_eq!(reader.usage_so_far().unwrap().usage.unwrap().input_tokens, 15);
}

#[test]
fn a_responses_stream_tells_its_texts_and_its_usage() {
    let told = told(Api::OpenAiResponses, true, &[responses().as_bytes()]);
    let expected = [(lane(0, 0), "Hello"), (lane(1, 0), "f{}")];
    assert_eq!(told.texts, expected.map(|(lane, text)| (lane, text.to_owned())));
    let usage = Usage { reasoning_tokens: 1, web_searches: 1, ..Usage::tokens(8, 3) };
    assert_eq!((told.usage, told.finished), (Some(usage), true));
    assert_eq!(told.model.as_deref(), Some("gpt-5.6-sol"));
}

#[test]
fn errors_in_the_stream_are_told() {
    for (api, event, error) in [
        (Api::OpenAiChat, json!({"error": {"message": "boom", "type": "server_error"}}), "server_error"),
        (Api::OpenAiResponses, json!({"type": "error", "code": "x", "message": "boom"}), "boom"),
        (
            Api::OpenAiResponses,
            json!({"type": "response.failed",
                "response": {"error": {"code": "server_error", "message": "boom"}}}),
            "server_error",
        ),
        (
            Api::AnthropicMessages,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            "overloaded_error",
        ),
    ] {
        let told = told(api, false, &[events(&[event]).as_bytes()]);
        assert_eq!((told.error.as_deref(), told.usage), (Some(error), None));
    }
}

#[test]
fn a_running_count_is_not_final() {
    let running = json!({"choices": [{"index": 0, "delta": {"content": "a"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
    let mut reader = StreamReader::new(Api::OpenAiChat, false);
    reader.push(events(&[running]).as_bytes(), &mut Vec::new()).unwrap();
    assert_eq!(reader.usage().unwrap(), None);
    assert_eq!(reader.usage_so_far().unwrap().usage, Some(Usage::tokens(3, 1)));
    reader.push(b"data: [DONE]\n\n", &mut Vec::new()).unwrap();
    assert_eq!(reader.usage().unwrap().unwrap().usage, Some(Usage::tokens(3, 1)));
}

#[test]
fn a_usage_that_cannot_be_does_not_break_the_stream() {
    let wrong = json!({"choices": [], "usage": {"prompt_tokens": -3, "completion_tokens": 1}});
    let mut reader = StreamReader::new(Api::OpenAiChat, false);
    reader.push(events(&[wrong]).as_bytes(), &mut Vec::new()).unwrap();
    assert!(reader.usage().unwrap_err().to_string().contains("prompt_tokens"));
    assert_eq!(reader.usage_so_far(), None);
}

#[test]
fn the_rules_of_event_streams_are_kept() {
    let event = "{\"choices\":[{\"index\":0,\n\"delta\":{\"content\":\"x\"}}]}".replace('\n', "\ndata:");
    for stream in [
        format!("data:{event}\n\n"),
        format!("\u{feff}data: {event}\n\n"),
        format!(": comment\nid: 3\nevent: m\nretry: 5\ndata: {event}\n\n"),
        format!("data: {event}\r\n\r\n").replace("\ndata:", "\r\ndata:"),
        format!("data: {event}\r\r").replace('\n', "\r"),
        format!("\n\n\ndata: {event}\n\n"),
        format!("data: {event}"),
        format!("data\ndata: {event}\ndataset: 4\n\n"),
    ] {
        let told = told(Api::OpenAiChat, true, &[stream.as_bytes()]);
        assert_eq!(told.texts, [(lane(0, 0), "x".to_owned())], "{stream:?}");
        assert_eq!(String::from_utf8(told.out).unwrap(), stream);
    }
    let told = told(Api::OpenAiChat, true, &[b"data: {oops\n\ndata: 3\n\n: ping\n\n"]);
    assert_eq!((told.unreadable, told.out.len()), (2, 30));
}

#[test]
fn an_event_without_end_is_an_error_and_loses_no_byte() {
    for hide in [false, true] {
        let mut reader = StreamReader::new(Api::OpenAiChat, hide);
        let mut out = Vec::new();
        let piece = vec![b'x'; 1 << 20];
        let mut failures = 0;
        for _ in 0..20 {
            failures += u32::from(reader.push(&piece, &mut out).is_err());
        }
        reader.end(&mut out);
        assert_eq!((failures, out.len()), (1, 20 << 20));
    }
}

fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in cuts.into_iter().chain([stream.len()]) {
        pieces.push(&stream[from..to]);
        from = to;
    }
    pieces
}

proptest! {
    #[test]
    fn the_cuts_make_no_difference(
        which in 0..6_usize,
        cuts in prop::collection::vec(any::<usize>(), 0..40),
        hide in any::<bool>(),
    ) {
        let (api, stream) = [
            (Api::OpenAiChat, chat()),
            (Api::OpenAiChat, chat().replace('\n', "\r\n")),
            (Api::AnthropicMessages, messages()),
            (Api::OpenAiResponses, responses().replace('\n', "\r")),
            (Api::GeminiGenerate, generated()),
            (Api::CohereChat, cohere()),
        ][which].clone();
        let whole = told(api, hide, &[stream.as_bytes()]);
        prop_assert!(whole.usage.is_some());
        prop_assert_eq!(told(api, hide, &cut(stream.as_bytes(), &cuts)), whole);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_lose_any(
        bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"\r\n:data {}[]\"".to_vec())],
            0..200,
        ),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        for api in Api::all() {
            let whole = told(api, true, &[&bytes]);
            prop_assert_eq!(&whole.out, &bytes);
            prop_assert_eq!(told(api, true, &cut(&bytes, &cuts)), whole);
        }
    }
}
