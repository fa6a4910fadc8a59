mod names;

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
fn a_price_holds_in_its_hours() {
    let line = "m\t\ti1 o2 @2026-08-17 i4 o5 ~0100-0400 i8 o9 ~2200-0030 @2026-09-01 / @2026-10-01 i3 o3";
    let book = PriceBook::read(&format!("outlay prices 1\tv\tby hand\n:acme\tacme\n{line}\n")).unwrap();
    let august_20 = 1_787_184_000_000;
    let at = |minutes: i64| book.find(Some("acme"), "m", august_20 + minutes * 60_000);
    for (minutes, input) in [(0, 8), (30, 4), (59, 4), (60, 8), (239, 8), (240, 4), (1_319, 4), (1_320, 8)] {
        assert_eq!(at(minutes).unwrap().prices(0).input, input * 1_000_000, "{minutes}");
    }
    // Hours belong to their date: there are none before it, and a later date ends them.
    assert_eq!(at(-10 * 1_440 + 60).unwrap().prices(0).input, 1_000_000);
    assert_eq!(at(12 * 1_440 + 60).unwrap_err().kind(), ErrorKind::Unpriced);
    assert_eq!(at(60 * 1_440 + 60).unwrap().prices(0).input, 3_000_000);
}

#[test]
fn what_is_disputed_is_charged_by_one_and_held_by_the_dearer() {
    let line = "m\t\ti4 o5 r1 s.01 ? i3 o6 >1000 i7 s.02 !flex i2 o2 ? o9";
    let book = PriceBook::read(&format!("outlay prices 1\tv\tby hand\n:acme\tacme\n{line}\n")).unwrap();
    let price = book.find(Some("acme"), "m", NOW).unwrap();
    let usage = Usage { web_searches: 1, ..Usage::tokens(1_000, 1_000) };
    assert_eq!(nanos(&price, &usage), 4_000_000 + 5_000_000 + 10_000_000);
    let exposure = Exposure { web_searches: 1, ..Exposure::tokens(1_000) };
    let worst = |exposure: &Exposure| price.worst(exposure).unwrap().amount(1_000).unwrap().nanos();
    assert_eq!(worst(&exposure), 4_000_000 + 6_000_000 + 20_000_000);
    assert_eq!(worst(&Exposure { input_tokens: 1_001, ..exposure }), 7_007_000 + 6_000_000 + 20_000_000);
    let flex = Exposure { service_tier: ServiceTier::Flex, ..Exposure::tokens(1_000) };
    assert_eq!(worst(&flex), 4_000_000 + 9_000_000);
    let error = price.worst(&Exposure { service_tier: ServiceTier::Priority, ..flex }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unpriced);
}

#[test]
fn searches_are_billed_apiece_or_as_one() {
    for (model, nanos) in [("gemini-2.5-flash", 35_000_000), ("gemini-3.1-pro-preview", 3 * 14_000_000)] {
        let price = find(model);
        let usage = Usage { web_searches: 3, ..Usage::tokens(0, 0) };
        assert_eq!(price.charge(&usage).unwrap().amount.nanos(), nanos, "{model}");
        let lines = price.lines(&usage, ServiceTier::Standard).unwrap();
        assert_eq!(
            lines.iter().map(|line| line.quantity as i64 * line.pico_each).sum::<i64>(),
            nanos * 1_000
        );
    }
}

#[test]
fn a_discount_is_taken_off_everything_of_its_provider() {
    let json = r#"{"openai/*": {"discount": "15%"}, "gpt-4": {"input": 1, "output": 1},
        "azure/prod": {"as": "azure/gpt-4o", "discount": "0.0001%"}}"#;
    let book = PriceBook::bundled().with_overrides(json).unwrap();
    let find = |name: &str| book.find(None, name, NOW).unwrap();
    assert_eq!(find("gpt-4o").prices(0).input, 2_125_000);
    assert_eq!(find("gpt-4").prices(0).input, 1_000_000);
    assert_eq!(find("azure/gpt-4o").prices(0).input, 2_500_000);
    assert_eq!(find("azure/prod").prices(0).input, 2_499_998);
    let all = PriceBook::bundled().with_overrides(r#"{"*": {"discount": "100%"}}"#).unwrap();
    assert_eq!(all.find(None, "claude-opus-5", NOW).unwrap().prices(0).output, 0);
    for json in [
        r#"{"openai/*": {"input": 1, "output": 1}}"#,
        r#"{"gpt-4o": {"discount": "101%"}}"#,
        r#"{"gpt-4o": {"discount": "-1%"}}"#,
        r#"{"gpt-4o": {"discount": 0.15}}"#,
        r#"{"m": {"as": "gpt-4o-foo"}}"#,
        r#"{"m": {"as": "gpt-4o", "input": 1, "output": 1}}"#,
    ] {
        let error = PriceBook::bundled().with_overrides(json).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{json}");
    }
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
            is_regional: false,
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
