//! Which field is which count?

use serde_json::Value;

use crate::{
    error::{Error, Result},
    meter::{
        api::Api,
        json::{self, Object},
    },
    value::Usage,
};

type Count = fn(&mut Usage) -> &mut u64;

/// What becomes of a field.
enum To {
    /// A whole: it must be there.
    Whole(Count),
    /// A part of the input or output that is inside it.
    Inside(Count),
    /// A part of the input the provider leaves out of it.
    Beside(Count),
    /// A count of its own.
    Apart(Count),
    /// Known and not needed.
    Ignored,
}

/// The fields of one protocol's usage.
pub(super) struct Shape {
    fields: &'static [(&'static [&'static str], To)],
}

const CHAT: Shape = Shape {
    fields: &[
        (&["prompt_tokens"], To::Whole(|usage| &mut usage.input_tokens)),
        (&["completion_tokens"], To::Whole(|usage| &mut usage.output_tokens)),
        (&["prompt_tokens_details", "cached_tokens"], To::Inside(|usage| &mut usage.cache_read_tokens)),
        (&["prompt_tokens_details", "cache_write_tokens"], To::Inside(|usage| &mut usage.cache_write_tokens)),
        (&["prompt_tokens_details", "audio_tokens"], To::Inside(|usage| &mut usage.input_audio_tokens)),
        (&["prompt_tokens_details", "image_tokens"], To::Inside(|usage| &mut usage.input_image_tokens)),
        (&["prompt_tokens_details", "text_tokens"], To::Ignored),
        (&["completion_tokens_details", "reasoning_tokens"], To::Inside(|usage| &mut usage.reasoning_tokens)),
        (&["completion_tokens_details", "audio_tokens"], To::Inside(|usage| &mut usage.output_audio_tokens)),
        (&["completion_tokens_details", "image_tokens"], To::Inside(|usage| &mut usage.output_image_tokens)),
        (&["completion_tokens_details", "text_tokens"], To::Ignored),
        (&["completion_tokens_details", "accepted_prediction_tokens"], To::Ignored),
        (&["completion_tokens_details", "rejected_prediction_tokens"], To::Ignored),
        (&["total_tokens"], To::Ignored),
    ],
};

const RESPONSES: Shape = Shape {
    fields: &[
        (&["input_tokens"], To::Whole(|usage| &mut usage.input_tokens)),
        (&["output_tokens"], To::Whole(|usage| &mut usage.output_tokens)),
        (&["input_tokens_details", "cached_tokens"], To::Inside(|usage| &mut usage.cache_read_tokens)),
        (&["input_tokens_details", "cache_write_tokens"], To::Inside(|usage| &mut usage.cache_write_tokens)),
        (&["input_tokens_details", "cache_write_tokens_details"], To::Ignored),
        (&["output_tokens_details", "reasoning_tokens"], To::Inside(|usage| &mut usage.reasoning_tokens)),
        (&["total_tokens"], To::Ignored),
    ],
};

const EMBEDDINGS: Shape = Shape {
    fields: &[
        (&["prompt_tokens"], To::Whole(|usage| &mut usage.input_tokens)),
        (&["total_tokens"], To::Ignored),
    ],
};

const IMAGES: Shape = Shape {
    fields: &[
        (&["input_tokens"], To::Whole(|usage| &mut usage.input_tokens)),
        (&["output_tokens"], To::Whole(|usage| &mut usage.output_tokens)),
        (&["input_tokens_details", "image_tokens"], To::Inside(|usage| &mut usage.input_image_tokens)),
        (&["input_tokens_details", "text_tokens"], To::Ignored),
        (&["output_tokens_details", "image_tokens"], To::Inside(|usage| &mut usage.output_image_tokens)),
        (&["output_tokens_details", "text_tokens"], To::Ignored),
        (&["total_tokens"], To::Ignored),
    ],
};

const MESSAGES: Shape = Shape {
    fields: &[
        (&["input_tokens"], To::Whole(|usage| &mut usage.input_tokens)),
        (&["output_tokens"], To::Whole(|usage| &mut usage.output_tokens)),
        (&["cache_read_input_tokens"], To::Beside(|usage| &mut usage.cache_read_tokens)),
        (&["cache_creation_input_tokens"], To::Beside(|usage| &mut usage.cache_write_tokens)),
        // Taken apart by `read`: the sum above holds both lifetimes.
        (&["cache_creation", "ephemeral_5m_input_tokens"], To::Ignored),
        (&["cache_creation", "ephemeral_1h_input_tokens"], To::Ignored),
        (&["output_tokens_details", "thinking_tokens"], To::Inside(|usage| &mut usage.reasoning_tokens)),
        (&["server_tool_use", "web_search_requests"], To::Apart(|usage| &mut usage.web_searches)),
        (&["server_tool_use", "web_fetch_requests"], To::Ignored),
        (&["service_tier"], To::Ignored),
        (&["inference_geo"], To::Ignored),
        (&["speed"], To::Ignored),
        (&["iterations"], To::Ignored),
    ],
};

impl Shape {
    pub(super) fn of(api: Api) -> Self {
        match api {
            Api::OpenAiChat => CHAT,
            Api::OpenAiResponses => RESPONSES,
            Api::OpenAiEmbeddings => EMBEDDINGS,
            Api::OpenAiImages => IMAGES,
            Api::AnthropicMessages => MESSAGES,
        }
    }

    /// The counts as they stand in `found`; each part is at most its whole.
    pub(super) fn read(&self, found: &Object) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut beside = 0_u64;
        for (path, to) in self.fields {
            let (To::Whole(count) | To::Inside(count) | To::Beside(count) | To::Apart(count)) = to else {
                continue;
            };
            let tokens = tokens(found, path)?;
            match to {
                To::Whole(_) if tokens.is_none() => {
                    return Err(Error::invalid(format!("the usage has no `{}`", path.join("."))));
                }
                To::Beside(_) => beside = beside.saturating_add(tokens.unwrap_or(0)),
                _ => {}
            }
            *count(&mut usage) = tokens.unwrap_or(0);
        }
        usage.input_tokens = usage.input_tokens.saturating_add(beside);
        self.split_writes(found, &mut usage)?;
        self.check_parts(found, usage)?;
        Ok(usage)
    }

    /// Paths that hold something and that no table knows.
    pub(super) fn unknown(&self, found: &Object) -> Vec<String> {
        let mut paths = Vec::new();
        for (key, value) in found {
            if self.fields.iter().any(|(path, _)| *path == [key.as_str()]) || is_nothing(value) {
                continue;
            }
            match value.as_object().filter(|_| self.fields.iter().any(|(path, _)| path[0] == key)) {
                None => paths.push(key.clone()),
                Some(inner) => paths.extend(
                    inner
                        .iter()
                        .filter(|(name, value)| {
                            let known =
                                self.fields.iter().any(|(path, _)| *path == [key.as_str(), name.as_str()]);
                            !known && !is_nothing(value)
                        })
                        .map(|(name, _)| format!("{key}.{name}")),
                ),
            }
        }
        paths
    }

    fn split_writes(&self, found: &Object, usage: &mut Usage) -> Result<()> {
        if !self.fields.iter().any(|(path, _)| path[0] == "cache_creation") {
            return Ok(());
        }
        let short = tokens(found, &["cache_creation", "ephemeral_5m_input_tokens"])?.unwrap_or(0);
        let long = tokens(found, &["cache_creation", "ephemeral_1h_input_tokens"])?.unwrap_or(0);
        let total = short.saturating_add(long);
        // A sum smaller than its parts, or none at all, leaves the parts out of the input.
        let missing = total.saturating_sub(usage.cache_write_tokens);
        usage.input_tokens = usage.input_tokens.saturating_add(missing);
        usage.cache_write_tokens = (usage.cache_write_tokens + missing).saturating_sub(long);
        usage.cache_write_1h_tokens = long;
        Ok(())
    }

    fn check_parts(&self, found: &Object, usage: Usage) -> Result<()> {
        for (path, to) in self.fields {
            let To::Inside(_) = to else { continue };
            let part = tokens(found, path)?.unwrap_or(0);
            let output = path[0].starts_with("output") || path[0].starts_with("completion");
            let (name, whole) =
                if output { ("output", usage.output_tokens) } else { ("input", usage.input_tokens) };
            if part > whole {
                let path = path.join(".");
                return Err(Error::invalid(format!("`{path}` is `{part}`, more than all {name}, `{whole}`")));
            }
        }
        Ok(())
    }
}

/// The count at a path; none if anything on the way is missing or null.
fn tokens(found: &Object, path: &[&str]) -> Result<Option<u64>> {
    let (name, outer) = path.split_last().expect("every path has a name");
    let mut object = found;
    for key in outer {
        let wrong = |error| Error::invalid(format!("in the usage {error}"));
        let Some(inner) = json::nested(object, key).map_err(wrong)? else { return Ok(None) };
        object = inner;
    }
    let Some(value) = json::given(object, name) else { return Ok(None) };
    value.as_u64().map(Some).ok_or_else(|| {
        let path = path.join(".");
        Error::invalid(format!("`{path}` of the usage is `{}`, not a count", json::shown(value)))
    })
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
