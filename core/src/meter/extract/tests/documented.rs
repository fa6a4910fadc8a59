//! Does it read what each API is documented to send?
//!
//! Bodies with every field of the types in the provider's own client, with counts that no two fields
//! share, so that a wrong mapping cannot come out right.

use super::*;
use crate::{meter::usage_of_events, value::Money};

fn check(api: Api, body: &Value, expected: Usage) -> Extracted {
    let extracted = usage(api, body).unwrap();
    assert_eq!(extracted.usage, Some(expected), "{api}: {body}");
    assert_eq!(extracted.unknown_fields, [""; 0], "{api}: {body}");
    extracted
}

fn nanos(extracted: &Extracted) -> Option<i64> {
    extracted.cost.map(Money::nanos)
}

#[test]
fn chat_and_its_dialects() {
    let mistral = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
        "num_cached_tokens": 99, "prompt_tokens_details": {"cached_tokens": 64, "messages": [1]},
        "prompt_token_details": {"cached_tokens": 64}, "request_count": 1, "service_tier": "priority"}});
    let expected = Usage { cache_read_tokens: 64, ..Usage::tokens(100, 7) };
    assert_eq!(check(Api::MistralChat, &mistral, expected).service_tier.as_deref(), Some("priority"));
    let both = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
        "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 3}}});
    let expected = Usage { reasoning_tokens: 3, ..expected };
    check(Api::DeepSeekChat, &both, expected);
    let mut old = both;
    old["usage"].as_object_mut().unwrap().remove("prompt_tokens_details");
    check(Api::DeepSeekChat, &old, expected);
    let groq = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
        "queue_time": 0.03, "prompt_time": 0.1, "completion_time": 0.2, "total_time": 0.3,
        "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 3}},
        "x_groq": {"id": "req", "usage": {"dram_cached_tokens": 64}}});
    check(Api::GroqChat, &groq, expected);
}

#[test]
fn what_servers_that_imitate_the_protocol_tell_elsewhere() {
    let moonshot = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
        "cached_tokens": 64, "prompt_tokens_details": null, "completion_tokens_details": null}});
    let cached = Usage { cache_read_tokens: 64, ..Usage::tokens(100, 7) };
    check(Api::OpenAiChat, &moonshot, cached);
    let deepseek = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
        "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}});
    check(Api::OpenAiChat, &deepseek, cached);
    let sglang = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107,
        "reasoning_tokens": 5}});
    check(Api::OpenAiChat, &sglang, Usage { reasoning_tokens: 5, ..Usage::tokens(100, 7) });
}

#[test]
fn the_speed_anthropic_tells_is_a_tier() {
    for (speed, tier) in [("fast", "fast"), ("standard", "priority")] {
        let body = json!({"model": "claude-opus-5", "usage":
            {"input_tokens": 100, "output_tokens": 7, "service_tier": "priority", "speed": speed}});
        let extracted = check(Api::AnthropicMessages, &body, Usage::tokens(100, 7));
        assert_eq!(extracted.service_tier.as_deref(), Some(tier));
    }
}

#[test]
fn transcriptions_tell_tokens_or_nothing_we_can_charge() {
    let tokens = json!({"text": "x", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45,
        "total_tokens": 59, "input_token_details": {"audio_tokens": 13, "text_tokens": 1}}});
    check(Api::OpenAiRealtime, &tokens, Usage { input_audio_tokens: 13, ..Usage::tokens(14, 45) });
    let seconds = json!({"text": "x", "usage": {"type": "duration", "seconds": 3}});
    assert!(usage(Api::OpenAiRealtime, &seconds).is_err());
}

#[test]
fn xai_tells_reasoning_beside_the_output_and_its_cost_in_ticks() {
    let chat = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 147,
        "prompt_tokens_details":
            {"text_tokens": 90, "audio_tokens": 1, "image_tokens": 9, "cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 2,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        "num_sources_used": 3, "cost_in_usd_ticks": 37_756_001}});
    let expected = Usage {
        cache_read_tokens: 64,
        input_audio_tokens: 1,
        input_image_tokens: 9,
        reasoning_tokens: 40,
        output_audio_tokens: 2,
        ..Usage::tokens(100, 47)
    };
    assert_eq!(nanos(&check(Api::XaiChat, &chat, expected)), Some(3_775_601));
    let sdk = json!({"usage": {"prompt_tokens": 100, "completion_tokens": 7, "reasoning_tokens": 40,
        "total_tokens": 147, "prompt_text_tokens": 91, "cached_prompt_text_tokens": 64,
        "prompt_image_tokens": 9, "num_sources_used": 3, "cost_in_usd_ticks": "37756000"}});
    let expected = Usage { input_audio_tokens: 0, output_audio_tokens: 0, ..expected };
    assert_eq!(nanos(&check(Api::XaiSdk, &sdk, expected)), Some(3_775_600));
    // Some of its models leave the cache out of the prompt.
    let beside = json!({"usage": {"prompt_tokens": 36, "completion_tokens": 7, "total_tokens": 107,
        "prompt_tokens_details": {"cached_tokens": 64}}});
    check(Api::XaiChat, &beside, Usage { cache_read_tokens: 64, ..Usage::tokens(100, 7) });
    let responses = json!({"usage": {"input_tokens": 100, "output_tokens": 47, "total_tokens": 147,
        "input_tokens_details": {"cached_tokens": 64}, "output_tokens_details": {"reasoning_tokens": 40}}});
    let expected = Usage { input_image_tokens: 0, ..expected };
    check(Api::XaiResponses, &responses, expected);
}

#[test]
fn a_total_tells_that_reasoning_was_left_out() {
    let body = |total: u64| {
        json!({"usage": {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": total,
            "completion_tokens_details": {"reasoning_tokens": 40}}})
    };
    check(Api::OpenAiChat, &body(57), Usage { reasoning_tokens: 40, ..Usage::tokens(10, 47) });
    // More reasoning than output, and no total that explains it.
    assert!(usage(Api::OpenAiChat, &body(17)).is_err());
    let unexplained = json!({"usage": {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 20}});
    let extracted = usage(Api::OpenAiChat, &unexplained).unwrap();
    assert_eq!(extracted.unknown_fields, ["total_tokens"]);
}

#[test]
fn openai_realtime_and_images() {
    let realtime = json!({"type": "response.done", "response": {"usage": {"input_tokens": 100,
        "output_tokens": 50, "total_tokens": 150,
        "input_token_details": {"cached_tokens": 60, "text_tokens": 30, "audio_tokens": 61, "image_tokens": 9,
            "cached_tokens_details": {"text_tokens": 25, "audio_tokens": 33, "image_tokens": 2}},
        "output_token_details": {"text_tokens": 11, "audio_tokens": 39}}}});
    let expected = Usage {
        cache_read_tokens: 60,
        cache_read_audio_tokens: 33,
        cache_read_image_tokens: 2,
        input_audio_tokens: 61,
        input_image_tokens: 9,
        output_audio_tokens: 39,
        ..Usage::tokens(100, 50)
    };
    check(Api::OpenAiRealtime, &realtime, expected);
    let twice = usage_of_events(Api::OpenAiRealtime, &[realtime.clone(), json!({"type": "x"}), realtime]);
    let twice = twice.unwrap().usage.unwrap();
    assert_eq!((twice.input_tokens, twice.cache_read_audio_tokens, twice.output_audio_tokens), (200, 66, 78));
    let images = json!({"usage": {"input_tokens": 60, "output_tokens": 280, "total_tokens": 340,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 50},
        "output_tokens_details": {"text_tokens": 8, "image_tokens": 272}}});
    let expected = Usage { input_image_tokens: 50, output_image_tokens: 272, ..Usage::tokens(60, 280) };
    check(Api::OpenAiImages, &images, expected);
}

#[test]
fn gemini_in_both_spellings() {
    let body = json!({"modelVersion": "gemini-3-flash-preview", "usageMetadata": {
        "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 50,
        "thoughtsTokenCount": 30, "toolUsePromptTokenCount": 20, "totalTokenCount": 200,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 50}, {"modality": "IMAGE", "tokenCount": 11},
            {"modality": "DOCUMENT", "tokenCount": 13}, {"modality": "AUDIO", "tokenCount": 17},
            {"modality": "VIDEO", "tokenCount": 9}],
        "cacheTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 15}, {"modality": "IMAGE", "tokenCount": 3}],
        "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 40}, {"modality": "AUDIO"}],
        "trafficType": "ON_DEMAND"}});
    let expected = Usage {
        cache_read_tokens: 60,
        cache_read_audio_tokens: 15,
        cache_read_image_tokens: 3,
        input_audio_tokens: 17,
        input_image_tokens: 29,
        input_video_tokens: 9,
        reasoning_tokens: 30,
        output_image_tokens: 40,
        ..Usage::tokens(120, 80)
    };
    let extracted = check(Api::GeminiGenerate, &body, expected);
    assert_eq!(extracted.model.as_deref(), Some("gemini-3-flash-preview"));
    let snake = json!({"model_version": "gemini-3-flash-preview", "usage_metadata": {
        "prompt_token_count": 100, "cached_content_token_count": 60, "candidates_token_count": 50,
        "thoughts_token_count": 30, "tool_use_prompt_token_count": null, "total_token_count": 180,
        "prompt_tokens_details": [{"modality": "AUDIO", "token_count": 17}], "traffic_type": null}});
    let expected = Usage {
        cache_read_tokens: 60,
        input_audio_tokens: 17,
        reasoning_tokens: 30,
        ..Usage::tokens(100, 80)
    };
    assert_eq!(check(Api::GeminiGenerate, &snake, expected).model, extracted.model);
    let live = json!({"usageMetadata": {"promptTokenCount": 9, "responseTokenCount": 5, "totalTokenCount": 14,
        "responseTokensDetails": [
            {"modality": "AUDIO", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 3}]}});
    check(Api::GeminiGenerate, &live, Usage { output_audio_tokens: 5, ..Usage::tokens(9, 5) });
    let new = json!({"usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9,
        "promptTokensDetails": [{"modality": "SMELL", "tokenCount": 4}]},
        "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]});
    let told = usage(Api::GeminiGenerate, &new).unwrap();
    assert_eq!(told.unknown_fields, ["promptTokensDetails[modality=\"SMELL\"]"]);
    assert_eq!(told.usage.unwrap().web_searches, 2);
}

#[test]
fn bedrock_cohere_and_ollama() {
    let converse = json!({"usage": {"inputTokens": 3, "outputTokens": 61, "totalTokens": 2435,
        "cacheReadInputTokens": 2074, "cacheWriteInputTokens": 297, "cacheReadInputTokenCount": 2074,
        "cacheWriteInputTokenCount": 297, "serverToolUsage": {},
        "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 97}]},
        "serviceTier": {"type": "flex"}});
    let expected = Usage {
        cache_read_tokens: 2_074,
        cache_write_tokens: 97,
        cache_write_1h_tokens: 200,
        ..Usage::tokens(2_374, 61)
    };
    let extracted = check(Api::BedrockConverse, &converse, expected);
    assert_eq!(extracted.service_tier.as_deref(), Some("flex"));
    let cohere = json!({"usage": {"billed_units": {"input_tokens": 41.0, "output_tokens": 25},
        "tokens": {"input_tokens": 1441, "output_tokens": 54}, "cached_tokens": 144}});
    check(Api::CohereChat, &cohere, Usage::tokens(41, 25));
    check(Api::CohereTokens, &cohere, Usage { cache_read_tokens: 144, ..Usage::tokens(1_441, 54) });
    let embed = json!({"meta": {"billed_units": {"input_tokens": 12, "image_tokens": 5}}});
    check(Api::CohereEmbed, &embed, Usage { input_image_tokens: 5, ..Usage::tokens(12, 0) });
    let ollama = json!({"model": "llama3", "message": {"content": "x"}, "done": true, "load_duration": 5,
        "prompt_eval_count": 26, "prompt_eval_duration": 7, "eval_count": 290, "eval_duration": 9});
    check(Api::OllamaChat, &ollama, Usage::tokens(26, 290));
    assert_eq!(usage(Api::OllamaChat, &json!({"done": false})).unwrap().usage, None);
}

#[test]
fn perplexity_and_openrouter_say_what_they_charge() {
    let sonar = json!({"usage": {"prompt_tokens": 19, "completion_tokens": 50, "total_tokens": 69,
        "reasoning_tokens": 7_000, "citation_tokens": 300, "num_search_queries": 21,
        "search_context_size": "low", "cost": {"input_tokens_cost": 0.1, "output_tokens_cost": 0.2,
            "reasoning_tokens_cost": 0.3, "citation_tokens_cost": 0.4, "search_queries_cost": 0.5,
            "request_cost": 0.6, "total_cost": 0.127}}});
    let expected = Usage { reasoning_tokens: 7_000, web_searches: 21, ..Usage::tokens(19, 7_350) };
    assert_eq!(nanos(&check(Api::PerplexityChat, &sonar, expected)), Some(127_000_000));
    let agent = json!({"usage": {"input_tokens": 90, "output_tokens": 10, "total_tokens": 100,
        "input_tokens_details": {"cache_read_input_tokens": 30, "cache_creation_input_tokens": 20},
        "tool_calls_details": {"search_web": {"invocation": 2}},
        "cost": {"currency": "USD", "input_cost": 0.1, "output_cost": 0.2, "total_cost": 0.3}}});
    let expected =
        Usage { cache_read_tokens: 30, cache_write_tokens: 20, web_searches: 2, ..Usage::tokens(90, 10) };
    assert_eq!(nanos(&check(Api::PerplexityResponses, &agent, expected)), Some(300_000_000));

    let routed = |byok: bool, cost: Value, upstream: Value| {
        json!({"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": cost,
            "is_byok": byok, "cost_details": {"upstream_inference_cost": upstream,
                "upstream_inference_prompt_cost": 0.1, "upstream_inference_completions_cost": 0.1},
            "server_tool_use": {"web_search_requests": 1}}})
    };
    let expected = Usage { web_searches: 1, ..Usage::tokens(5, 2) };
    for (byok, cost, upstream, nano) in [
        (false, "0.00034225", "0.00034225", Some(342_250)),
        (false, "7.79e-5", "null", Some(77_900)),
        (false, "0", "null", Some(0)),
        // A fraction of a nano is a nano; what a sum of binary fractions adds to it is not.
        (false, "0.0000000011", "null", Some(2)),
        (false, "0.30000000000000004", "null", Some(300_000_000)),
        (true, "0.0005", "0.01", Some(10_500_000)),
        // Whoever bills the caller's own key does not say how much.
        (true, "0.0005", "null", None),
        (false, "null", "0.1", None),
    ] {
        let number = |text: &str| serde_json::from_str(text).unwrap();
        let body = routed(byok, number(cost), number(upstream));
        assert_eq!(nanos(&check(Api::OpenRouterChat, &body, expected)), nano, "{body}");
    }
    for wrong in [json!(-0.1), json!("x"), json!([]), json!(1e300), json!(true)] {
        let error = usage(Api::OpenRouterChat, &routed(false, wrong, Value::Null)).unwrap_err();
        assert!(error.to_string().contains("`cost`"), "{error}");
    }
}

#[test]
fn langchain_and_the_ai_sdk() {
    let message = json!({"usage_metadata": {"input_tokens": 350, "output_tokens": 240, "total_tokens": 590,
        "input_token_details": {"audio": 10, "image": 12, "text": 28, "cache_creation": 0, "cache_read": 100,
            "ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50},
        "output_token_details": {"audio": 11, "reasoning": 200}},
        "response_metadata": {"model_name": "m"}, "content": "x"});
    let expected = Usage {
        cache_read_tokens: 100,
        cache_write_tokens: 150,
        cache_write_1h_tokens: 50,
        input_audio_tokens: 10,
        input_image_tokens: 12,
        reasoning_tokens: 200,
        output_audio_tokens: 11,
        ..Usage::tokens(350, 240)
    };
    assert_eq!(check(Api::LangChain, &message, expected).model.as_deref(), Some("m"));
    check(Api::LangChain, &message["usage_metadata"], expected);
    assert_eq!(usage(Api::LangChain, &json!({"content": "x"})).unwrap().usage, None);

    let expected = Usage {
        cache_read_tokens: 30,
        cache_write_tokens: 20,
        reasoning_tokens: 7,
        ..Usage::tokens(100, 40)
    };
    let model = json!({"inputTokens": {"total": 100, "noCache": 50, "cacheRead": 30, "cacheWrite": 20},
        "outputTokens": {"total": 40, "text": 33, "reasoning": 7}, "raw": {"anything": 5}});
    check(Api::AiSdk, &model, expected);
    let result = json!({"inputTokens": 100, "outputTokens": 40, "totalTokens": 140, "reasoningTokens": 7,
        "cachedInputTokens": 30, "outputTokenDetails": {"textTokens": 33, "reasoningTokens": 7},
        "inputTokenDetails": {"noCacheTokens": 50, "cacheReadTokens": 30, "cacheWriteTokens": 20}});
    check(Api::AiSdk, &json!({"usage": result, "response": {"modelId": "m"}}), expected);
    // Models before version 3 may leave reasoning out of the output.
    let older = json!({"inputTokens": 100, "outputTokens": 33, "totalTokens": 140, "reasoningTokens": 7});
    check(Api::AiSdk, &older, Usage { reasoning_tokens: 7, ..Usage::tokens(100, 40) });
    let oldest = json!({"promptTokens": 100, "completionTokens": 40, "totalTokens": 140});
    check(Api::AiSdk, &oldest, Usage::tokens(100, 40));
    check(Api::AiSdk, &json!({"usage": oldest}), Usage::tokens(100, 40));
}

/// The usage of these events, and that without the last of them there is none.
fn check_events(api: Api, events: &[Value], expected: Usage) {
    assert_eq!(usage_of_events(api, events).unwrap().usage, Some(expected), "{api}");
    let cut = usage_of_events(api, &events[..events.len() - 1]).unwrap().usage;
    assert_eq!(cut, None, "{api} broke off");
}

#[test]
fn of_running_counts_the_last_is_the_whole() {
    let used = |output: u64| json!({"prompt_tokens": 9, "completion_tokens": output});
    let chunk =
        |output: u64, reason: Value| json!({"choices": [{"finish_reason": reason}], "usage": used(output)});
    let expected = Usage::tokens(9, 4);
    let running = [chunk(1, Value::Null), chunk(4, "stop".into())];
    check_events(Api::PerplexityChat, &running, expected);
    check_events(Api::MistralChat, &running, expected);
    check_events(Api::GroqChat, &[json!({"choices": [], "x_groq": {"usage": used(4)}})], expected);
    let converse = [
        json!({"contentBlockDelta": {"delta": {"text": "a"}}}),
        json!({"metadata": {"usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}}}),
    ];
    check_events(Api::BedrockConverse, &converse, expected);
    let billed = json!({"billed_units": {"input_tokens": 9, "output_tokens": 4}});
    let end = json!({"type": "message-end", "delta": {"usage": billed}});
    check_events(Api::CohereChat, &[json!({"type": "message-start"}), end], expected);
    let ollama = [json!({"done": false}), json!({"done": true, "prompt_eval_count": 9, "eval_count": 4})];
    check_events(Api::OllamaChat, &ollama, expected);
    let finish =
        json!({"type": "finish", "usage": {"inputTokens": {"total": 9}, "outputTokens": {"total": 4}}});
    check_events(Api::AiSdk, &[json!({"type": "text-delta", "delta": "a"}), finish], expected);
}

#[test]
fn the_usage_of_gemini_is_final_when_its_last_candidate_has_ended() {
    let event = |index: u64, output: u64, reason: Value| {
        let told = json!({"promptTokenCount": 9, "candidatesTokenCount": output});
        json!({"candidates": [{"index": index, "finishReason": reason}], "usageMetadata": told})
    };
    let begun = [event(0, 1, Value::Null), event(1, 2, Value::Null), event(0, 3, "STOP".into())];
    assert_eq!(usage_of_events(Api::GeminiGenerate, &begun).unwrap().usage, None);
    let whole = [&begun[..], &[event(1, 4, "MAX_TOKENS".into())]].concat();
    assert_eq!(usage_of_events(Api::GeminiGenerate, &whole).unwrap().usage, Some(Usage::tokens(9, 4)));
}

#[test]
fn a_later_usage_of_gemini_may_lack_what_an_earlier_one_told() {
    let event = |output: Value, reason: Value| {
        let told = json!({"promptTokenCount": 9, "candidatesTokenCount": output, "trafficType": "ON_DEMAND"});
        json!({"candidates": [{"finishReason": reason}], "modelVersion": "g", "usageMetadata": told})
    };
    let (running, last) = (event(2.into(), Value::Null), event(4.into(), "STOP".into()));
    check_events(Api::GeminiGenerate, &[running, last.clone()], Usage::tokens(9, 4));
    let after = usage_of_events(Api::GeminiGenerate, &[last, event(Value::Null, Value::Null)]).unwrap();
    assert_eq!((after.usage, after.model.as_deref()), (Some(Usage::tokens(9, 4)), Some("g")));
}

#[test]
fn searches_of_gemini_count_though_an_earlier_event_told_them() {
    let searched = json!({"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]});
    let last = json!({"candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}});
    let expected = Usage { web_searches: 2, ..Usage::tokens(9, 5) };
    check_events(Api::GeminiGenerate, &[searched, last], expected);
}

#[test]
fn of_langchain_the_sum_is_the_whole() {
    let chunk = |input: u64, output: u64, read: u64| {
        json!({"usage_metadata": {"input_tokens": input, "output_tokens": output,
            "total_tokens": input + output, "input_token_details": {"cache_read": read}}})
    };
    let chunks = [chunk(9, 0, 5), json!({"content": "a"}), chunk(0, 3, 0), chunk(0, 1, 0)];
    let expected = Usage { cache_read_tokens: 5, ..Usage::tokens(9, 4) };
    assert_eq!(usage_of_events(Api::LangChain, &chunks).unwrap().usage, Some(expected));
}
