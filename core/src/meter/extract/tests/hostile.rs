//! What becomes of a usage that cannot be?

use proptest::prelude::*;

use super::*;
use crate::meter::usage_of_events;

/// A plain body of each API that has to be read.
fn plain() -> Vec<(Api, Value)> {
    let chat = || {
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}})
    };
    let responses = || {
        json!({"input_tokens": 10, "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 2}})
    };
    Api::all()
        .map(|api| {
            let body = match api {
                Api::GeminiGenerate => {
                    json!({"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3,
                    "thoughtsTokenCount": 2, "cachedContentTokenCount": 4,
                    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}]}})
                }
                Api::BedrockConverse => json!({"usage": {"inputTokens": 10, "outputTokens": 5,
                    "cacheReadInputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 0}]}}),
                Api::AnthropicMessages => json!({"usage": {"input_tokens": 10, "output_tokens": 5,
                    "cache_read_input_tokens": 4, "cache_creation": {"ephemeral_1h_input_tokens": 3},
                    "server_tool_use": {"web_search_requests": 1}, "iterations": []}}),
                Api::CohereChat => {
                    json!({"usage": {"billed_units": {"input_tokens": 10, "output_tokens": 5}}})
                }
                Api::CohereTokens => json!({"usage": {"cached_tokens": 4,
                    "tokens": {"input_tokens": 10, "output_tokens": 5}}}),
                Api::XaiSdk => json!({"usage": {"prompt_tokens": 10, "completion_tokens": 3,
                    "reasoning_tokens": 2, "cached_prompt_text_tokens": 4, "total_tokens": 15}}),
                Api::OpenAiEmbeddings => json!({"usage": {"prompt_tokens": 10, "total_tokens": 10}}),
                Api::CohereEmbed => json!({"meta": {"billed_units": {"input_tokens": 10}}}),
                Api::OllamaChat => json!({"prompt_eval_count": 10, "eval_count": 5}),
                Api::LangChain => json!({"usage_metadata": {"input_tokens": 10, "output_tokens": 5,
                    "input_token_details": {"cache_read": 4}}}),
                Api::AiSdk => json!({"inputTokens": 10, "outputTokens": 5, "cachedInputTokens": 4}),
                _ if api.spoken() == Api::OpenAiResponses => json!({"usage": responses()}),
                Api::OpenAiImages => json!({"usage": responses()}),
                Api::OpenAiRealtime => json!({"response": {"usage": {"input_tokens": 10, "output_tokens": 5,
                    "input_token_details": {"cached_tokens": 4}}}}),
                _ => json!({"usage": chat()}),
            };
            (api, body)
        })
        .collect()
}

/// The paths of all values in a body.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), all));
        }
        _ => {}
    }
    all.push(at.to_owned());
}

#[test]
fn no_count_that_is_none_is_taken_for_zero() {
    let wrong =
        [json!(-1), json!("5"), json!(1.5), json!(true), json!([]), json!({}), json!(u64::MAX), json!(1e300)];
    for (api, body) in plain() {
        let right = usage(api, &body).unwrap().usage.unwrap();
        let mut all = Vec::new();
        places(&body, "", &mut all);
        for (place, wrong) in all.iter().flat_map(|place| wrong.iter().map(move |wrong| (place, wrong))) {
            let mut body = body.clone();
            let spot = body.pointer_mut(place).unwrap();
            // An empty list or object where there may be one tells nothing; so does a modality.
            if !spot.is_number() {
                continue;
            }
            *spot = wrong.clone();
            match usage(api, &body) {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidInput);
                    assert!(error.to_string().len() < 200, "{error}");
                }
                // A check of the total, which nothing is charged by.
                Ok(extracted) if place.ends_with("total_tokens") => assert_eq!(extracted.usage, Some(right)),
                Ok(extracted) => panic!("{api} takes {place} = {wrong} for {extracted:?}"),
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..2_000_u64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec!["1e999", "-0", "1.0", "0.5", "1e-999", "99999999999999999999999"])
            .prop_map(|number| serde_json::from_str(number).unwrap()),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{0,6}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_and_what_it_gives_can_be(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), value()), 0..5),
        events in 1..4_usize,
    ) {
        let all = plain();
        let (api, body) = which.get(&all);
        let mut body = body.clone();
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&body, "", &mut all);
            let place: &String = place.get(&all);
            *body.pointer_mut(place).unwrap() = value;
        }
        let read = [usage(*api, &body), usage_of_events(*api, &vec![body.clone(); events])];
        for extracted in read.into_iter().flatten() {
            if let Some(usage) = extracted.usage {
                prop_assert!(usage.check().is_ok());
            }
            prop_assert!(extracted.cost.is_none_or(|cost| cost.nanos() >= 0));
            prop_assert!(extracted.unknown_fields.len() < 40);
        }
    }

    #[test]
    fn any_value_may_be_a_body(body in value()) {
        for api in Api::all() {
            let _ = usage(api, &body);
            let _ = usage_of_events(api, std::slice::from_ref(&body));
        }
    }
}
