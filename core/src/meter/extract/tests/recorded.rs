//! Does it read what providers really sent?
//!
//! The data set has response bodies, and what every extractor of genai-prices made of each, foreign
//! ones too. Compared is what the extractor of the API a body came from says ([`maker`]); the rest is
//! of no meaning, for example Anthropic's caches read as if they were OpenAI's.

use super::*;
use crate::value::money::decimal;

/// Response bodies with what they mean and cost, from a public data set; not part of the repository.
fn recorded() -> Vec<Value> {
    let Some(packed) = crate::meter::samples::open("usage_bodies.dev.json.gz") else { return Vec::new() };
    serde_json::from_reader(flate2::read::GzDecoder::new(packed)).unwrap()
}

/// Whose API a body came from, and by which name the data set has it. Compatible servers that have no
/// dialect of their own count as OpenAI.
fn maker(body: &Value) -> Named {
    let told = |root: &str, key: &str| body.get(root).is_some_and(|usage| usage.get(key).is_some());
    let is =
        |key: &str, part: &str| body.get(key).and_then(Value::as_str).is_some_and(|text| text.contains(part));
    if told("usage", "prompt_tokens") {
        if told("usage", "cost") || is("file", "openrouter") {
            return ("openrouter", "chat");
        }
        if told("usage", "queue_time") {
            return ("groq", "default");
        }
        let is_mistral = is("file", "mistral") && !is("model", "/");
        return if is_mistral { ("mistral", "default") } else { ("openai", "chat") };
    }
    let marks = [
        ("usageMetadata", "promptTokenCount", ("google", "default")),
        ("usage", "cache_read_input_tokens", ("anthropic", "default")),
        ("usage", "input_tokens_details", ("openai", "responses")),
        ("usage", "inputTokens", ("aws", "default")),
        ("usage", "billed_units", ("cohere", "default")),
    ];
    let found = marks.into_iter().find(|(root, key, _)| told(root, key));
    found.unwrap_or_else(|| panic!("nobody's body: {body}")).2
}

/// A provider and one of its APIs.
type Named = (&'static str, &'static str);

/// The extractors that are right for a body besides the maker's own.
const ALSO: &[(Named, Named)] = &[
    (("cohere", "default"), ("cohere", "tokens")),
    (("groq", "default"), ("openai", "chat")),
    (("mistral", "default"), ("openai", "chat")),
    (("anthropic", "default"), ("aws", "anthropic")),
    (("anthropic", "default"), ("google", "anthropic")),
];

/// The recorded usage in our terms. Writes of one hour stand beside the others, not among them; text
/// is what is left of the whole; results of tools are input like any other.
fn expected(usage: &Value) -> Usage {
    let known = usage.as_object().unwrap();
    let count = |key: &str| known.get(key).map_or(0, |value| value.as_u64().unwrap());
    for key in known.keys() {
        let rest =
            key.trim_start_matches("input_").trim_start_matches("output_").trim_start_matches("cache_");
        let kinds = ["tokens", "read_tokens", "write_tokens", "write_5m_tokens", "write_1h_tokens"];
        let media =
            ["audio_tokens", "image_tokens", "video_tokens", "audio_read_tokens", "image_read_tokens"];
        let others = ["text_tokens", "text_read_tokens", "tool_tokens", "reasoning_tokens", "web_searches"];
        assert!([&kinds[..], &media, &others].concat().contains(&rest), "a new unit: {key}");
    }
    Usage {
        input_tokens: count("input_tokens"),
        cache_read_tokens: count("cache_read_tokens"),
        cache_write_tokens: count("cache_write_tokens") - count("cache_write_1h_tokens"),
        cache_write_1h_tokens: count("cache_write_1h_tokens"),
        cache_read_audio_tokens: count("cache_audio_read_tokens"),
        cache_read_image_tokens: count("cache_image_read_tokens"),
        input_audio_tokens: count("input_audio_tokens"),
        input_image_tokens: count("input_image_tokens"),
        input_video_tokens: count("input_video_tokens"),
        output_tokens: count("output_tokens"),
        reasoning_tokens: count("output_reasoning_tokens"),
        output_audio_tokens: count("output_audio_tokens"),
        output_image_tokens: count("output_image_tokens"),
        output_video_tokens: count("output_video_tokens"),
        web_searches: count("web_searches"),
    }
}

/// What genai-prices leaves out of a body that tells it.
fn left_out(extractor: (&str, &str), usage: Usage) -> Usage {
    match extractor {
        // The same body as from Anthropic itself; thinking and searches have no mapping there.
        ("aws" | "google", "anthropic") => Usage { reasoning_tokens: 0, web_searches: 0, ..usage },
        _ => usage,
    }
}

#[test]
fn recorded_bodies_mean_what_they_meant() {
    let (mut compared, mut bodies, mut wrong) = (0, 0, Vec::new());
    let recorded = recorded();
    for case in &recorded {
        let own = maker(&case["body"]);
        let before = compared;
        for meaning in case["extracted"].as_array().unwrap() {
            for extractor in meaning["extractors"].as_array().unwrap() {
                let name = |key: &str| extractor[key].as_str().unwrap();
                let named = (name("provider_id"), name("api_flavor"));
                if named != own && !ALSO.contains(&(own, named)) {
                    continue;
                }
                compared += 1;
                let api = Api::find(named.0, named.1).unwrap();
                let extracted = usage(api, &case["body"]).unwrap();
                let found = left_out(named, extracted.usage.unwrap());
                if found != expected(&meaning["usage"]) {
                    wrong.push(format!("{api} usage {found:?} from {}", case["body"]));
                }
                let unknown = extracted.unknown_fields.iter().find(|path| !is_foreign(path, named, own));
                wrong.extend(unknown.map(|path| format!("{api} does not know `{path}` of {}", case["body"])));
            }
        }
        bodies += usize::from(compared > before);
    }
    eprintln!("{compared} usages of {bodies} bodies compared");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(bodies, recorded.len(), "every body came from an API we read");
}

/// Fields a proxy put in, the advisor's round at a price of its own, and those of a dialect that is
/// read as what it is a dialect of.
fn is_foreign(path: &str, named: (&str, &str), own: (&str, &str)) -> bool {
    let of_dialect = named == ("openai", "chat") && own != named;
    path.starts_with("pydantic_ai_gateway") || path == "iterations.1" || of_dialect
}

#[test]
fn what_openrouter_charged_is_the_cost() {
    let mut told = 0;
    for case in recorded() {
        let Some(cost) = case["body"]["usage"].get("cost") else { continue };
        let extracted = usage(Api::OpenRouterChat, &case["body"]).unwrap();
        let nanos = decimal(&cost.to_string(), 9).unwrap();
        assert_eq!(extracted.cost.map(|cost| i128::from(cost.nanos())), Some(nanos), "{}", case["body"]);
        told += 1;
    }
    eprintln!("{told} costs compared");
}
