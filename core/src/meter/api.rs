//! Which protocol is spoken?

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// A protocol whose requests and responses we can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// `POST /v1/chat/completions`.
    OpenAiChat,
    /// `POST /v1/responses`.
    OpenAiResponses,
    /// `POST /v1/embeddings`.
    OpenAiEmbeddings,
    /// `POST /v1/images/generations`.
    OpenAiImages,
    /// `POST /v1/messages`.
    AnthropicMessages,
}

impl Api {
    /// Every protocol.
    pub const ALL: [Self; 5] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::OpenAiEmbeddings,
        Self::OpenAiImages,
        Self::AnthropicMessages,
    ];

    /// Its name, such as `openai.chat`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai.chat",
            Self::OpenAiResponses => "openai.responses",
            Self::OpenAiEmbeddings => "openai.embeddings",
            Self::OpenAiImages => "openai.images",
            Self::AnthropicMessages => "anthropic.messages",
        }
    }

    /// Who made it; others speak it too.
    pub const fn provider(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic",
            _ => "openai",
        }
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
        let found = Self::ALL.into_iter().find(|api| api.code() == code);
        found.ok_or_else(|| Error::invalid(format!("api `{code}` is none we know")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for api in Api::ALL {
            assert_eq!(api.code().parse::<Api>().unwrap(), api);
        }
        assert!("openai".parse::<Api>().is_err());
    }
}
