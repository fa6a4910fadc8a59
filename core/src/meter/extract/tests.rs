use serde_json::json;

use super::*;
use crate::{
    ErrorKind,
    meter::PriceBook,
    value::{Millis, money::decimal},
};

/// When the recorded prices were computed.
const RECORDED: Millis = 1_786_000_000_000;

/// Response bodies with what they mean and cost, from a public data set; not part of the repository.
fn recorded() -> Vec<Value> {
    let folder = std::env::var("OUTLAY_TEST_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data").to_owned());
    let Ok(packed) = std::fs::File::open(format!("{folder}/usage_bodies.dev.json.gz")) else {
        eprintln!("SKIPPED: no usage_bodies.dev.json.gz; say where by OUTLAY_TEST_DATA");
        return Vec::new();
    };
    serde_json::from_reader(flate2::read::GzDecoder::new(packed)).unwrap()
}

fn api(provider: &str, flavor: &str) -> Option<Api> {
    match (provider, flavor) {
        ("openai", "chat") => Some(Api::OpenAiChat),
        ("openai", "responses") => Some(Api::OpenAiResponses),
        ("openai", "embeddings") => Some(Api::OpenAiEmbeddings),
        ("anthropic", "default") => Some(Api::AnthropicMessages),
        _ => None,
    }
}

/// The recorded usage in our terms: writes of one hour stand beside the others, not among them.
fn expected(usage: &Value) -> Usage {
    let count = |key: &str| usage.get(key).map_or(0, |value| value.as_u64().unwrap());
    Usage {
        input_tokens: count("input_tokens"),
        cache_read_tokens: count("cache_read_tokens"),
        cache_write_tokens: count("cache_write_tokens") - count("cache_write_1h_tokens"),
        cache_write_1h_tokens: count("cache_write_1h_tokens"),
        input_audio_tokens: count("input_audio_tokens"),
        input_image_tokens: count("input_image_tokens"),
        output_tokens: count("output_tokens"),
        reasoning_tokens: count("output_reasoning_tokens"),
        output_audio_tokens: count("output_audio_tokens"),
        output_image_tokens: count("output_image_tokens"),
        web_searches: count("web_searches"),
    }
}

#[test]
fn recorded_bodies_mean_what_they_meant() {
    let (mut usages, mut prices, mut wrong) = (0, 0, Vec::new());
    for case in recorded() {
        for (meaning, extractor) in case["extracted"].as_array().unwrap().iter().flat_map(|meaning| {
            meaning["extractors"].as_array().unwrap().iter().map(move |extractor| (meaning, extractor))
        }) {
            let provider = extractor["provider_id"].as_str().unwrap();
            let Some(api) = api(provider, extractor["api_flavor"].as_str().unwrap()) else { continue };
            let extracted = usage(api, &case["body"]).unwrap();
            let found = extracted.usage.unwrap();
            usages += 1;
            if found != expected(&meaning["usage"]) {
                wrong.push(format!("{api} usage {found:?} from {}", case["body"]));
            }
            let (Some(model), Some(input)) = (extracted.model, extractor["input_price"].as_str()) else {
                continue;
            };
            let pico = |text: &str| decimal(text, 12).unwrap();
            let recorded = pico(input) + pico(extractor["output_price"].as_str().unwrap());
            let price = PriceBook::bundled().find(Some(provider), &model, RECORDED);
            let Ok(price) = price else {
                wrong.push(format!("{provider} {model} has no price"));
                continue;
            };
            let charge = price.charge(&Usage { web_searches: 0, ..found }).unwrap();
            prices += 1;
            let ours = i128::from(charge.amount.nanos());
            if ours != (recorded + 999) / 1_000 {
                wrong.push(format!("{provider} {model} costs {ours}, recorded {recorded} pico: {found:?}"));
            }
        }
    }
    eprintln!("{usages} usages and {prices} prices compared");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

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
        "prompt_tokens": 1, "completion_tokens": 1, "video_tokens": 7, "gone": null, "none": 0,
        "prompt_tokens_details": {"video_tokens": 3, "cached_tokens": 0}, "cost_details": {"a": 0}}});
    let extracted = usage(Api::OpenAiChat, &body).unwrap();
    assert_eq!(extracted.unknown_fields, ["video_tokens", "prompt_tokens_details.video_tokens"]);
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
