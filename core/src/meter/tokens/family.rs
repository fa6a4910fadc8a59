//! Which tokenizer reads for this model, as far as its name tells?
//!
//! For models whose prices do not say it. The invariant: where nobody knows, the answer is none, and
//! the caller takes the largest ratio ever measured.

use super::Encoding;

/// Of a model's own vocabulary.
const EXACT_PER_MILLE: u32 = 1_000;

/// On top of what is reconstructed: nobody but its author has checked it against the provider.
const RECONSTRUCTED_PER_MILLE: u32 = 1_020;

/// What families use at most, per thousand tokens of `o200k_base`: measured on prose, source code,
/// JSON and Chinese, rounded up.
const RATIOS: [(&str, u32); 16] = [
    ("gemini", 1_400),
    ("gemma", 1_400),
    ("mistral", 1_150),
    ("mixtral", 1_150),
    ("ministral", 1_150),
    ("magistral", 1_150),
    ("codestral", 1_150),
    ("devstral", 1_150),
    ("pixtral", 1_150),
    ("deepseek", 1_150),
    ("qwen", 1_150),
    ("qwq", 1_150),
    ("glm", 1_150),
    ("kimi", 1_150),
    ("llama-4", 1_150),
    ("llama4", 1_150),
];

/// Models whose vocabulary is counted here, each by a part of its name. Only such as are published: what
/// a provider alone runs may read with another.
const OWN: [(&str, Encoding); 25] = [
    ("deepseek-chat", Encoding::DeepSeek),
    ("deepseek-reasoner", Encoding::DeepSeek),
    ("deepseek-flash", Encoding::DeepSeek),
    ("deepseek-pro", Encoding::DeepSeek),
    ("deepseek-r1", Encoding::DeepSeek),
    ("deepseek.r1", Encoding::DeepSeek),
    ("deepseek-v3", Encoding::DeepSeek),
    ("deepseek.v3", Encoding::DeepSeek),
    ("deepseek_v3", Encoding::DeepSeek),
    ("deepseek-v4", Encoding::DeepSeek),
    ("qwq-32b", Encoding::Qwen),
    ("mistral-nemo", Encoding::Tekken),
    ("mistral-small-3", Encoding::Tekken),
    ("mistral-small-24b", Encoding::Tekken),
    ("mistral-small-2501", Encoding::Tekken),
    ("mistral-small-2503", Encoding::Tekken),
    ("mistral-small-2506", Encoding::Tekken),
    ("ministral-8b-2410", Encoding::Tekken),
    ("pixtral-12b", Encoding::Tekken),
    ("magistral-small-2506", Encoding::Tekken),
    ("magistral-small-2507", Encoding::Tekken),
    ("magistral-small-2509", Encoding::Tekken),
    ("devstral-small-2505", Encoding::Tekken),
    ("devstral-small-2507", Encoding::Tekken),
    ("voxtral-small-24b", Encoding::Tekken),
];

/// In a name that also says one of these, two families meet, or it is a size that the family never had.
const MIXED: [&str; 5] = ["distill", "qwen", "llama", "-7b", "-8b"];

/// Llama 3 has the pieces and all tokens of `cl100k_base`, at the same ranks, and 27,744 above them,
/// which only ever join what those left. So it is never more tokens, and often fewer. Not 1,000, which
/// says that the count is exact.
pub(in crate::meter) const LLAMA3_PER_MILLE: u32 = 1_001;
const LLAMA3: [&str; 4] = ["llama-3", "llama3", "llama-v3", "llama_3"];

/// The vocabulary to count a model's text with, and its tokens per thousand of that vocabulary's at
/// most: 1,000 if it is the model's own.
///
/// # Example
///
/// ```
/// use outlay::meter::tokens::{Encoding, family};
///
/// assert_eq!(family("claude-sonnet-4-5-20250929"), Some((Encoding::Claude3, 1_020)));
/// assert_eq!(family("us.anthropic.claude-opus-4-7-v1:0"), Some((Encoding::Claude47, 1_020)));
/// assert_eq!(family("qwen/qwen3-32b"), Some((Encoding::Qwen, 1_000)));
/// assert_eq!(family("mistral-large-latest"), Some((Encoding::O200k, 1_150)));
/// assert_eq!(family("unheard-of"), None);
/// ```
pub fn family(model: &str) -> Option<(Encoding, u32)> {
    let model = model.to_ascii_lowercase();
    if let Some((_, after)) = model.split_once("claude") {
        return Some(claude(after));
    }
    let is_deepseek = model.contains("deepseek");
    if let Some((_, encoding)) = OWN.iter().find(|(name, _)| model.contains(name))
        && !(is_deepseek && MIXED.iter().any(|mixed| model.contains(mixed)))
    {
        return Some((*encoding, EXACT_PER_MILLE));
    }
    if !is_deepseek && model.rsplit_once("qwen").is_some_and(|(_, after)| is_published_qwen(after)) {
        return Some((Encoding::Qwen, EXACT_PER_MILLE));
    }
    if !is_deepseek && LLAMA3.iter().any(|name| model.contains(name)) {
        return Some((Encoding::Cl100k, LLAMA3_PER_MILLE));
    }
    let ratio = RATIOS.iter().find(|(name, _)| model.contains(name));
    ratio.map(|(_, per_mille)| (Encoding::O200k, *per_mille))
}

/// By the number after the name, `2.5`, `-v2p5`, `25`, `3`: 1.5 to 3, and none that only its maker runs.
fn is_published_qwen(after: &str) -> bool {
    let number = after.trim_start_matches(['-', 'v', '_']).as_bytes();
    let digit = |at: usize| number.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0');
    let minor = match number.get(1) {
        Some(b'.' | b'p') => digit(2),
        _ => digit(1),
    };
    let is_hosted = ["max", "plus", "turbo", "flash"].iter().any(|name| after.contains(name));
    !is_hosted
        && matches!((digit(0), minor), (Some(1), Some(5)) | (Some(2), None | Some(5)) | (Some(3), None))
}

/// By the first number after the name: `-3-5-haiku`, `-opus-4-6`, `-sonnet-4@20250514`, `-v2`.
fn claude(after: &str) -> (Encoding, u32) {
    let mut words = after.split(|c: char| !c.is_ascii_alphanumeric()).map(|word| {
        let digits = word.strip_prefix('v').unwrap_or(word);
        digits.parse::<u32>().ok().filter(|_| digits.len() <= 2)
    });
    let Some(major) = words.by_ref().find_map(|word| word) else {
        return (Encoding::Claude48, RECONSTRUCTED_PER_MILLE);
    };
    match (major, words.next().flatten().unwrap_or(0)) {
        // Another tokenizer, which was measured up to 1.17 times o200k.
        (0..=2, _) => (Encoding::O200k, 1_350),
        (3, _) | (4, 0..=6) => (Encoding::Claude3, RECONSTRUCTED_PER_MILLE),
        (4, 7) => (Encoding::Claude47, RECONSTRUCTED_PER_MILLE),
        _ => (Encoding::Claude48, RECONSTRUCTED_PER_MILLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_claude_tell_their_generation() {
        for (names, encoding) in [
            (&["claude-v1", "claude-2.1", "anthropic.claude-v2:1"][..], Encoding::O200k),
            (
                &[
                    "claude-3-5-haiku-latest",
                    "claude-3.7-sonnet",
                    "claude-sonnet-4",
                    "claude-4-opus",
                    "claude-sonnet-4@20250514",
                    "claude-opus-4-20250514",
                    "anthropic.claude-opus-4-6-v1:0",
                    "claude-haiku-4-5",
                ],
                Encoding::Claude3,
            ),
            (&["claude-opus-4-7", "anthropic/claude-opus-4.7"], Encoding::Claude47),
            (
                &[
                    "claude-opus-4-8",
                    "claude-sonnet-5",
                    "claude-fable-5-2",
                    "claude-opus-5-5",
                    "claude-latest",
                ],
                Encoding::Claude48,
            ),
        ] {
            for name in names {
                assert_eq!(family(name).unwrap().0, encoding, "{name}");
            }
        }
    }

    #[test]
    fn only_published_vocabularies_are_a_models_own() {
        for (names, counted) in [
            (
                &["deepseek-chat", "us.deepseek.r1-v1:0", "deepseek/deepseek-v4.1-flash", "fw-deepseek-v3.2"]
                    [..],
                (Encoding::DeepSeek, 1_000),
            ),
            (
                &[
                    "qwen/qwen-2.5-72b-instruct",
                    "accounts/fireworks/models/qwen2p5-coder-32b",
                    "qwen-v2p5-7b",
                    "qwen25-coder-32b-instruct",
                    "qwen1.5-7b",
                    "qwen3-0p6b",
                    "qwen.qwen3-32b-v1:0",
                    "groq/qwen-qwq-32b",
                ],
                (Encoding::Qwen, 1_000),
            ),
            (&["open-mistral-nemo", "mistral-small-2503@001", "pixtral-12b-2409"], (Encoding::Tekken, 1_000)),
            (
                &["meta-llama/llama-3.3-70b-instruct", "llama-v3p1-8b-instruct", "llama3:8b"],
                (Encoding::Cl100k, 1_001),
            ),
            (
                &[
                    "deepseek-r1-distill-qwen-32b",
                    "deepseek-r1-0528-qwen3-8b",
                    "deepseek-llama3.3-70b",
                    "deepseek-coder-33b-instruct",
                    "deepseek-v2p5",
                    "qwen-max",
                    "qwen3-max",
                    "qwen3.5-397b-a17b",
                    "qwen-3.8-27b",
                    "qwen-72b-chat",
                    "databricks-qwen35-122b-a10b",
                    "mistral-large-2411",
                    "pixtral-large-2411",
                    "llama-4-scout",
                ],
                (Encoding::O200k, 1_150),
            ),
        ] {
            for name in names {
                assert_eq!(family(name), Some(counted), "{name}");
            }
        }
        assert_eq!(family("llama-2-70b-chat"), None);
    }
}
