//! What one call used, and how a provider says it.

use outlay::{
    Error, ErrorKind,
    meter::{self, Api, Extracted},
};
use pyo3::prelude::*;

use crate::{
    convert::{Money, count, decimal_text},
    error::{guard, waiting},
    exchange::LARGE_BYTES,
};

/// What one call used, in whole tokens.
///
/// Input includes what was read from and written to a cache; output includes reasoning. With a
/// `cost`, which a gateway tells, a call is charged that instead of list prices.
#[pyclass(frozen, eq, module = "outlay", from_py_object)]
#[derive(Clone)]
pub(crate) struct Usage {
    pub(crate) used: outlay::Usage,
    /// What else was told; kept apart, as most usages are counts alone and are made for every call.
    told: Option<Box<Extracted>>,
}

impl From<outlay::Usage> for Usage {
    fn from(used: outlay::Usage) -> Self {
        Self { used, told: None }
    }
}

impl PartialEq for Usage {
    fn eq(&self, other: &Self) -> bool {
        self.used == other.used && self.told_cost() == other.told_cost()
    }
}

impl Usage {
    /// Ends a call with it, and with what else the response it was read from said.
    pub(crate) fn settle(&self, call: &outlay::Call) -> Result<outlay::Settled, Error> {
        match self.told {
            Some(_) => call.settle_told(&self.told()),
            None => call.settle(&self.used),
        }
    }

    /// It, with what else the response it was read from said.
    pub(crate) fn told(&self) -> Extracted {
        let told = self.told.as_deref().cloned().unwrap_or_default();
        Extracted { usage: Some(self.used), ..told }
    }

    fn told_cost(&self) -> Option<outlay::Money> {
        self.told.as_ref().and_then(|told| told.cost)
    }

    /// Every count by its name.
    fn counts(&self) -> [(&'static str, u64); 15] {
        let used = &self.used;
        [
            ("input_tokens", used.input_tokens),
            ("output_tokens", used.output_tokens),
            ("cache_read_input_tokens", used.cache_read_tokens),
            ("cache_creation_input_tokens", self.cache_creation_input_tokens()),
            ("cache_creation_1h_input_tokens", used.cache_write_1h_tokens),
            ("reasoning_output_tokens", used.reasoning_tokens),
            ("input_audio_tokens", used.input_audio_tokens),
            ("input_image_tokens", used.input_image_tokens),
            ("input_video_tokens", used.input_video_tokens),
            ("cache_read_audio_tokens", used.cache_read_audio_tokens),
            ("cache_read_image_tokens", used.cache_read_image_tokens),
            ("output_audio_tokens", used.output_audio_tokens),
            ("output_image_tokens", used.output_image_tokens),
            ("output_video_tokens", used.output_video_tokens),
            ("web_searches", used.web_searches),
        ]
    }
}

#[pymethods]
impl Usage {
    #[new]
    #[pyo3(signature = (
        input_tokens=None, output_tokens=None, *, cache_read_input_tokens=None,
        cache_creation_input_tokens=None, cache_creation_1h_input_tokens=None,
        reasoning_output_tokens=None, input_audio_tokens=None, input_image_tokens=None,
        input_video_tokens=None, cache_read_audio_tokens=None, cache_read_image_tokens=None,
        output_audio_tokens=None, output_image_tokens=None, output_video_tokens=None,
        web_searches=None, cost=None
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        input_tokens: Option<&Bound<'_, PyAny>>,
        output_tokens: Option<&Bound<'_, PyAny>>,
        cache_read_input_tokens: Option<&Bound<'_, PyAny>>,
        cache_creation_input_tokens: Option<&Bound<'_, PyAny>>,
        cache_creation_1h_input_tokens: Option<&Bound<'_, PyAny>>,
        reasoning_output_tokens: Option<&Bound<'_, PyAny>>,
        input_audio_tokens: Option<&Bound<'_, PyAny>>,
        input_image_tokens: Option<&Bound<'_, PyAny>>,
        input_video_tokens: Option<&Bound<'_, PyAny>>,
        cache_read_audio_tokens: Option<&Bound<'_, PyAny>>,
        cache_read_image_tokens: Option<&Bound<'_, PyAny>>,
        output_audio_tokens: Option<&Bound<'_, PyAny>>,
        output_image_tokens: Option<&Bound<'_, PyAny>>,
        output_video_tokens: Option<&Bound<'_, PyAny>>,
        web_searches: Option<&Bound<'_, PyAny>>,
        cost: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let read = |value: Option<&Bound<'_, PyAny>>, name| match value {
            Some(value) => count(value, name),
            None => Ok(0),
        };
        let long = read(cache_creation_1h_input_tokens, "cache_creation_1h_input_tokens")?;
        let written = match cache_creation_input_tokens {
            Some(value) => count(value, "cache_creation_input_tokens")?,
            None => long,
        };
        let usage = outlay::Usage {
            input_tokens: read(input_tokens, "input_tokens")?,
            cache_read_tokens: read(cache_read_input_tokens, "cache_read_input_tokens")?,
            cache_write_tokens: written.saturating_sub(long),
            cache_write_1h_tokens: long,
            cache_read_audio_tokens: read(cache_read_audio_tokens, "cache_read_audio_tokens")?,
            cache_read_image_tokens: read(cache_read_image_tokens, "cache_read_image_tokens")?,
            input_audio_tokens: read(input_audio_tokens, "input_audio_tokens")?,
            input_image_tokens: read(input_image_tokens, "input_image_tokens")?,
            input_video_tokens: read(input_video_tokens, "input_video_tokens")?,
            output_tokens: read(output_tokens, "output_tokens")?,
            reasoning_tokens: read(reasoning_output_tokens, "reasoning_output_tokens")?,
            output_audio_tokens: read(output_audio_tokens, "output_audio_tokens")?,
            output_image_tokens: read(output_image_tokens, "output_image_tokens")?,
            output_video_tokens: read(output_video_tokens, "output_video_tokens")?,
            web_searches: read(web_searches, "web_searches")?,
        };
        let cost = cost.map(|cost| decimal_text(cost, "cost")).transpose()?;
        guard(py, || {
            if long > written {
                let message = format!("`cache_creation_1h_input_tokens` is `{long}`, of `{written}` written");
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
            usage.check()?;
            let cost = cost.map(|text| outlay::Money::parse(&text)).transpose()?;
            let told = cost.map(|cost| Box::new(Extracted { cost: Some(cost), ..Extracted::default() }));
            Ok(Self { used: usage, told })
        })
    }

    /// All input tokens.
    #[getter]
    fn input_tokens(&self) -> u64 {
        self.used.input_tokens
    }

    /// All output tokens.
    #[getter]
    fn output_tokens(&self) -> u64 {
        self.used.output_tokens
    }

    /// Of the input: read from a cache.
    #[getter]
    fn cache_read_input_tokens(&self) -> u64 {
        self.used.cache_read_tokens
    }

    /// Of the input: written to a cache, of whatever lifetime.
    #[getter]
    fn cache_creation_input_tokens(&self) -> u64 {
        self.used.cache_write_tokens.saturating_add(self.used.cache_write_1h_tokens)
    }

    /// Of what was written to a cache: what lives one hour.
    #[getter]
    fn cache_creation_1h_input_tokens(&self) -> u64 {
        self.used.cache_write_1h_tokens
    }

    /// Of the output: reasoning the caller does not see.
    #[getter]
    fn reasoning_output_tokens(&self) -> u64 {
        self.used.reasoning_tokens
    }

    /// Of the input: audio.
    #[getter]
    fn input_audio_tokens(&self) -> u64 {
        self.used.input_audio_tokens
    }

    /// Of the input: images, and pages of documents.
    #[getter]
    fn input_image_tokens(&self) -> u64 {
        self.used.input_image_tokens
    }

    /// Of the input: video.
    #[getter]
    fn input_video_tokens(&self) -> u64 {
        self.used.input_video_tokens
    }

    /// Of what was read from a cache: audio, where the provider says so.
    #[getter]
    fn cache_read_audio_tokens(&self) -> u64 {
        self.used.cache_read_audio_tokens
    }

    /// Of what was read from a cache: images, where the provider says so.
    #[getter]
    fn cache_read_image_tokens(&self) -> u64 {
        self.used.cache_read_image_tokens
    }

    /// Of the output: audio.
    #[getter]
    fn output_audio_tokens(&self) -> u64 {
        self.used.output_audio_tokens
    }

    /// Of the output: images.
    #[getter]
    fn output_image_tokens(&self) -> u64 {
        self.used.output_image_tokens
    }

    /// Of the output: video.
    #[getter]
    fn output_video_tokens(&self) -> u64 {
        self.used.output_video_tokens
    }

    /// Searches the provider ran on its side and bills apiece.
    #[getter]
    fn web_searches(&self) -> u64 {
        self.used.web_searches
    }

    /// What the provider says it charges, where it does.
    #[getter]
    fn cost(&self) -> Option<Money> {
        self.told_cost().map(Money)
    }

    /// The model that answered, where the response it was read from names it.
    #[getter]
    fn model(&self) -> Option<&str> {
        self.told.as_ref()?.model.as_deref()
    }

    /// The service tier that served it, where the response it was read from names it.
    #[getter]
    fn service_tier(&self) -> Option<&str> {
        self.told.as_ref()?.service_tier.as_deref()
    }

    /// What the response it was read from has beside what we know, by path: perhaps billed.
    #[getter]
    pub(crate) fn unknown_fields(&self) -> Vec<String> {
        self.told.as_ref().map_or_else(Vec::new, |told| told.unknown_fields.clone())
    }

    fn __repr__(&self) -> String {
        let told = |(index, (name, count)): (usize, (&str, u64))| {
            (index < 2 || count > 0).then(|| format!("{name}={count}"))
        };
        let mut parts: Vec<String> = self.counts().into_iter().enumerate().filter_map(told).collect();
        parts.extend(self.told_cost().map(|cost| format!("cost='{}'", cost.decimal())));
        format!("Usage({})", parts.join(", "))
    }
}

/// Reads the usage of a response, or of a list of a stream's events, from its JSON text.
#[pyfunction]
pub(crate) fn extract_usage(py: Python<'_>, body: &str, provider: &str, api: &str) -> PyResult<Usage> {
    let read = || {
        let api = Api::find(provider, api)?;
        let extracted = meter::usage_of_text(api, body)?;
        let usage = extracted.usage.ok_or_else(|| {
            let message = format!("this has no usage of `{api}`, or is a stream without its end");
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        Ok(Usage { used: usage, told: Some(Box::new(extracted)) })
    };
    waiting(py, body.len() > LARGE_BYTES, read)
}
