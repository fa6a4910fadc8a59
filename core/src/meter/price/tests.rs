use proptest::prelude::*;

use super::*;
use crate::value::Usage;

/// 2026-11-22, when the files were made.
const NOW: i64 = 1_795_305_600_000;

fn find(model: &str) -> Arc<ModelPrice> {
    PriceBook::bundled().find(None, model, NOW).unwrap()
}

fn nanos(price: &ModelPrice, usage: &Usage) -> i64 {
    price.charge(usage).unwrap().amount.nanos()
}

#[test]
fn cached_and_written_tokens_have_their_own_prices() {
    let sonnet = find("claude-sonnet-4-6");
    let usage = Usage {
        cache_read_tokens: 100_000,
        cache_write_tokens: 10_000,
        cache_write_1h_tokens: 1_000,
        ..Usage::tokens(120_000, 1_000)
    };
    // 9,000 × 3 + 100,000 × 0.30 + 10,000 × 3.75 + 1,000 × 6 + 1,000 × 15 USD per million.
    assert_eq!(nanos(&sonnet, &usage), 27_000_000 + 30_000_000 + 37_500_000 + 6_000_000 + 15_000_000);
}

#[test]
fn a_tier_prices_all_tokens_and_begins_behind_its_limit() {
    let price = find("gpt-5.5");
    assert_eq!(nanos(&price, &Usage::tokens(272_000, 1_000)), 1_360_000_000 + 30_000_000);
    assert_eq!(nanos(&price, &Usage::tokens(272_001, 1_000)), 2_720_010_000 + 45_000_000);
    let worst = price.worst(&Exposure::tokens(272_001)).unwrap();
    assert_eq!(worst.amount(1_000).unwrap().nanos(), 2_765_010_000);
}

#[test]
fn a_price_holds_from_its_date() {
    let book = PriceBook::bundled();
    let august_21 = 1_787_270_400_000;
    let before = book.find(Some("openai"), "gpt-5.6", august_21 - 1).unwrap();
    let after = book.find(Some("openai"), "gpt-5.6", august_21).unwrap();
    assert_eq!(nanos(&before, &Usage::tokens(1_000, 0)), 5_000_000);
    assert_eq!(nanos(&after, &Usage::tokens(1_000, 0)), 4_000_000);
    assert_eq!(book.find(None, "gpt-5.6", i64::MIN).unwrap(), before);
}

#[test]
fn one_rounding_upwards() {
    let price = find("gemini-flash-1.5-8b");
    assert_eq!(price.prices(1).input, 37_500);
    assert_eq!(nanos(&price, &Usage::tokens(1, 0)), 38); // 37.5
    assert_eq!(nanos(&price, &Usage::tokens(1, 1)), 188); // 37.5 + 150, rounded once
    assert_eq!(nanos(&price, &Usage::tokens(0, 0)), 0);
}

#[test]
fn searches_are_charged_apiece_or_not_known() {
    let usage = Usage { web_searches: 3, ..Usage::tokens(0, 0) };
    assert_eq!(nanos(&find("claude-opus-4-8"), &usage), 30_000_000);
    let error = find("o3-mini").charge(&usage).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unpriced);
}

#[test]
fn names_find_their_model() {
    for (name, model) in [
        ("gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-20240806", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai/gpt-4o", "gpt-4o"),
        ("openai:gpt-5-nano-2025-08-07", "gpt-5-nano"),
        ("ft:gpt-4o-2024-08-06:acme::abc123", "ft:gpt-4o"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc123", "ft:gpt-4o-mini"),
        ("gpt-4o-audio-preview-2024-12-17", "gpt-4o-audio-preview"),
        ("gpt-5.6-sol-2026-08-21", "gpt-5.6-sol"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-latest"),
        ("anthropic/claude-opus-4.1", "claude-opus-4-1"),
        ("claude-2.1", "claude-2"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("gemini-2.5-pro-preview-tts", "gemini-2.5-pro-tts"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.0-flash-thinking-exp-01-21", "gemini-2.0-flash"),
        ("gemini/gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("publishers/anthropic/models/claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("omni-moderation-latest", "moderation"),
        ("azure/gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("azure/claude-opus-5", "claude-opus-5"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o"),
        ("groq/openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("bedrock/converse/us.anthropic.claude-opus-5", "regional.anthropic.claude-opus-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("ft:gpt-4.1-2025-04-14:acme:name:abc123", "ft:gpt-4.1-2025-04-14"),
        ("vertex_ai/claude-opus-5@20260901", "claude-opus-5"),
        ("mistral/mistral-large-2411", "mistral-large"),
        ("xai/grok-4-0709", "grok-4-0709"),
        ("ollama/llama3.1:8b", "llama3.1:8b"),
    ] {
        assert_eq!(&*find(name).model, model, "{name}");
    }
    assert_eq!(&*find("publishers/anthropic/models/claude-haiku-4-5").provider, "google");
    assert_eq!(&*find("claude-haiku-4-5").provider, "anthropic");
    let vertex = PriceBook::bundled().find(Some("gcp.vertex_ai"), "claude-haiku-4-5@20251001", NOW);
    assert_eq!(&*vertex.unwrap().provider, "google");
}

#[test]
fn the_answer_says_which_rule_matched() {
    for (name, rule) in [
        ("gpt-4o", Rule::Listed),
        ("gpt-4o-2024-08-06", Rule::Listed),
        ("claude-opus-4-1-20250805", Rule::Snapshot),
        ("claude-haiku-4-5-latest", Rule::Snapshot),
        ("ft:gpt-4o-2024-08-06:acme::abc123", Rule::FineTune),
        ("gpt-4o-mini-2024-07-18.ft-0123", Rule::FineTune),
        ("azure/grok-4-0709", Rule::Maker),
        ("ollama/qwen3:8b", Rule::Local),
    ] {
        assert_eq!(find(name).rule, rule, "{name}");
    }
    let book = PriceBook::bundled().with_overrides(r#"{"azure/chat": {"as": "azure/gpt-4o"}}"#).unwrap();
    assert_eq!(book.find(None, "azure/chat", NOW).unwrap().rule, Rule::Yours);
    assert_eq!(book.find(Some("azure"), "chat", NOW).unwrap().rule, Rule::Yours);
}

#[test]
fn every_line_of_the_book_reads() {
    let text = include_str!("../../../prices/book.txt");
    assert!(text.len() <= 400_000, "{} bytes", text.len());
    let book = PriceBook::read(text).unwrap();
    let models = book.listings().count();
    assert!(models > 5_000, "{models}");
    for listing in book.listings() {
        let found = book.rows(Some(listing.provider), listing.model);
        assert!(found.is_some(), "{listing:?}");
    }
}

#[test]
fn a_book_that_does_not_read_is_refused() {
    let book = |line: &str| format!("outlay prices 1\t2027-01-01\tby hand\n:acme\tacme\n{line}\n");
    assert!(PriceBook::read(&book("m\t\ti1 o2 @2027-02-01 i2 o3 >1000 i3")).is_ok());
    for line in [
        "m\t\ti1 o2 i",
        "m\t\ti1 o-2",
        "m\t\ti1 x2",
        "m\t\ti1 o2 >x i3",
        "m\t\ti1 o2 >5 i3 >4 i2",
        "m\t\ti1 o2 !warp i3",
        "m\t\ti1 o2 @2027-13-01 i3",
        "m\t\ti1 o2 @2027-02-01 i3 @2027-01-01 i4",
        "m\t\ti1 o2 ~2500-0100 i3",
        "m\tq5\ti1 o2",
        "m\tw\ti1 o2",
        "m\t>n",
        "m\t\ti1 o2\nl\t\ti1 o2",
        "m\t\ti1 o2\nm\t\ti1 o2",
    ] {
        assert_eq!(PriceBook::read(&book(line)).unwrap_err().kind(), ErrorKind::InvalidInput, "{line}");
    }
    for text in [
        "",
        "outlay prices 2\tx\ty\n",
        "outlay prices 1\tx\ty\n:a\ta\tnobody\n",
        "outlay prices 1\tx\ty\n:a\n",
    ] {
        assert_eq!(PriceBook::read(text).unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
    }
}

#[test]
fn a_neighbour_has_no_price() {
    let book = PriceBook::bundled();
    for (provider, name) in [
        (None, "gpt-4o-foo-unknown"),
        (None, "gpt-4o-2027-01-01"),
        (None, "gpt-4o-"),
        (None, "gpt-5-nano-turbo"),
        (None, "claude-opus-4-9"),
        (None, "claude-opus-4-10"),
        (None, "claude-3-5-sonnet-xl"),
        (None, "claude-2-foo"),
        (None, "gemini-2.5-pro-max"),
        (None, "gemini-1.5-flash-16b"),
        (None, "azure/my-deployment"),
        (None, "openrouter/gpt-4o-foo"),
        (None, "bedrock/xx.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (None, "bedrock/mars-1/anthropic.claude-v2"),
        (None, "ft:gpt-4o-foo:acme::abc123"),
        (None, "ft:claude-sonnet-4-5:acme::abc123"),
        (None, "ollama/gpt-oss:120b-cloud"),
        (None, "ollama/"),
        (None, "llama3.1"),
        (None, "fal_ai/fal-ai/flux-pro/v1.1"),
        (None, "openai/claude-opus-4-1"),
        (None, "whisper-1"),
        (None, ""),
        (None, "/"),
        (None, "é-latest"),
        (None, "-latest-latest"),
        (Some("azure"), "gpt-4o-turbo"),
        (Some("openai"), "claude-opus-4-1"),
        (Some("openai"), "anthropic/claude-opus-4-1"),
        (Some(""), "gpt-4o"),
    ] {
        let error = book.find(provider, name, NOW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unpriced, "{name}");
    }
    let error = book.find(None, "my-model", NOW).unwrap_err();
    assert!(error.to_string().contains("model `my-model` has no known price"), "{error}");
}

#[test]
fn the_users_price_wins_and_replaces_all_others() {
    let book = PriceBook::bundled()
        .with_overrides(
            r#"{"gpt-4o": {"input": 0, "output": 10, "max_output_tokens": 5000, "request": "0.01"},
                "openai/o3": {"input": "1e-1", "output": 0.30, "cache_read": "0.0000001"},
                "claude-opus-4-6": {"max_output_tokens": 777},
                "Mine": {"input": 1, "output": 2, "web_search": 0.5, "reasoning": true}}"#,
        )
        .unwrap();
    let price = book.find(Some("openai"), "gpt-4o", NOW).unwrap();
    let usage = Usage { cache_read_tokens: 500, ..Usage::tokens(1_000, 5_000) };
    assert_eq!(nanos(&price, &usage), 50_000_000 + 10_000_000);
    assert_eq!((price.max_output_tokens, price.context_window), (Some(5_000), Some(128_000)));
    assert_eq!(price.encoding, Encoding::O200k);
    assert_ne!(&*price.version, PriceBook::bundled().version());
    // The snapshot keeps its own price; another spelling of the same name does not.
    assert_eq!(
        nanos(&book.find(None, "gpt-4o-2024-08-06", NOW).unwrap(), &Usage::tokens(1_000, 0)),
        2_500_000
    );
    assert_eq!(book.find(None, "openai/GPT-4o", NOW).unwrap(), price);
    let o3 = book.find(Some("openai"), "o3", NOW).unwrap();
    assert_eq!((o3.prices(0).input, o3.prices(0).output, o3.prices(0).cache_read), (100_000, 300_000, 1));
    let opus = book.find(Some("anthropic"), "claude-opus-4-6", 0).unwrap();
    assert_eq!((opus.max_output_tokens, opus.prices(200_001).input), (Some(777), 10_000_000));
    let mine = book.find(Some("gateway"), "mine", NOW).unwrap();
    assert_eq!(nanos(&mine, &Usage { web_searches: 2, ..Usage::tokens(0, 0) }), 1_000_000_000);
    assert!(mine.reasoning);
}

#[test]
fn what_is_no_price_is_refused() {
    for json in [
        "",
        "[]",
        "3",
        r#"{"m": 3}"#,
        r#"{"m": {"input": 1}}"#,
        r#"{"m": {"cache_read": 1}}"#,
        r#"{"m": {"max_output_tokens": 5}}"#,
        r#"{"m": {"input": -1, "output": 1}}"#,
        r#"{"m": {"input": "-0.0000000000001", "output": 1}}"#,
        r#"{"m": {"input": "NaN", "output": 1}}"#,
        r#"{"m": {"input": null, "output": 1}}"#,
        r#"{"m": {"input": 1e30, "output": 1}}"#,
        r#"{"m": {"input": 1, "output": 1, "colour": 1}}"#,
        r#"{"gpt-4o": {"max_output_tokens": 1.5}}"#,
        r#"{"gpt-4o": {"max_output_tokens": 0}}"#,
        r#"{"gpt-4o": {"reasoning": "yes"}}"#,
    ] {
        let error = PriceBook::bundled().with_overrides(json).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{json}");
    }
}

#[test]
fn no_price_is_read_as_nothing() {
    let json = r#"{"m": {"input": 1e-60, "output": "0.0000000000000000000000000000001"}}"#;
    let book = PriceBook::bundled().with_overrides(json).unwrap();
    let price = book.find(None, "m", NOW).unwrap();
    assert_eq!((price.prices(0).input, price.prices(0).output), (1, 1));
}

#[test]
fn what_is_affordable_is_payable() {
    let worst = find("gpt-4o").worst(&Exposure::tokens(1_000)).unwrap();
    assert_eq!(worst.affordable_output_tokens(Money::from_nanos(2_499_999)), None);
    assert_eq!(worst.affordable_output_tokens(Money::from_nanos(2_500_000)), Some(0));
    assert_eq!(worst.affordable_output_tokens(Money::from_nanos(2_519_999)), Some(1));
    assert_eq!(worst.affordable_output_tokens(Money::from_nanos(-1)), None);
    assert_eq!(
        Worst { output_pico_per_token: 0, ..worst }.affordable_output_tokens(Money::from_nanos(i64::MAX)),
        Some(u64::MAX)
    );
}

#[test]
fn what_cannot_be_is_refused() {
    let price = find("gpt-4o");
    for usage in [
        Usage { input_audio_tokens: 6, input_image_tokens: 5, ..Usage::tokens(10, 0) },
        Usage { output_audio_tokens: 6, output_image_tokens: 5, ..Usage::tokens(0, 10) },
        Usage::tokens(u64::MAX, 0),
        Usage { web_searches: u64::MAX, ..Usage::tokens(0, 0) },
    ] {
        assert_eq!(price.charge(&usage).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let dear = PriceBook::bundled().with_overrides(r#"{"m": {"input": 9e6, "output": 9e6}}"#).unwrap();
    let dear = dear.find(None, "m", NOW).unwrap();
    assert_eq!(
        dear.charge(&Usage::tokens(1_000_000_000_000, 0)).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

fn prices() -> impl Strategy<Value = UnitPrices> {
    prop::array::uniform14(0..100_000_000_i64).prop_map(|p| UnitPrices {
        input: p[0],
        cache_read: p[1],
        cache_write: p[2],
        cache_write_1h: p[3],
        input_audio: p[4],
        input_image: p[5],
        cache_audio_read: p[6],
        cache_image_read: p[7],
        output: p[8],
        output_audio: p[9],
        output_image: p[10],
        input_video: p[11],
        reasoning: p[12],
        output_video: p[13],
    })
}

fn models() -> impl Strategy<Value = ModelPrice> {
    let fees = (0..1_000_000_000_i64, 0..1_000_000_000_i64);
    (by_context(), by_context(), prop::option::of(by_context()), fees, any::<bool>()).prop_map(
        |(standard, flex, disputed, (request_nanos, search), automatic_cache_writes)| ModelPrice {
            standard: Served { charged: standard, disputed },
            served: Arc::new([(ServiceTier::Flex, Served { charged: flex, disputed: None })]),
            request_nanos,
            web_search_nanos: Some(search),
            web_search_most_nanos: Some(search),
            automatic_cache_writes,
            ..(*find("gpt-4o")).clone()
        },
    )
}

fn by_context() -> impl Strategy<Value = ByContext> {
    (prices(), prop::collection::vec((1..2_000_u64, prices()), 0..3)).prop_map(|(base, mut tiers)| {
        tiers.sort_by_key(|(above, _)| *above);
        ByContext { base, tiers: tiers.into() }
    })
}

fn exposures() -> impl Strategy<Value = Exposure> {
    let write = prop_oneof![Just(CacheWrite::None), Just(CacheWrite::Default), Just(CacheWrite::OneHour)];
    let tier = prop_oneof![Just(ServiceTier::Standard), Just(ServiceTier::Flex), Just(ServiceTier::Batch)];
    (0..3_000_u64, write, 0..4_u64, prop::array::uniform4(any::<bool>()), tier).prop_map(
        |(input_tokens, cache_write, web_searches, media, service_tier)| Exposure {
            input_tokens,
            cache_write,
            web_searches,
            input_media: Media { audio: media[0], image: media[1] },
            output_media: Media { audio: media[2], image: media[3] },
            service_tier,
        },
    )
}

/// A usage the exposure allows; `shares` are thousandths of what is left.
fn usage_within(model: &ModelPrice, exposure: &Exposure, output: u64, shares: [u64; 11]) -> Usage {
    let share = |index: usize, of: u64| of * shares[index] / 1_000;
    let input = share(0, exposure.input_tokens);
    let write = share(1, input);
    let hour = share(2, input - write);
    let allowed = |asked: bool, tokens: u64| if asked { tokens } else { 0 };
    let unasked = model.automatic_cache_writes || exposure.cache_write >= CacheWrite::Default;
    let cache_write = allowed(unasked, write);
    let cache_write_1h = allowed(exposure.cache_write == CacheWrite::OneHour, hour);
    let output = share(3, output);
    let audio = allowed(exposure.input_media.audio, share(4, input));
    let output_audio = allowed(exposure.output_media.audio, share(5, output));
    Usage {
        cache_read_tokens: share(6, input - cache_write - cache_write_1h),
        cache_write_tokens: cache_write,
        cache_write_1h_tokens: cache_write_1h,
        input_audio_tokens: audio,
        input_image_tokens: allowed(exposure.input_media.image, share(7, input - audio)),
        reasoning_tokens: share(8, output),
        output_audio_tokens: output_audio,
        output_image_tokens: allowed(exposure.output_media.image, share(9, output - output_audio)),
        web_searches: share(10, exposure.web_searches),
        ..Usage::tokens(input, output)
    }
}

proptest! {
    #[test]
    fn no_usage_within_the_exposure_costs_more_than_its_worst_case(
        model in models(),
        exposure in exposures(),
        output in 0..3_000_u64,
        shares in prop::array::uniform11(0..=1_000_u64),
    ) {
        let usage = usage_within(&model, &exposure, output, shares);
        usage.check().unwrap();
        let worst = model.worst(&exposure).unwrap();
        for tier in [ServiceTier::Standard, exposure.service_tier] {
            let charge = model.charge_served(&usage, tier).unwrap();
            prop_assert!(charge.amount <= worst.amount(output).unwrap(), "{usage:?}: {charge:?} > {worst:?}");
            let lines = model.lines(&usage, tier).unwrap();
            let sum: i128 = lines.iter().map(|line| times(line.quantity, line.pico_each)).sum();
            prop_assert_eq!(rounded_up(sum, 0).unwrap(), charge.amount);
        }
        let affordable = worst.affordable_output_tokens(worst.amount(output).unwrap()).unwrap();
        prop_assert!(affordable >= output);
    }

    #[test]
    fn no_text_makes_the_price_book_panic(name in "\\PC{0,40}", json in "\\PC{0,60}") {
        let _ = PriceBook::bundled().find(None, &name, NOW);
        let _ = PriceBook::bundled().find(Some(&json), &name, NOW);
        let _ = PriceBook::bundled().with_overrides(&json);
    }
}
