//! Which field is which count?
//!
//! One table per API, from its documentation and from the types of its own client. Fields that
//! several APIs have stand once; a table puts its own before them.

use serde_json::Value;

// The words of a table.
#[allow(clippy::enum_glob_use)]
use super::shape::{Count::*, To::*};
use super::shape::{Field, Rule, Shape};
use crate::meter::{api::Api, json::Object};

const CHAT: &[Field] = &[
    ("prompt_tokens", Needed(&[Input])),
    ("completion_tokens", Needed(&[Output])),
    ("total_tokens", Total),
    ("prompt_tokens_details.cached_tokens", Adds(&[CacheRead])),
    ("prompt_tokens_details.cache_write_tokens", Adds(&[CacheWrite])),
    ("prompt_tokens_details.audio_tokens", Adds(&[InputAudio])),
    ("prompt_tokens_details.image_tokens", Adds(&[InputImage])),
    ("prompt_tokens_details.video_tokens", Adds(&[InputVideo])),
    ("prompt_tokens_details.text_tokens", Ignored),
    ("completion_tokens_details.reasoning_tokens", Adds(&[Reasoning])),
    ("completion_tokens_details.audio_tokens", Adds(&[OutputAudio])),
    ("completion_tokens_details.image_tokens", Adds(&[OutputImage])),
    ("completion_tokens_details.text_tokens", Ignored),
    ("completion_tokens_details.accepted_prediction_tokens", Ignored),
    ("completion_tokens_details.rejected_prediction_tokens", Ignored),
    // Where servers that imitate the protocol tell the same: Moonshot, DeepSeek, SGLang.
    ("cached_tokens", Again(CacheRead)),
    ("prompt_cache_hit_tokens", Again(CacheRead)),
    ("prompt_cache_miss_tokens", Ignored),
    ("reasoning_tokens", Again(Reasoning)),
];

const RESPONSES: &[Field] = &[
    ("input_tokens", Needed(&[Input])),
    ("output_tokens", Needed(&[Output])),
    ("total_tokens", Total),
    ("input_tokens_details.cached_tokens", Adds(&[CacheRead])),
    ("input_tokens_details.cache_write_tokens", Adds(&[CacheWrite])),
    ("input_tokens_details.cache_write_tokens_details", Ignored),
    ("input_tokens_details.text_tokens", Ignored),
    ("input_tokens_details.audio_tokens", Adds(&[InputAudio])),
    ("input_tokens_details.image_tokens", Adds(&[InputImage])),
    ("output_tokens_details.reasoning_tokens", Adds(&[Reasoning])),
    ("output_tokens_details.text_tokens", Ignored),
    ("output_tokens_details.audio_tokens", Adds(&[OutputAudio])),
    ("output_tokens_details.image_tokens", Adds(&[OutputImage])),
];

/// Of transcriptions too, which say what kind of usage theirs is.
const REALTIME: &[Field] = &[
    ("type", Ignored),
    ("input_tokens", Needed(&[Input])),
    ("output_tokens", Needed(&[Output])),
    ("total_tokens", Total),
    ("input_token_details.cached_tokens", Adds(&[CacheRead])),
    ("input_token_details.cached_tokens_details.text_tokens", Ignored),
    ("input_token_details.cached_tokens_details.audio_tokens", Adds(&[CacheReadAudio])),
    ("input_token_details.cached_tokens_details.image_tokens", Adds(&[CacheReadImage])),
    ("input_token_details.text_tokens", Ignored),
    ("input_token_details.audio_tokens", Adds(&[InputAudio])),
    ("input_token_details.image_tokens", Adds(&[InputImage])),
    ("output_token_details.text_tokens", Ignored),
    ("output_token_details.audio_tokens", Adds(&[OutputAudio])),
    ("output_token_details.image_tokens", Adds(&[OutputImage])),
];

const EMBEDDINGS: &[Field] = &[("prompt_tokens", Needed(&[Input])), ("total_tokens", Total)];

/// Caches are beside the input, thinking inside the output; the two lifetimes are of the whole above.
const MESSAGES: &[Field] = &[
    ("input_tokens", Needed(&[Input])),
    ("output_tokens", Needed(&[Output])),
    ("cache_read_input_tokens", Adds(&[Input, CacheRead])),
    ("cache_creation_input_tokens", Adds(&[Input, CacheWrite])),
    ("cache_creation.ephemeral_5m_input_tokens", Adds(&[CacheWrite5m])),
    ("cache_creation.ephemeral_1h_input_tokens", Adds(&[CacheWrite1h])),
    ("output_tokens_details.thinking_tokens", Adds(&[Reasoning])),
    ("server_tool_use.web_search_requests", Adds(&[WebSearches])),
    // Not billed but by the tokens it brings.
    ("server_tool_use.web_fetch_requests", Ignored),
    ("service_tier", Ignored),
    ("inference_geo", Ignored),
    ("speed", Ignored),
    ("iterations", Ignored),
];

/// The cache is inside the prompt, thoughts and results of tools are beside; protobuf leaves out what
/// is zero. Documents count as the images their pages are.
const GEMINI: &[Field] = &[
    ("promptTokenCount", Needed(&[Input])),
    ("toolUsePromptTokenCount", Adds(&[Input])),
    ("candidatesTokenCount", Adds(&[Output])),
    ("thoughtsTokenCount", Adds(&[Output, Reasoning])),
    ("cachedContentTokenCount", Adds(&[CacheRead])),
    ("totalTokenCount", Total),
    ("promptTokensDetails[modality=TEXT].tokenCount", Ignored),
    ("promptTokensDetails[modality=MODALITY_UNSPECIFIED].tokenCount", Ignored),
    ("promptTokensDetails[modality=AUDIO].tokenCount", Adds(&[InputAudio])),
    ("promptTokensDetails[modality=IMAGE].tokenCount", Adds(&[InputImage])),
    ("promptTokensDetails[modality=DOCUMENT].tokenCount", Adds(&[InputImage])),
    ("promptTokensDetails[modality=VIDEO].tokenCount", Adds(&[InputVideo])),
    ("toolUsePromptTokensDetails[modality=TEXT].tokenCount", Ignored),
    ("toolUsePromptTokensDetails[modality=MODALITY_UNSPECIFIED].tokenCount", Ignored),
    ("toolUsePromptTokensDetails[modality=AUDIO].tokenCount", Adds(&[InputAudio])),
    ("toolUsePromptTokensDetails[modality=IMAGE].tokenCount", Adds(&[InputImage])),
    ("toolUsePromptTokensDetails[modality=DOCUMENT].tokenCount", Adds(&[InputImage])),
    ("toolUsePromptTokensDetails[modality=VIDEO].tokenCount", Adds(&[InputVideo])),
    ("cacheTokensDetails[modality=TEXT].tokenCount", Ignored),
    ("cacheTokensDetails[modality=MODALITY_UNSPECIFIED].tokenCount", Ignored),
    ("cacheTokensDetails[modality=AUDIO].tokenCount", Adds(&[CacheReadAudio])),
    ("cacheTokensDetails[modality=IMAGE].tokenCount", Adds(&[CacheReadImage])),
    ("cacheTokensDetails[modality=DOCUMENT].tokenCount", Adds(&[CacheReadImage])),
    // No price list has a cached video of its own.
    ("cacheTokensDetails[modality=VIDEO].tokenCount", Ignored),
    ("candidatesTokensDetails[modality=TEXT].tokenCount", Ignored),
    ("candidatesTokensDetails[modality=MODALITY_UNSPECIFIED].tokenCount", Ignored),
    ("candidatesTokensDetails[modality=AUDIO].tokenCount", Adds(&[OutputAudio])),
    ("candidatesTokensDetails[modality=IMAGE].tokenCount", Adds(&[OutputImage])),
    ("candidatesTokensDetails[modality=DOCUMENT].tokenCount", Adds(&[OutputImage])),
    ("candidatesTokensDetails[modality=VIDEO].tokenCount", Adds(&[OutputVideo])),
    // What a live connection calls candidates.
    ("responseTokenCount", Adds(&[Output])),
    ("responseTokensDetails[modality=TEXT].tokenCount", Ignored),
    ("responseTokensDetails[modality=MODALITY_UNSPECIFIED].tokenCount", Ignored),
    ("responseTokensDetails[modality=AUDIO].tokenCount", Adds(&[OutputAudio])),
    ("responseTokensDetails[modality=IMAGE].tokenCount", Adds(&[OutputImage])),
    ("responseTokensDetails[modality=VIDEO].tokenCount", Adds(&[OutputVideo])),
    // What an embedding calls `promptTokensDetails`.
    ("promptTokenDetails", Ignored),
    ("trafficType", Ignored),
    ("serviceTier", Ignored),
];

/// Caches are beside the input. The names with `Count` tell the same again.
const CONVERSE: &[Field] = &[
    ("inputTokens", Needed(&[Input])),
    ("outputTokens", Needed(&[Output])),
    ("totalTokens", Total),
    ("cacheReadInputTokens", Adds(&[Input, CacheRead])),
    ("cacheWriteInputTokens", Adds(&[Input, CacheWrite])),
    ("cacheDetails[ttl=5m].inputTokens", Adds(&[CacheWrite5m])),
    ("cacheDetails[ttl=1h].inputTokens", Adds(&[CacheWrite1h])),
    ("cacheReadInputTokenCount", Ignored),
    ("cacheWriteInputTokenCount", Ignored),
];

const MISTRAL: &[Field] = &[
    // A prefix the server had in memory, in any prompt; the cache that is billed at its own price
    // counts in blocks of 64 and stands in the details.
    ("num_cached_tokens", Ignored),
    ("prompt_token_details.cached_tokens", Again(CacheRead)),
    ("prompt_token_details.audio_tokens", Again(InputAudio)),
    ("prompt_tokens_details.messages", Ignored),
    ("request_count", Ignored),
    ("service_tier", Ignored),
];

/// Reasoning is beside the output, and stands in the total; so is a cache that is larger than the
/// prompt. A tick is 10⁻¹⁰ USD.
const XAI: &[Field] = &[
    ("prompt_tokens_details.cached_tokens", Either(CacheRead)),
    ("completion_tokens_details.reasoning_tokens", Adds(&[Output, Reasoning])),
    ("cost_in_usd_ticks", Cost(-10)),
    // Live search is in the ticks, and had no other price.
    ("num_sources_used", Ignored),
];

const XAI_RESPONSES: &[Field] = &[
    ("input_tokens_details.cached_tokens", Either(CacheRead)),
    ("cost_in_usd_ticks", Cost(-10)),
    ("num_sources_used", Ignored),
];

/// `SamplingUsage` of the gRPC client.
const XAI_SDK: &[Field] = &[
    ("prompt_tokens", Needed(&[Input])),
    ("completion_tokens", Needed(&[Output])),
    ("reasoning_tokens", Adds(&[Output, Reasoning])),
    ("cached_prompt_text_tokens", Adds(&[CacheRead])),
    ("prompt_text_tokens", Ignored),
    ("prompt_image_tokens", Adds(&[InputImage])),
    ("total_tokens", Total),
    ("cost_in_usd_ticks", Cost(-10)),
    ("num_sources_used", Ignored),
];

const GROQ: &[Field] = &[
    ("queue_time", Ignored),
    ("prompt_time", Ignored),
    ("completion_time", Ignored),
    ("total_time", Ignored),
];

/// The bill is of the billed units; the tokens beside them hold Cohere's own frame.
const COHERE: &[Field] = &[
    ("billed_units.input_tokens", Needed(&[Input])),
    ("billed_units.output_tokens", Needed(&[Output])),
    ("tokens", Ignored),
    ("cached_tokens", Ignored),
];

const COHERE_EMBED: &[Field] = &[
    ("billed_units.input_tokens", Needed(&[Input])),
    ("billed_units.image_tokens", Adds(&[InputImage])),
    ("billed_units.text_tokens", Ignored),
];

const COHERE_TOKENS: &[Field] = &[
    ("tokens.input_tokens", Needed(&[Input])),
    ("tokens.output_tokens", Needed(&[Output])),
    ("cached_tokens", Adds(&[CacheRead])),
    ("billed_units", Ignored),
];

/// Reasoning and citations are beside the output.
const PERPLEXITY: &[Field] = &[
    ("reasoning_tokens", Adds(&[Output, Reasoning])),
    ("citation_tokens", Adds(&[Output])),
    ("num_search_queries", Adds(&[WebSearches])),
    ("search_context_size", Ignored),
    ("cost.total_cost", Cost(0)),
    ("cost.input_tokens_cost", Ignored),
    ("cost.output_tokens_cost", Ignored),
    ("cost.reasoning_tokens_cost", Ignored),
    ("cost.citation_tokens_cost", Ignored),
    ("cost.search_queries_cost", Ignored),
    ("cost.request_cost", Ignored),
];

const PERPLEXITY_RESPONSES: &[Field] = &[
    ("input_tokens_details.cache_read_input_tokens", Adds(&[CacheRead])),
    ("input_tokens_details.cache_creation_input_tokens", Adds(&[CacheWrite])),
    ("tool_calls_details.search_web.invocation", Adds(&[WebSearches])),
    ("cost.total_cost", Cost(0)),
    ("cost.currency", Ignored),
    ("cost.input_cost", Ignored),
    ("cost.output_cost", Ignored),
    ("cost.cache_creation_cost", Ignored),
    ("cost.cache_read_cost", Ignored),
    ("cost.tool_calls_cost", Ignored),
];

/// The cost is the truth, in credits of one USD; with a key of the caller's own at another provider it
/// is the fee only, and that provider bills the rest.
const OPENROUTER: &[Field] = &[
    ("cost", Cost(0)),
    ("cost_details.upstream_inference_cost", OwnKeyCost),
    ("cost_details.upstream_inference_prompt_cost", Ignored),
    ("cost_details.upstream_inference_completions_cost", Ignored),
    ("cost_details.upstream_inference_input_cost", Ignored),
    ("cost_details.upstream_inference_output_cost", Ignored),
    ("is_byok", Ignored),
    ("server_tool_use.web_search_requests", Adds(&[WebSearches])),
];

/// A prompt that was in memory already is not evaluated, and not counted.
const OLLAMA: &[Field] = &[("prompt_eval_count", Adds(&[Input])), ("eval_count", Adds(&[Output]))];

const LANGCHAIN: &[Field] = &[
    ("input_tokens", Needed(&[Input])),
    ("output_tokens", Needed(&[Output])),
    ("total_tokens", Total),
    ("input_token_details.cache_read", Adds(&[CacheRead])),
    ("input_token_details.cache_creation", Adds(&[CacheWrite])),
    ("input_token_details.ephemeral_5m_input_tokens", Adds(&[CacheWrite5m])),
    ("input_token_details.ephemeral_1h_input_tokens", Adds(&[CacheWrite1h])),
    ("input_token_details.audio", Adds(&[InputAudio])),
    ("input_token_details.image", Adds(&[InputImage])),
    ("input_token_details.video", Adds(&[InputVideo])),
    ("input_token_details.text", Ignored),
    ("output_token_details.reasoning", Adds(&[Reasoning])),
    ("output_token_details.audio", Adds(&[OutputAudio])),
    ("output_token_details.image", Adds(&[OutputImage])),
    ("output_token_details.text", Ignored),
    // What is left of the whole in that service tier, and the parts under its name.
    ("input_token_details.flex", Ignored),
    ("input_token_details.priority", Ignored),
    ("input_token_details.flex_cache_read", Adds(&[CacheRead])),
    ("input_token_details.priority_cache_read", Adds(&[CacheRead])),
    ("output_token_details.flex", Ignored),
    ("output_token_details.priority", Ignored),
    ("output_token_details.flex_reasoning", Adds(&[Reasoning])),
    ("output_token_details.priority_reasoning", Adds(&[Reasoning])),
];

/// Of the package `ai`, and of models before version 3.
const AI_SDK: &[Field] = &[
    ("inputTokens", Needed(&[Input])),
    ("outputTokens", Needed(&[Output])),
    ("totalTokens", Total),
    ("inputTokenDetails.noCacheTokens", Ignored),
    ("inputTokenDetails.cacheReadTokens", Again(CacheRead)),
    ("inputTokenDetails.cacheWriteTokens", Adds(&[CacheWrite])),
    ("outputTokenDetails.textTokens", Ignored),
    ("outputTokenDetails.reasoningTokens", Again(Reasoning)),
    ("cachedInputTokens", Again(CacheRead)),
    ("reasoningTokens", Again(Reasoning)),
    ("raw", Ignored),
];

/// Of the package `ai` before version 5.
const AI_SDK_OLD: &[Field] =
    &[("promptTokens", Needed(&[Input])), ("completionTokens", Needed(&[Output])), ("totalTokens", Total)];

/// Of models of versions 3 and 4.
const AI_SDK_MODEL: &[Field] = &[
    ("inputTokens.total", Needed(&[Input])),
    ("inputTokens.noCache", Ignored),
    ("inputTokens.cacheRead", Adds(&[CacheRead])),
    ("inputTokens.cacheWrite", Adds(&[CacheWrite])),
    ("outputTokens.total", Needed(&[Output])),
    ("outputTokens.text", Ignored),
    ("outputTokens.reasoning", Adds(&[Reasoning])),
    ("raw", Ignored),
];

const fn shape(groups: &'static [&'static [Field]]) -> Shape {
    Shape {
        roots: &["usage"],
        // Of two names, the second is what Groq calls it in a stream.
        events: &["usage", "x_groq.usage"],
        rule: Rule::Last,
        models: &["model"],
        groups,
        ends: "",
        is_camel: false,
    }
}

const fn of_responses(groups: &'static [&'static [Field]]) -> Shape {
    Shape { events: &["response.usage"], ..shape(groups) }
}

impl Shape {
    /// The table of an API.
    pub(in crate::meter) const fn of(api: Api) -> Self {
        match api {
            Api::OpenAiChat | Api::DeepSeekChat => shape(&[CHAT]),
            Api::OpenAiResponses => of_responses(&[RESPONSES]),
            Api::OpenAiImages => shape(&[RESPONSES]),
            Api::OpenAiRealtime => {
                Self { roots: &["response.usage", "usage"], rule: Rule::Sum, ..of_responses(&[REALTIME]) }
            }
            Api::OpenAiEmbeddings => shape(&[EMBEDDINGS]),
            Api::AnthropicMessages => {
                Self { events: &["message.usage", "usage"], rule: Rule::Merge, ..shape(&[MESSAGES]) }
            }
            Api::GeminiGenerate => Self {
                roots: &["usageMetadata", "usage_metadata"],
                events: &["usageMetadata", "usage_metadata"],
                rule: Rule::Merge,
                models: &["modelVersion", "model_version"],
                is_camel: true,
                ..shape(&[GEMINI])
            },
            Api::BedrockConverse => Self { events: &["metadata.usage", "usage"], ..shape(&[CONVERSE]) },
            Api::MistralChat => shape(&[MISTRAL, CHAT]),
            Api::XaiChat => shape(&[XAI, CHAT]),
            Api::XaiResponses => of_responses(&[XAI_RESPONSES, RESPONSES]),
            Api::XaiSdk => shape(&[XAI_SDK]),
            Api::GroqChat => shape(&[GROQ, CHAT]),
            Api::CohereChat => {
                Self { roots: &["usage", "meta"], events: &["delta.usage"], ..shape(&[COHERE]) }
            }
            Api::CohereTokens => {
                Self { roots: &["usage", "meta"], events: &["delta.usage"], ..shape(&[COHERE_TOKENS]) }
            }
            Api::CohereEmbed => Self { roots: &["meta", "usage"], ..shape(&[COHERE_EMBED]) },
            Api::PerplexityChat => shape(&[PERPLEXITY, CHAT]),
            Api::PerplexityResponses => of_responses(&[PERPLEXITY_RESPONSES, RESPONSES]),
            Api::OpenRouterChat => shape(&[OPENROUTER, CHAT]),
            Api::OpenRouterResponses => of_responses(&[OPENROUTER, RESPONSES]),
            Api::OllamaChat => Self { roots: &[""], events: &[""], ends: "_count", ..shape(&[OLLAMA]) },
            Api::LangChain => Self {
                roots: &["usage_metadata", ""],
                events: &["usage_metadata"],
                rule: Rule::Sum,
                models: &["response_metadata.model_name"],
                ..shape(&[LANGCHAIN])
            },
            Api::AiSdk => Self {
                roots: &["usage", ""],
                events: &["totalUsage", "usage"],
                models: &["response.modelId"],
                // To find it by; `of_ai_sdk` then says which of them it is.
                ..shape(&[AI_SDK, AI_SDK_OLD])
            },
        }
    }

    /// The table of one of the AI SDK's usage objects.
    pub(super) fn of_ai_sdk(found: &Object) -> Self {
        let is_deep = found.get("inputTokens").is_some_and(Value::is_object);
        let is_old = found.contains_key("promptTokens");
        let groups: &[&[Field]] = match (is_deep, is_old) {
            (true, _) => &[AI_SDK_MODEL],
            (_, true) => &[AI_SDK_OLD],
            _ => &[AI_SDK],
        };
        Self { groups, ..Self::of(Api::AiSdk) }
    }
}
