//! Which protocol is spoken?
//!
//! Some protocols have dialects: the requests are the same, but another provider tells otherwise what
//! was used. A dialect is an [`Api`] of its own, and [`Api::spoken`] says of which.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// A protocol whose responses we can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `POST /v1/chat/completions`.
    OpenAiChat,
    /// `POST /v1/responses`.
    OpenAiResponses,
    /// The events of `/v1/realtime`; each `response.done` tells its own use.
    OpenAiRealtime,
    /// `POST /v1/embeddings`.
    OpenAiEmbeddings,
    /// `POST /v1/images/generations`.
    OpenAiImages,
    /// `POST /v1/messages`, of Anthropic, Bedrock and Vertex.
    AnthropicMessages,
    /// `generateContent` and `embedContent`, of the Gemini API and of Vertex.
    GeminiGenerate,
    /// Bedrock's `Converse`.
    BedrockConverse,
    /// Chat with Mistral.
    MistralChat,
    /// Chat with DeepSeek.
    DeepSeekChat,
    /// Chat with xAI.
    XaiChat,
    /// `/v1/responses` of xAI.
    XaiResponses,
    /// xAI's own gRPC client.
    XaiSdk,
    /// Chat with Groq.
    GroqChat,
    /// Cohere's `/v2/chat`, as it is billed.
    CohereChat,
    /// Cohere's `/v2/chat`, as the model saw it.
    CohereTokens,
    /// Cohere's `/v2/embed`.
    CohereEmbed,
    /// Chat with Perplexity.
    PerplexityChat,
    /// `/v1/responses` of Perplexity.
    PerplexityResponses,
    /// Chat through OpenRouter.
    OpenRouterChat,
    /// `/v1/responses` of OpenRouter.
    OpenRouterResponses,
    /// Ollama's `/api/chat`, `/api/generate` and `/api/embed`.
    OllamaChat,
    /// The `usage_metadata` of LangChain's messages.
    LangChain,
    /// The usage objects of the AI SDK, of its models and of its results.
    AiSdk,
}

/// Every protocol with its name.
const CODES: [(Api, &str); 24] = [
    (Api::OpenAiChat, "openai.chat"),
    (Api::OpenAiResponses, "openai.responses"),
    (Api::OpenAiRealtime, "openai.realtime"),
    (Api::OpenAiEmbeddings, "openai.embeddings"),
    (Api::OpenAiImages, "openai.images"),
    (Api::AnthropicMessages, "anthropic.messages"),
    (Api::GeminiGenerate, "gemini.generate"),
    (Api::BedrockConverse, "bedrock.converse"),
    (Api::MistralChat, "mistral.chat"),
    (Api::DeepSeekChat, "deepseek.chat"),
    (Api::XaiChat, "xai.chat"),
    (Api::XaiResponses, "xai.responses"),
    (Api::XaiSdk, "xai.sdk"),
    (Api::GroqChat, "groq.chat"),
    (Api::CohereChat, "cohere.chat"),
    (Api::CohereTokens, "cohere.tokens"),
    (Api::CohereEmbed, "cohere.embed"),
    (Api::PerplexityChat, "perplexity.chat"),
    (Api::PerplexityResponses, "perplexity.responses"),
    (Api::OpenRouterChat, "openrouter.chat"),
    (Api::OpenRouterResponses, "openrouter.responses"),
    (Api::OllamaChat, "ollama.chat"),
    (Api::LangChain, "langchain.usage_metadata"),
    (Api::AiSdk, "ai_sdk.usage"),
];

/// What people call an API, and which it is then; the first is the default.
type Named = (&'static [&'static str], Api);

/// What people call a provider (OpenTelemetry's names among it), and its own APIs.
const PROVIDERS: &[(&[&str], &[Named])] = &[
    (&["openai", "azure", "azure.ai.openai", "azure.ai.inference"], &[(&["chat"], Api::OpenAiChat)]),
    (&["anthropic"], &[(&["messages"], Api::AnthropicMessages)]),
    (
        &["google", "gemini", "vertex", "vertex_ai", "gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai"],
        &[(&["generate", "generate_content", "embeddings", "embed_content"], Api::GeminiGenerate)],
    ),
    (&["aws", "bedrock", "aws.bedrock"], &[(&["converse"], Api::BedrockConverse)]),
    (&["mistral", "mistral_ai"], &[(&["chat"], Api::MistralChat)]),
    (&["deepseek"], &[(&["chat"], Api::DeepSeekChat)]),
    (
        &["xai", "x-ai", "x_ai"],
        &[(&["sdk"], Api::XaiSdk), (&["chat"], Api::XaiChat), (&["responses"], Api::XaiResponses)],
    ),
    (&["groq"], &[(&["chat"], Api::GroqChat)]),
    (
        &["cohere"],
        &[
            (&["chat"], Api::CohereChat),
            (&["tokens"], Api::CohereTokens),
            (&["embed", "embeddings"], Api::CohereEmbed),
        ],
    ),
    (&["perplexity"], &[(&["chat"], Api::PerplexityChat), (&["responses"], Api::PerplexityResponses)]),
    (&["openrouter"], &[(&["chat"], Api::OpenRouterChat), (&["responses"], Api::OpenRouterResponses)]),
    (&["ollama"], &[(&["chat", "generate", "embed"], Api::OllamaChat)]),
    (&["langchain"], &[(&["usage_metadata"], Api::LangChain)]),
    (&["ai_sdk", "ai-sdk", "vercel"], &[(&["usage"], Api::AiSdk)]),
];

/// Whose dialect is spoken at which host.
const HOSTS: [(&str, &str); 6] = [
    ("openrouter.ai", "openrouter"),
    ("api.x.ai", "xai"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral"),
    ("api.groq.com", "groq"),
    ("api.perplexity.ai", "perplexity"),
];

/// Beginnings and ends of hosts that keep what they are sent in a region, for a price.
const REGIONAL_HOSTS: [(&str, &str); 3] =
    [("", ".api.openai.com"), ("", "-aiplatform.googleapis.com"), ("aiplatform.", ".rep.googleapis.com")];

/// Does a request to this host stay in a region, where the same provider has a host that promises
/// nothing of the kind? Bedrock tells regions by the names of models instead.
///
/// ```
/// use outlay::meter::is_regional;
///
/// assert!(is_regional("eu.api.openai.com") && is_regional("us-east5-aiplatform.googleapis.com"));
/// assert!(!is_regional("api.openai.com") && !is_regional("aiplatform.googleapis.com"));
/// ```
pub fn is_regional(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    REGIONAL_HOSTS.iter().any(|(start, end)| {
        let region = host.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        region.is_some_and(|region| !region.is_empty())
    })
}

/// What others offer beside their own, or instead.
const COMPATIBLE: &[Named] = &[
    (&["chat"], Api::OpenAiChat),
    (&["responses"], Api::OpenAiResponses),
    (&["embeddings"], Api::OpenAiEmbeddings),
    (&["images"], Api::OpenAiImages),
    (&["realtime"], Api::OpenAiRealtime),
    (&["anthropic", "messages"], Api::AnthropicMessages),
];

impl Api {
    /// Every protocol.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES.into_iter().map(|(api, _)| api)
    }

    /// Its name, such as `openai.chat`.
    pub fn code(self) -> &'static str {
        let found = CODES.iter().find(|(api, _)| *api == self);
        found.map_or("", |(_, code)| code)
    }

    /// Who made it, or whose dialect it is.
    pub fn provider(self) -> &'static str {
        self.code().split_once('.').map_or("", |(provider, _)| provider)
    }

    /// The protocol it is a dialect of; itself if it is none.
    #[must_use]
    pub const fn spoken(self) -> Self {
        match self {
            Self::MistralChat
            | Self::DeepSeekChat
            | Self::XaiChat
            | Self::GroqChat
            | Self::PerplexityChat
            | Self::OpenRouterChat => Self::OpenAiChat,
            Self::XaiResponses | Self::PerplexityResponses | Self::OpenRouterResponses => {
                Self::OpenAiResponses
            }
            Self::CohereTokens => Self::CohereChat,
            own => own,
        }
    }

    /// The dialect of it that is spoken at a host; itself if we know of none.
    ///
    /// ```
    /// use outlay::meter::Api;
    ///
    /// assert_eq!(Api::OpenAiChat.at("openrouter.ai"), Api::OpenRouterChat);
    /// assert_eq!(Api::OpenAiChat.at("localhost"), Api::OpenAiChat);
    /// ```
    #[must_use]
    pub fn at(self, host: &str) -> Self {
        let ends = |known: &str| {
            let rest = host.len().checked_sub(known.len()).filter(|rest| host.is_char_boundary(*rest));
            rest.is_some_and(|rest| {
                host[rest..].eq_ignore_ascii_case(known) && (rest == 0 || host[..rest].ends_with('.'))
            })
        };
        let Some((_, provider)) = HOSTS.iter().find(|(known, _)| ends(known)) else { return self };
        let is_theirs = |api: &Self| api.provider() == *provider && api.spoken() == self;
        Self::all().find(is_theirs).unwrap_or(self)
    }

    /// The API that `provider` calls `api`; `default` is its main one.
    ///
    /// Of a provider we do not know, the protocols that many speak are known by `chat`, `responses`,
    /// `embeddings`, `images`, `realtime` and `messages` (or `anthropic`).
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is none we know.
    ///
    /// ```
    /// use outlay::meter::Api;
    ///
    /// assert_eq!(Api::find("anthropic", "messages")?, Api::AnthropicMessages);
    /// assert_eq!(Api::find("bedrock", "default")?, Api::BedrockConverse);
    /// assert_eq!(Api::find("together", "chat")?, Api::OpenAiChat);
    /// assert!(Api::find("together", "default").is_err());
    /// # Ok::<(), outlay::Error>(())
    /// ```
    pub fn find(provider: &str, api: &str) -> Result<Self> {
        let is = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let own = PROVIDERS.iter().find(|(names, _)| is(names, provider)).map_or(&[][..], |(_, own)| own);
        let found = if is(&["default"], api) {
            own.first()
        } else {
            own.iter().chain(COMPATIBLE).find(|(names, _)| is(names, api))
        };
        found
            .map(|(_, api)| *api)
            .ok_or_else(|| Error::invalid(format!("api `{api}` of provider `{provider}` is none we know")))
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Api {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self> {
        let found = CODES.into_iter().find(|(_, known)| *known == code);
        found.map(|(api, _)| api).ok_or_else(|| Error::invalid(format!("api `{code}` is none we know")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for api in Api::all() {
            assert_eq!(api.code().parse::<Api>().unwrap(), api);
            assert_eq!(api.spoken().spoken(), api.spoken());
        }
        assert!("openai".parse::<Api>().is_err());
    }

    #[test]
    fn every_own_api_is_found_by_its_code() {
        for api in Api::all() {
            let (provider, name) = api.code().split_once('.').unwrap();
            assert_eq!(Api::find(provider, name).unwrap(), api);
        }
    }

    #[test]
    fn a_host_speaks_its_own_dialect() {
        for (host, api) in [
            ("api.x.ai", Api::XaiChat),
            ("US-EAST-1.api.x.ai", Api::XaiChat),
            ("api.openrouter.ai", Api::OpenRouterChat),
            ("evilopenrouter.ai", Api::OpenAiChat),
            ("openrouter.ai.example", Api::OpenAiChat),
            ("é.ai", Api::OpenAiChat),
            ("", Api::OpenAiChat),
        ] {
            assert_eq!(Api::OpenAiChat.at(host), api, "{host}");
        }
        assert_eq!(Api::OpenAiResponses.at("api.x.ai"), Api::XaiResponses);
        assert_eq!(Api::OpenAiEmbeddings.at("api.mistral.ai"), Api::OpenAiEmbeddings);
    }

    #[test]
    fn a_name_finds_the_api_of_that_provider() {
        for (provider, name, api) in [
            ("x-ai", "default", Api::XaiSdk),
            ("x-ai", "chat", Api::XaiChat),
            ("google", "default", Api::GeminiGenerate),
            ("google", "chat", Api::OpenAiChat),
            ("google", "anthropic", Api::AnthropicMessages),
            ("azure", "responses", Api::OpenAiResponses),
            ("AWS.Bedrock", "anthropic", Api::AnthropicMessages),
            ("groq", "default", Api::GroqChat),
            ("groq", "embeddings", Api::OpenAiEmbeddings),
            ("cerebras", "chat", Api::OpenAiChat),
        ] {
            assert_eq!(Api::find(provider, name).unwrap(), api, "{provider} {name}");
        }
        for (provider, name) in [("", ""), ("nobody", "default"), ("openai", "converse")] {
            assert!(Api::find(provider, name).unwrap_err().to_string().contains(provider));
        }
    }
}
