//! Do recorded usages cost what a public price table said they cost?
//!
//! The recording holds response bodies with what they mean and what genai-prices charged for them in
//! August 2026, provider by provider. Expected usages come from the recording, so this is about prices
//! alone. Where we differ, [`DIFFERENT`] says why, and a reason that explains nothing fails.

#[path = "fixture/samples.rs"]
mod samples;

use std::collections::BTreeMap;

use outlay::{
    Millis, Usage,
    meter::{CacheWrite, Exposure, Media, PriceBook, ServiceTier},
};
use serde_json::Value;

/// When the recorded prices were computed.
const RECORDED: Millis = 1_786_000_000_000;

/// The day of the book, when `disagreements.txt` was written.
const PRICED: Millis = 1_795_305_600_000;

/// Provider, model, and why genai-prices was wrong about it.
const DIFFERENT: [(&str, &str, &str); 8] = [
    ("openai", "gpt-4o-audio-preview-2024-12-17", "it charges audio as text; litellm lists 40 and 80 USD"),
    ("azure", "gpt-4o-audio-preview-2024-12-17", "it charges audio as text; litellm lists 40 and 80 USD"),
    ("azure", "gpt-oss-120b", "it has OpenAI's price, who does not sell it; litellm lists Azure's"),
    ("deepseek", "deepseek-r1-distill-llama-70b", "another model: it takes whatever begins with deepseek-r1"),
    ("aws", "openai.gpt-5.6-luna", "it has since added the cut of 2026-07-30"),
    ("mistral", "mistral-medium-latest", "it has since added the move of the alias on 2026-06-16"),
    ("mistral", "mistral-small-latest", "it has since moved the alias to Mistral Small 4"),
    ("mistral", "mistral-large-latest", "its alias is still the model before Mistral Large 3"),
];

fn recorded() -> Vec<Value> {
    let Some(packed) = samples::open("usage_bodies.dev.json.gz") else { return Vec::new() };
    serde_json::from_reader(flate2::read::GzDecoder::new(packed)).unwrap()
}

/// The recorded usage in our terms: writes of one hour stand beside the others, not among them.
fn expected(usage: &Value) -> Usage {
    let count = |key: &str| usage.get(key).map_or(0, |value| value.as_u64().unwrap());
    Usage {
        cache_read_tokens: count("cache_read_tokens"),
        cache_write_tokens: count("cache_write_tokens") - count("cache_write_1h_tokens"),
        cache_write_1h_tokens: count("cache_write_1h_tokens"),
        cache_read_audio_tokens: count("cache_audio_read_tokens"),
        cache_read_image_tokens: count("cache_image_read_tokens"),
        input_audio_tokens: count("input_audio_tokens"),
        input_image_tokens: count("input_image_tokens"),
        input_video_tokens: count("input_video_tokens"),
        reasoning_tokens: count("output_reasoning_tokens"),
        output_audio_tokens: count("output_audio_tokens"),
        output_image_tokens: count("output_image_tokens"),
        output_video_tokens: count("output_video_tokens"),
        ..Usage::tokens(count("input_tokens"), count("output_tokens"))
    }
}

/// A recorded amount of USD, such as `0.0000462` or `1E-7`, in nano-USD, rounded up as a charge is.
fn nanos(amounts: [&Value; 2]) -> i128 {
    const FINE: i128 = 10_i128.pow(15);
    (amounts.map(fine).iter().sum::<i128>() + FINE - 1) / FINE
}

fn fine(amount: &Value) -> i128 {
    let text = amount.as_str().unwrap();
    let (mantissa, exponent) = text.split_once(['E', 'e']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let places = 24 + exponent.parse::<i32>().unwrap() - fraction.len() as i32;
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap();
    digits * 10_i128.pow(u32::try_from(places).unwrap())
}

#[test]
fn recorded_usages_cost_what_they_cost() {
    let book = PriceBook::bundled();
    let (mut same, mut differ) = (BTreeMap::<String, u32>::new(), BTreeMap::<String, String>::new());
    for case in recorded() {
        let model = case["model"].as_str().unwrap_or_default();
        for meaning in case["extracted"].as_array().unwrap() {
            let usage = expected(&meaning["usage"]);
            for extractor in meaning["extractors"].as_array().unwrap() {
                let provider = extractor["provider_id"].as_str().unwrap();
                if extractor["input_price"].is_null() {
                    continue;
                }
                let recorded = nanos([&extractor["input_price"], &extractor["output_price"]]);
                let price = book.find(Some(provider), model, RECORDED);
                let charged = price.and_then(|price| price.charge_served(&usage, ServiceTier::Standard));
                match charged {
                    Ok(charge) if i128::from(charge.amount.nanos()) == recorded => {
                        *same.entry(provider.to_owned()).or_default() += 1;
                    }
                    Ok(charge) => {
                        let what = format!("{} instead of {recorded} nano-USD for {usage:?}", charge.amount);
                        differ.insert(format!("{provider} {model}"), what);
                    }
                    Err(error) => {
                        differ.insert(format!("{provider} {model}"), error.to_string());
                    }
                }
            }
        }
    }
    eprintln!("the same: {same:?}");
    for (provider, model, reason) in DIFFERENT {
        let key = format!("{provider} {model}");
        match differ.remove(&key) {
            Some(what) => eprintln!("{key}: {reason}: {what}"),
            None if same.is_empty() => {}
            None => panic!("{key} does not differ"),
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn what_nobody_has_decided_is_held_at_the_dearer_of_both() {
    let book = PriceBook::bundled();
    let listed = include_str!("../prices/disagreements.txt");
    let mut undecided = 0;
    for line in listed.lines().filter(|line| line.contains("\tundecided")) {
        let [provider, model, what, one, two, _] = line.split('\t').collect::<Vec<_>>()[..] else { panic!() };
        let price = book.find(Some(provider), model, PRICED).unwrap();
        let (what, tier) = what.split_once(' ').unwrap_or((what, "standard"));
        let (unit, above) = what.split_once('>').unwrap_or((what, "0"));
        let text = Media::default();
        let exposure = Exposure {
            input_tokens: above.parse::<u64>().unwrap() + 10_000,
            cache_write: [CacheWrite::Default, CacheWrite::OneHour][usize::from(unit == "h")],
            web_searches: u64::from(unit == "s"),
            input_media: Media { audio: unit == "ia", ..text },
            output_media: Media { audio: unit == "oa", ..text },
            service_tier: ServiceTier::read(tier).unwrap(),
            is_regional: false,
        };
        let worst = price.worst(&exposure).unwrap();
        // Fees are listed in USD apiece, all else in USD for a million tokens.
        let (held, scale) = match unit {
            "s" => (i128::from(worst.fee_nanos), 9),
            "o" | "oa" => (i128::from(worst.output_pico_per_token), 6),
            _ => (worst.input_pico / i128::from(exposure.input_tokens), 6),
        };
        let dearer = [one, two].map(|amount| fine(&amount.into()) / 10_i128.pow(24 - scale));
        assert!(dearer.iter().all(|told| held >= *told), "{line}: {held} for {dearer:?}");
        undecided += 1;
    }
    assert!(undecided > 0, "nothing is undecided any more: this test says nothing");
}
