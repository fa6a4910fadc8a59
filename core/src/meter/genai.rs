//! What does OpenTelemetry call a provider and what is asked of it?
//!
//! By its GenAI conventions of 1.41. What they do not name keeps our name, as they allow.

use super::Api;

/// Our names of providers, and theirs.
const PROVIDERS: [(&str, &str); 10] = [
    ("aws", "aws.bedrock"),
    ("azure", "azure.ai.openai"),
    ("bedrock", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("google", "gcp.gen_ai"),
    ("mistral", "mistral_ai"),
    ("moonshotai", "moonshot_ai"),
    ("watsonx", "ibm.watsonx.ai"),
    ("x-ai", "x_ai"),
    ("xai", "x_ai"),
];

/// What `gen_ai.provider.name` is for a provider.
///
/// ```
/// use outlay::meter::genai_provider;
///
/// assert_eq!(genai_provider("x-ai"), "x_ai");
/// assert_eq!(genai_provider("cerebras"), "cerebras");
/// ```
pub fn genai_provider(provider: &str) -> &str {
    PROVIDERS.iter().find(|(ours, _)| *ours == provider).map_or(provider, |(_, theirs)| theirs)
}

impl Api {
    /// What `gen_ai.operation.name` is for a request of it.
    ///
    /// ```
    /// use outlay::meter::Api;
    ///
    /// assert_eq!(Api::AnthropicMessages.genai_operation(), "chat");
    /// assert_eq!(Api::OpenAiEmbeddings.genai_operation(), "embeddings");
    /// ```
    pub fn genai_operation(self) -> &'static str {
        match self {
            Self::OpenAiEmbeddings | Self::CohereEmbed => "embeddings",
            Self::GeminiGenerate | Self::OpenAiImages => "generate_content",
            _ => "chat",
        }
    }
}
