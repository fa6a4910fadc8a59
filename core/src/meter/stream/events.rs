//! What does one event say?

use serde_json::Value;

use super::{Delta, Lane, State};
use crate::meter::{
    api::Api,
    extract::{Shape, grounded},
    json::Object,
};

/// Parts of a chat choice that are not calls of tools.
const CONTENT: u64 = 0;
const REFUSAL: u64 = 1;
const REASONING: u64 = 2;
const AUDIO: u64 = 3;
const FUNCTION: u64 = 4;
const FIRST_TOOL: u64 = 8;

/// What may be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the caller's.
    Ordinary,
    /// It tells nothing but the usage.
    OnlyUsage,
}

impl State {
    /// Takes the data of one event.
    pub(super) fn event(&mut self, api: Api, data: Option<&[u8]>) -> Verdict {
        let Some(data) = data else { return Verdict::Ordinary };
        if data == b"[DONE]" {
            self.finished = true;
            self.usage_is_final |= self.usage.is_some();
            return Verdict::Ordinary;
        }
        let Ok(Value::Object(event)) = serde_json::from_slice(data) else {
            self.unreadable_events += 1;
            return Verdict::Ordinary;
        };
        self.take(api, &event)
    }

    /// Takes one event.
    pub(super) fn take(&mut self, api: Api, event: &Object) -> Verdict {
        if let Some(error) = event.get("error").filter(|error| !error.is_null()) {
            self.error = Some(error_text(error));
        }
        self.take_model(event);
        let told = Shape::of(api).fold(&mut self.usage, event);
        match api.spoken() {
            Api::AnthropicMessages => self.message_event(event),
            Api::OpenAiResponses | Api::OpenAiImages | Api::OpenAiRealtime => {
                self.usage_is_final |= told;
                self.response_event(event);
            }
            Api::OpenAiChat => return self.chunk(event, told),
            Api::GeminiGenerate => self.generated(event, told),
            Api::CohereChat => self.cohere_event(event, told),
            Api::OllamaChat => {
                self.finished |= event.get("done") == Some(&Value::Bool(true));
                self.usage_is_final |= told && self.finished;
            }
            _ => self.usage_is_final |= told,
        }
        Verdict::Ordinary
    }

    fn chunk(&mut self, event: &Object, told: bool) -> Verdict {
        let choices = event.get("choices").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (position, choice) in choices.iter().enumerate() {
            let index = number(choice, "index").unwrap_or(position as u64);
            self.choice(index, choice.get("delta").unwrap_or(&Value::Null));
        }
        let stops =
            choices.iter().any(|choice| choice.get("finish_reason").is_some_and(|reason| !reason.is_null()));
        if !told {
            return Verdict::Ordinary;
        }
        // Some servers tell a running count with every chunk: only the last is final.
        self.usage_is_final = choices.is_empty() || stops;
        if !choices.is_empty() {
            return Verdict::Ordinary;
        }
        self.finished = true;
        Verdict::OnlyUsage
    }

    /// Every event has the usage so far; the one that ends the last candidate has all of it.
    fn generated(&mut self, event: &Object, told: bool) {
        self.searches = self.searches.max(grounded(event));
        let candidates = event.get("candidates").and_then(Value::as_array);
        for (position, candidate) in candidates.into_iter().flatten().enumerate() {
            let index = number(candidate, "index").unwrap_or(position as u64);
            let parts = candidate.get("content").and_then(|content| content.get("parts"));
            for part in parts.and_then(Value::as_array).into_iter().flatten() {
                let thought = part.get("thought") == Some(&Value::Bool(true));
                self.text(index, if thought { REASONING } else { CONTENT }, part.get("text"));
                if let Some(call) = part.get("functionCall") {
                    self.text(index, FUNCTION, call.get("name"));
                    self.push(index, FUNCTION, &call.get("args").map(Value::to_string).unwrap_or_default());
                }
            }
            let reason = candidate.get("finishReason").or_else(|| candidate.get("finish_reason"));
            let bit = 1 << index.min(63);
            self.candidates[0] |= bit;
            self.candidates[1] |= if reason.is_some_and(|reason| !reason.is_null()) { bit } else { 0 };
        }
        let [begun, ended] = self.candidates;
        self.finished |= begun != 0 && begun == ended;
        self.usage_is_final |= told && self.finished;
    }

    fn cohere_event(&mut self, event: &Object, told: bool) {
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        let message = event.get("delta").and_then(|delta| delta.get("message"));
        let within = |key| message.and_then(|message| message.get(key));
        self.text(index, REASONING, within("tool_plan"));
        for (part, key) in [(CONTENT, "text"), (REASONING, "thinking")] {
            self.text(index, part, within("content").and_then(|content| content.get(key)));
        }
        let function = within("tool_calls").and_then(|call| call.get("function"));
        for key in ["name", "arguments"] {
            self.text(index, FUNCTION, function.and_then(|function| function.get(key)));
        }
        self.finished |= event.get("type").is_some_and(|kind| kind == "message-end");
        self.usage_is_final |= told;
    }

    fn choice(&mut self, index: u64, delta: &Value) {
        self.text(index, CONTENT, delta.get("content"));
        self.text(index, REFUSAL, delta.get("refusal"));
        // Two names of the same text: a server that sends both sends it once.
        let reasoning = ["reasoning_content", "reasoning"].iter().find_map(|key| delta.get(*key)?.as_str());
        if let Some(text) = reasoning {
            self.push(index, REASONING, text);
        }
        self.text(index, AUDIO, delta.get("audio").and_then(|audio| audio.get("transcript")));
        if let Some(call) = delta.get("function_call") {
            self.text(index, FUNCTION, call.get("name"));
            self.text(index, FUNCTION, call.get("arguments"));
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for (position, call) in calls.into_iter().flatten().enumerate() {
            let lane = FIRST_TOOL.saturating_add(number(call, "index").unwrap_or(position as u64));
            for (kind, field) in
                [("function", "name"), ("function", "arguments"), ("custom", "name"), ("custom", "input")]
            {
                self.text(index, lane, call.get(kind).and_then(|inner| inner.get(field)));
            }
        }
    }

    fn response_event(&mut self, event: &Object) {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let at = |key| event.get(key).and_then(Value::as_u64).unwrap_or(0);
        let lane = (at("output_index"), at("content_index").saturating_add(at("summary_index")));
        match kind {
            "response.output_item.added" => {
                let name = event.get("item").and_then(|item| item.get("name"));
                self.text(lane.0, lane.1, name);
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.finished = true;
                if let Some(Value::Object(response)) = event.get("response") {
                    self.take_response(response);
                }
            }
            "image_generation.completed" | "image_edit.completed" | "response.done" => self.finished = true,
            "error" => {
                let text = event.get("message").or_else(|| event.get("code")).and_then(Value::as_str);
                self.error.get_or_insert_with(|| text.unwrap_or("error").to_owned());
            }
            // Audio comes as its transcript too; as itself it is no text.
            "response.audio.delta" => {}
            _ if kind.strip_suffix(".delta").is_some() => self.text(lane.0, lane.1, event.get("delta")),
            _ => {}
        }
    }

    fn take_response(&mut self, response: &Object) {
        self.take_model(response);
        self.output = response.get("output").cloned();
        if let Some(error) = response.get("error").filter(|error| !error.is_null()) {
            self.error = Some(error_text(error));
        }
    }

    fn message_event(&mut self, event: &Object) {
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => {
                if let Some(Value::Object(message)) = event.get("message") {
                    self.take_model(message);
                }
            }
            "content_block_start" => {
                let block = event.get("content_block");
                for key in ["text", "thinking", "name"] {
                    self.text(index, 0, block.and_then(|block| block.get(key)));
                }
            }
            "content_block_delta" => {
                let delta = event.get("delta");
                for key in ["text", "thinking", "partial_json"] {
                    self.text(index, 0, delta.and_then(|delta| delta.get(key)));
                }
            }
            "message_delta" => {
                let told = event.get("usage").and_then(|told| told.get("output_tokens"));
                self.usage_is_final |= told.is_some_and(|tokens| !tokens.is_null());
            }
            "message_stop" => self.finished = true,
            _ => {}
        }
    }

    fn take_model(&mut self, object: &Object) {
        let named = ["model", "modelVersion"].iter().find_map(|key| object.get(*key)?.as_str());
        if let Some(model) = named.filter(|model| !model.is_empty()) {
            self.model = Some(model.to_owned());
        }
    }

    fn text(&mut self, choice: u64, part: u64, value: Option<&Value>) {
        if let Some(Value::String(text)) = value {
            self.push(choice, part, text);
        }
    }

    fn push(&mut self, choice: u64, part: u64, text: &str) {
        if !text.is_empty() {
            self.deltas.push(Delta { lane: Lane { choice, part }, text: text.to_owned() });
        }
    }
}

fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(Value::as_u64)
}

fn error_text(error: &Value) -> String {
    let known = ["type", "code", "message"].iter().find_map(|key| error.get(*key)?.as_str());
    known.or_else(|| error.as_str()).unwrap_or("error").to_owned()
}
