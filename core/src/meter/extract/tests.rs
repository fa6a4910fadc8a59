use serde_json::json;

use super::*;
use crate::ErrorKind;

mod documented;
mod hostile;
mod recorded;

fn read(api: Api, usage: &Value) -> Usage {
    super::usage(api, &json!({"model": "m", "usage": usage})).unwrap().usage.unwrap()
}

#[test]
fn every_protocol_is_read_into_one_form() {
    let chat = read(
        Api::OpenAiChat,
        &json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 30, "audio_tokens": 4, "cache_write_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 3}}),
    );
    let expected = Usage {
        cache_read_tokens: 30,
        cache_write_tokens: 5,
        input_audio_tokens: 4,
        reasoning_tokens: 20,
        output_audio_tokens: 3,
        ..Usage::tokens(100, 50)
    };
    assert_eq!(chat, expected);
    let messages = read(
        Api::AnthropicMessages,
        &json!({"input_tokens": 10, "output_tokens": 50, "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 70,
            "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 20},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            "output_tokens_details": {"thinking_tokens": 40}}),
    );
    let expected = Usage {
        cache_read_tokens: 100,
        cache_write_tokens: 50,
        cache_write_1h_tokens: 20,
        reasoning_tokens: 40,
        web_searches: 2,
        ..Usage::tokens(180, 50)
    };
    assert_eq!(messages, expected);
    let only_parts = json!({"input_tokens": 10, "output_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6}});
    let usage = read(Api::AnthropicMessages, &only_parts);
    assert_eq!((usage.input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens), (21, 5, 6));
    let images = json!({"input_tokens": 10, "output_tokens": 272, "total_tokens": 282,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 0}});
    assert_eq!(read(Api::OpenAiImages, &images).output_image_tokens, 272);
    assert_eq!(
        read(Api::OpenAiEmbeddings, &json!({"prompt_tokens": 8, "total_tokens": 8})),
        Usage::tokens(8, 0)
    );
}

#[test]
fn searches_are_counted_in_the_output() {
    let body = json!({"model": "gpt-5", "usage": {"input_tokens": 1, "output_tokens": 1}, "output": [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "web_search_call"},
        {"type": "message"},
    ]});
    assert_eq!(usage(Api::OpenAiResponses, &body).unwrap().usage.unwrap().web_searches, 2);
}

#[test]
fn rounds_outside_the_totals_are_added_or_named() {
    let round = |kind: &str, model: Value| {
        let (input, output) = (100, 7);
        json!({"type": kind, "model": model, "input_tokens": input, "output_tokens": output})
    };
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "iterations": [
        round("message", Value::Null), round("compaction", Value::Null), round("compaction", "m".into()),
        round("advisor_message", "other".into()),
    ]});
    let extracted = super::usage(Api::AnthropicMessages, &json!({"model": "m", "usage": usage})).unwrap();
    assert_eq!(extracted.usage, Some(Usage::tokens(210, 19)));
    assert_eq!(extracted.unknown_fields, ["iterations.3"]);
}

#[test]
fn nothing_vanishes_unseen() {
    let body = json!({"usage": {
        "prompt_tokens": 1, "completion_tokens": 1, "smell_tokens": 7, "gone": null, "none": 0,
        "prompt_tokens_details": {"smell_tokens": 3, "cached_tokens": 0}, "cost_details": {"a": 0}}});
    let extracted = usage(Api::OpenAiChat, &body).unwrap();
    assert_eq!(extracted.unknown_fields, ["smell_tokens", "prompt_tokens_details.smell_tokens"]);
    assert_eq!(extracted.model, None);
}

#[test]
fn no_usage_is_none() {
    for body in [json!({}), json!({"usage": null}), json!({"model": null, "choices": []})] {
        assert_eq!(usage(Api::OpenAiChat, &body).unwrap().usage, None);
    }
}

#[test]
fn what_cannot_be_names_its_field() {
    let huge = json!({"prompt_tokens": 2_000_000_000_000_u64, "completion_tokens": 1});
    for (api, found, named) in [
        (Api::OpenAiChat, json!([]), "usage"),
        (Api::OpenAiChat, json!({}), "prompt_tokens"),
        (Api::OpenAiChat, json!({"prompt_tokens": 1}), "completion_tokens"),
        (Api::OpenAiChat, json!({"prompt_tokens": -1, "completion_tokens": 1}), "prompt_tokens"),
        (Api::OpenAiChat, json!({"prompt_tokens": "5", "completion_tokens": 1}), "prompt_tokens"),
        (Api::OpenAiChat, json!({"prompt_tokens": 1.5, "completion_tokens": 1}), "prompt_tokens"),
        (Api::OpenAiChat, json!({"prompt_tokens": null, "completion_tokens": 1}), "prompt_tokens"),
        (Api::OpenAiChat, huge, "2000000000000"),
        (
            Api::OpenAiChat,
            json!({"prompt_tokens": 5, "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 6}}),
            "prompt_tokens_details.cached_tokens",
        ),
        (
            Api::OpenAiChat,
            json!({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": 3}),
            "prompt_tokens_details",
        ),
        (
            Api::OpenAiResponses,
            json!({"input_tokens": 5, "output_tokens": 1, "output_tokens_details": {"reasoning_tokens": 2}}),
            "output_tokens_details.reasoning_tokens",
        ),
        (
            Api::AnthropicMessages,
            json!({"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": "x"}),
            "cache_read_input_tokens",
        ),
        (
            Api::AnthropicMessages,
            json!({"input_tokens": u64::MAX, "output_tokens": 1, "cache_read_input_tokens": u64::MAX}),
            "18446744073709551615",
        ),
    ] {
        let error = usage(api, &json!({"usage": found})).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(named), "{error}");
    }
    assert!(usage(Api::OpenAiChat, &json!("x")).is_err());
}
