//! Names, and books to find them in.

use super::*;

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
    let text = include_str!("../../../../prices/book.txt");
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
fn a_name_nobody_knows_is_told_what_it_looks_like() {
    let book = PriceBook::bundled().with_overrides(r#"{"house-7b": {"input": 0, "output": 0}}"#).unwrap();
    for (provider, name, alike) in [
        (None, "gpt-4o-minj", "did you mean `gpt-4o-mini`"),
        (None, "anthropic/claude-opus5", "did you mean `claude-opus-5`"),
        (Some("groq"), "openai/gpt-oss-120", "did you mean `openai/gpt-oss-120b`"),
        (None, "house-7c", "did you mean `house-7b`"),
    ] {
        let error = book.find(provider, name, NOW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unpriced, "{name}");
        assert!(error.to_string().contains(alike), "{error}");
    }
    let error = book.find(None, "nothing-like-any-model-there-is", NOW).unwrap_err();
    assert!(!error.to_string().contains("did you mean"), "{error}");
}

#[test]
fn a_name_that_begins_with_its_own_provider_is_whole_where_that_is_given() {
    let book = PriceBook::bundled();
    let model = |provider| book.find(provider, "perplexity/sonar", NOW).unwrap().model.to_string();
    assert_eq!(model(Some("perplexity")), "perplexity/sonar");
    assert_eq!(model(None), "sonar");
}
