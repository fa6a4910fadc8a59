//! What must a model be able to take to answer this request?
//!
//! Read so that nothing is overlooked: what is not known here to be plain, a field, a block of content,
//! a tool the provider runs, needs [`Ability::Other`], which no model of the book is known to have.

use serde_json::{Value, json};

use super::list;
use crate::meter::{Abilities, Ability, Api};

/// Fields every model of a form takes, whatever they say; those a reader below looks into among them.
const CHAT: [&str; 19] = [
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stream",
    "stream_options",
    "seed",
    "user",
    "metadata",
    "store",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "tools",
    "functions",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
];
const RESPONSES: [&str; 20] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "store",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "truncation",
    "previous_response_id",
    "conversation",
    "tools",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "include",
];
const ANTHROPIC: [&str; 12] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "stream",
    "stop_sequences",
    "metadata",
    "service_tier",
    "cache_control",
    "tools",
    "thinking",
    "output_config",
];
/// Fields that models which reason refuse; of OpenAI's, `stop` too.
const SAMPLING: [&str; 8] = [
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "stop",
];
const CHOICES: [&str; 2] = ["tool_choice", "function_call"];

/// What the request of a body needs, and what the answers in it do.
pub(super) fn of(api: Api, body: &Value) -> (Abilities, Abilities) {
    let mut needs = Needs::default();
    match api {
        Api::OpenAiChat => needs.chat(body),
        Api::OpenAiResponses => needs.responses(body),
        Api::AnthropicMessages => needs.anthropic(body),
        _ => needs.all(Ability::Other),
    }
    (needs.of_request, needs.of_answers)
}

#[derive(Default)]
struct Needs {
    of_request: Abilities,
    of_answers: Abilities,
    /// Is what a model said being read?
    in_answer: bool,
}

impl Needs {
    fn all(&mut self, ability: Ability) {
        let needs = if self.in_answer { &mut self.of_answers } else { &mut self.of_request };
        *needs = needs.and(ability);
    }

    fn if_so(&mut self, holds: bool, ability: Ability) {
        if holds {
            self.all(ability);
        }
    }

    /// All fields of an object must be among these, or say nothing.
    fn only(&mut self, object: &Value, plain: &[&str]) {
        let mut given = object.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        let strange = given.any(|(key, _)| !plain.contains(&key.as_str()));
        self.if_so(strange, Ability::Other);
    }

    /// The fields of a whole request, those that choose words and tools among them.
    fn fields(&mut self, body: &Value, plain: &[&str]) {
        let usual = [json!(null), json!(false), json!(1), json!(1.0)];
        for (key, value) in body.as_object().into_iter().flatten() {
            let key = key.as_str();
            if SAMPLING.contains(&key) {
                self.if_so(!usual.contains(value), Ability::Sampling);
            } else if CHOICES.contains(&key) {
                self.choice(value);
            } else if !plain.contains(&key) && !value.is_null() {
                self.all(Ability::Other);
            }
        }
        self.if_so(body["parallel_tool_calls"].is_boolean(), Ability::ParallelTools);
    }

    fn choice(&mut self, choice: &Value) {
        let kind = choice.as_str().or(choice["type"].as_str());
        let free = choice.is_null() || matches!(kind, Some("auto" | "none"));
        self.if_so(!free, Ability::ForcedTool);
    }

    fn form(&mut self, format: &Value) {
        let plain = format.is_null() || format["type"] == "text";
        self.if_so(!plain, Ability::Schema);
    }

    fn effort(&mut self, effort: &Value) {
        match effort.as_str() {
            None if effort.is_null() => {}
            Some("low" | "medium" | "high") => self.all(Ability::Effort),
            Some("none") => self.all(Ability::EffortNone),
            Some("minimal") => self.all(Ability::EffortMinimal),
            Some("xhigh") => self.all(Ability::EffortXhigh),
            Some("max") => self.all(Ability::EffortMax),
            _ => self.all(Ability::Other),
        }
    }

    /// A function the program runs, and nothing else.
    fn function(&mut self, function: &Value, plain: &[&str]) {
        self.all(Ability::Tools);
        self.if_so(function["strict"] == true, Ability::Schema);
        self.only(function, plain);
    }

    fn chat(&mut self, body: &Value) {
        self.all(Ability::Chat);
        self.fields(body, &CHAT);
        self.form(&body["response_format"]);
        self.effort(&body["reasoning_effort"]);
        for tool in list(body, "tools") {
            self.if_so(tool["type"] != "function", Ability::Other);
            self.only(tool, &["type", "function"]);
            self.function(&tool["function"], &["name", "description", "parameters", "strict"]);
        }
        for function in list(body, "functions") {
            self.function(function, &["name", "description", "parameters"]);
        }
        for message in list(body, "messages") {
            self.in_answer = message["role"] == "assistant";
            let plain = ["role", "content", "name", "refusal", "annotations"];
            let calls = ["tool_calls", "tool_call_id", "function_call"];
            self.only(message, &[&plain[..], &calls].concat());
            self.if_so(matches!(message["role"].as_str(), Some("system" | "developer")), Ability::System);
            let of_tools = calls.iter().any(|key| !message[*key].is_null()) || message["role"] == "function";
            self.if_so(of_tools, Ability::Tools);
            for call in list(message, "tool_calls") {
                self.if_so(call["type"] != "function", Ability::Other);
                self.only(call, &["id", "type", "function", "index"]);
            }
            for part in list(message, "content") {
                self.part(part["type"].as_str());
            }
        }
    }

    /// A part of a message, by its type in OpenAI's forms.
    fn part(&mut self, kind: Option<&str>) {
        match kind {
            Some("text" | "refusal" | "input_text" | "output_text") => {}
            Some("image_url" | "input_image") => self.all(Ability::Images),
            Some("input_audio") => self.all(Ability::Audio),
            Some("file" | "input_file") => self.all(Ability::Documents),
            _ => self.all(Ability::Other),
        }
    }

    fn responses(&mut self, body: &Value) {
        self.all(Ability::Responses);
        self.fields(body, &RESPONSES);
        self.if_so(!body["instructions"].is_null(), Ability::System);
        self.form(&body["text"]["format"]);
        self.only(&body["text"], &["format"]);
        self.effort(&body["reasoning"]["effort"]);
        self.only(&body["reasoning"], &["effort", "summary"]);
        let summary = &body["reasoning"]["summary"];
        self.if_so(!summary.is_null() && summary != "auto", Ability::Other);
        let strange = list(body, "include").iter().any(|what| what != "reasoning.encrypted_content");
        self.if_so(strange, Ability::Other);
        for tool in list(body, "tools") {
            self.if_so(tool["type"] != "function", Ability::Other);
            self.function(tool, &["type", "name", "description", "parameters", "strict"]);
        }
        for item in list(body, "input") {
            let is_given = matches!(item["type"].as_str(), None | Some("message" | "function_call_output"));
            self.in_answer = !is_given || item["role"] == "assistant";
            match item["type"].as_str() {
                None | Some("message") => {
                    let role = item["role"].as_str();
                    self.if_so(matches!(role, Some("system" | "developer")), Ability::System);
                    list(item, "content").iter().for_each(|part| self.part(part["type"].as_str()));
                }
                Some("function_call" | "function_call_output") => {
                    self.all(Ability::Tools);
                    list(item, "output").iter().for_each(|part| self.part(part["type"].as_str()));
                }
                // Only models that reason read it, and only such take the place of one.
                Some("reasoning") => {}
                _ => self.all(Ability::Other),
            }
        }
    }

    fn anthropic(&mut self, body: &Value) {
        self.all(Ability::Chat);
        self.fields(body, &ANTHROPIC);
        // Newer models take the one or the other.
        let both = !body["temperature"].is_null() && !body["top_p"].is_null();
        self.if_so(both, Ability::Other);
        self.if_so(!body["system"].is_null(), Ability::System);
        self.thinking(&body["thinking"]);
        let output = &body["output_config"];
        self.only(output, &["effort", "format"]);
        self.form(&output["format"]);
        self.if_so(!output["effort"].is_null(), Ability::Effort);
        self.effort(&output["effort"]);
        for tool in list(body, "tools") {
            self.if_so(!tool["type"].is_null() && tool["type"] != "custom", Ability::Other);
            let plain = ["type", "name", "description", "input_schema", "cache_control", "strict"];
            self.function(tool, &plain);
        }
        let messages = list(body, "messages");
        for message in messages {
            self.in_answer = message["role"] == "assistant";
            self.if_so(message["role"] == "system", Ability::LaterSystem);
            self.blocks(list(message, "content"));
        }
        self.if_so(messages.last().is_some_and(|last| last["role"] == "assistant"), Ability::Prefill);
    }

    fn thinking(&mut self, thinking: &Value) {
        match thinking["type"].as_str() {
            None if thinking.is_null() => {}
            Some("disabled") => {}
            Some("enabled") => self.all(Ability::ThinkingBudget),
            Some("adaptive") => self.all(Ability::AdaptiveThinking),
            _ => self.all(Ability::Other),
        }
        self.only(thinking, &["type", "budget_tokens", "display"]);
    }

    fn blocks(&mut self, blocks: &[Value]) {
        for block in blocks {
            match block["type"].as_str() {
                Some("text" | "thinking" | "redacted_thinking") => {}
                Some("image") => self.all(Ability::Images),
                Some("document") => self.all(Ability::Documents),
                Some("tool_use") => self.all(Ability::Tools),
                Some("tool_result") => {
                    self.all(Ability::Tools);
                    for inner in list(block, "content") {
                        match inner["type"].as_str() {
                            Some("text") => {}
                            Some("image") => self.all(Ability::Images),
                            Some("document") => self.all(Ability::Documents),
                            _ => self.all(Ability::Other),
                        }
                    }
                }
                _ => self.all(Ability::Other),
            }
        }
    }
}
