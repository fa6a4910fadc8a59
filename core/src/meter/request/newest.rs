//! What has happened since the request before this one, and where may a word be put in?
//!
//! A request carries the whole conversation. What is new in it is the model's last answer and all that
//! stands behind: results of the tools it called, or what a user said. A word goes to the end of the
//! last message, so that all before it is what a provider may have cached.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
};

use rustc_hash::FxHasher;
use serde_json::{Value, json};

use crate::meter::Api;

/// The newest part of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Newest<'a> {
    /// Messages of the whole conversation.
    pub messages: usize,
    /// What the model said last; nothing where it has not answered yet.
    pub answer: Option<Answer<'a>>,
    /// What its tools gave, in order.
    pub results: Vec<Given<'a>>,
    /// What the user said behind that.
    pub user: Option<Cow<'a, str>>,
}

/// An answer of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer<'a> {
    pub text: Cow<'a, str>,
    /// Arguments of a call in it are no JSON.
    pub is_malformed: bool,
}

/// What a tool gave.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given<'a> {
    /// Of the call.
    pub id: &'a str,
    pub name: &'a str,
    pub args: Option<&'a Value>,
    pub result: Cow<'a, str>,
    pub is_error: Option<bool>,
}

/// Which members of a body say it, and how.
enum Form {
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

impl Form {
    fn of(api: Api) -> Option<(Self, &'static str)> {
        match api.spoken() {
            Api::OpenAiChat => Some((Self::Chat, "messages")),
            Api::OpenAiResponses => Some((Self::Responses, "input")),
            Api::AnthropicMessages => Some((Self::Anthropic, "messages")),
            Api::GeminiGenerate => Some((Self::Gemini, "contents")),
            _ => None,
        }
    }

    /// Did the model write this message?
    fn is_models(&self, message: &Value) -> bool {
        match self {
            Self::Responses => {
                let kind = message["type"].as_str().unwrap_or("message");
                kind == "reasoning" || kind.ends_with("_call") || message["role"] == "assistant"
            }
            Self::Gemini => message["role"] == "model",
            Self::Chat | Self::Anthropic => message["role"] == "assistant",
        }
    }
}

/// Reads the newest part of a conversation; nothing where requests of this API carry none.
pub(crate) fn read(api: Api, body: &Value) -> Option<Newest<'_>> {
    let (form, member) = Form::of(api)?;
    let messages = match &body[member] {
        Value::String(said) => {
            return Some(Newest { messages: 1, user: Some(said.as_str().into()), ..Newest::default() });
        }
        messages => messages.as_array()?,
    };
    let behind = messages.iter().rposition(|message| form.is_models(message)).map_or(0, |last| last + 1);
    let from = messages[..behind].iter().rposition(|message| !form.is_models(message)).map_or(0, |at| at + 1);
    let (said, new) = (&messages[from..behind], &messages[behind..]);
    let mut newest = Newest { messages: messages.len(), ..Newest::default() };
    if !said.is_empty() {
        newest.answer = Some(answer(&form, said));
    }
    let mut calls: Vec<Called<'_>> = said.iter().flat_map(|message| calls(&form, message)).collect();
    for message in new {
        for (id, name, result, is_error) in results(&form, message) {
            // Gemini may leave the id out: then the next call of that name is meant.
            let is_its = |call: &Called<'_>| if id.is_empty() { call.name == name } else { call.id == id };
            let call = calls.iter().position(is_its).map(|place| calls.remove(place));
            let call = call.as_ref();
            newest.results.push(Given {
                id,
                name: call.map_or(name, |call| call.name),
                args: call.and_then(|call| call.args),
                result,
                is_error,
            });
        }
        if message["role"] == "user" {
            newest.user = gist(&message[place(&form)]).or(newest.user);
        }
    }
    Some(newest)
}

/// What began this conversation: the first words of a user, which stay while the rest grows or is made
/// shorter. Nothing where the provider keeps what was before.
pub(crate) fn opening(api: Api, body: &Value) -> Option<Cow<'_, str>> {
    let (form, member) = Form::of(api)?;
    if ["previous_response_id", "conversation"].iter().any(|kept| !body[kept].is_null()) {
        return None;
    }
    if let Value::String(said) = &body[member] {
        return Some(said.as_str().into());
    }
    let mut said = list(&body[member]).iter().filter(|message| message["role"] == "user");
    said.find_map(|message| gist(&message[place(&form)]))
}

/// Where a message has its parts.
fn place(form: &Form) -> &'static str {
    if matches!(form, Form::Gemini) { "parts" } else { "content" }
}

struct Called<'a> {
    id: &'a str,
    name: &'a str,
    args: Option<&'a Value>,
}

fn answer<'a>(form: &Form, said: &'a [Value]) -> Answer<'a> {
    let is_broken = |call: Called<'_>| match call.args {
        Some(Value::String(args)) => !args.trim().is_empty() && serde_json::from_str::<Value>(args).is_err(),
        _ => false,
    };
    // What a custom tool takes is any text.
    let functions = said.iter().filter(|message| message["type"] != "custom_tool_call");
    Answer {
        text: said.iter().find_map(|message| text(&message[place(form)])).unwrap_or_default(),
        is_malformed: functions.flat_map(|message| calls(form, message)).any(is_broken),
    }
}

fn calls<'a>(form: &Form, message: &'a Value) -> Vec<Called<'a>> {
    let named = |id: &'a Value, name: &'a Value, args: &'a Value| {
        let args = Some(args).filter(|args| !args.is_null());
        Called { id: id.as_str().unwrap_or_default(), name: name.as_str().unwrap_or_default(), args }
    };
    match form {
        Form::Chat => {
            let function = |call: &'a Value| {
                named(&call["id"], &call["function"]["name"], &call["function"]["arguments"])
            };
            list(&message["tool_calls"]).iter().map(function).collect()
        }
        Form::Responses => match message["type"].as_str() {
            Some("function_call") => {
                vec![named(&message["call_id"], &message["name"], &message["arguments"])]
            }
            Some("custom_tool_call") => vec![named(&message["call_id"], &message["name"], &message["input"])],
            _ => vec![],
        },
        Form::Anthropic => {
            let used = list(&message["content"]).iter().filter(|block| block["type"] == "tool_use");
            used.map(|block| named(&block["id"], &block["name"], &block["input"])).collect()
        }
        Form::Gemini => {
            let called = list(&message["parts"]).iter().map(|part| &part["functionCall"]);
            called
                .filter(|call| call.is_object())
                .map(|call| named(&call["id"], &call["name"], &call["args"]))
                .collect()
        }
    }
}

/// Of each result in a message the id of its call, the tool where the result names it, the text, and
/// whether it is an error where the API has a place to say so.
fn results<'a>(form: &Form, message: &'a Value) -> Vec<(&'a str, &'a str, Cow<'a, str>, Option<bool>)> {
    let word = |value: &'a Value| value.as_str().unwrap_or_default();
    let given = |value: &'a Value| gist(value).unwrap_or_default();
    match form {
        Form::Chat if message["role"] == "tool" => {
            vec![(word(&message["tool_call_id"]), "", given(&message["content"]), None)]
        }
        Form::Responses if word(&message["type"]).ends_with("_call_output") => {
            vec![(word(&message["call_id"]), "", given(&message["output"]), None)]
        }
        Form::Anthropic => {
            let results = list(&message["content"]).iter().filter(|block| block["type"] == "tool_result");
            let result = |block: &'a Value| {
                (word(&block["tool_use_id"]), "", given(&block["content"]), block["is_error"].as_bool())
            };
            results.map(result).collect()
        }
        Form::Gemini => {
            let results = list(&message["parts"]).iter().map(|part| &part["functionResponse"]);
            let result = |given: &'a Value| {
                let response = &given["response"];
                let is_error = response.get("error").map(|_| true);
                (word(&given["id"]), word(&given["name"]), Cow::Owned(response.to_string()), is_error)
            };
            results.filter(|given| given.is_object()).map(result).collect()
        }
        Form::Chat | Form::Responses => vec![],
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text, or the texts of parts together; nothing where there is none.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    if let Some(text) = value.as_str() {
        return Some(text.into());
    }
    let mut texts = list(value).iter().filter_map(|part| part["text"].as_str());
    let first = texts.next()?;
    let rest: String = texts.collect();
    Some(if rest.is_empty() { first.into() } else { format!("{first}{rest}").into() })
}

/// A text, and a digest of what stands beside it: another image is another result.
fn gist(value: &Value) -> Option<Cow<'_, str>> {
    let is_other = |part: &&Value| {
        let is_result = part["type"] == "tool_result" || part["functionResponse"].is_object();
        part.is_object() && !part["text"].is_string() && !is_result
    };
    let mut others = list(value).iter().filter(is_other).peekable();
    if others.peek().is_none() {
        return text(value);
    }
    Some(with_digest(text(value).unwrap_or_default(), others))
}

/// A text with a digest of parts that are none. Every byte is read once; base64 stays as it is.
pub(crate) fn with_digest<'a>(
    text: Cow<'_, str>,
    parts: impl IntoIterator<Item = &'a Value>,
) -> Cow<'a, str> {
    let mut hasher = FxHasher::default();
    for part in parts {
        let Some(members) = part.as_object() else {
            part.hash(&mut hasher);
            continue;
        };
        // Where a prompt's cache ends says nothing about the part.
        members.iter().filter(|(key, _)| *key != "cache_control").for_each(|part| part.hash(&mut hasher));
    }
    let digest = hasher.finish();
    // Words of such letters are nothing volatile, which a breaker would not compare.
    let word = |from: u32| (0..4).map(move |at| char::from(b'g' + (digest >> (from + 4 * at) & 15) as u8));
    let [a, b, c, d] = [0, 16, 32, 48].map(|from| word(from).collect::<String>());
    format!("{text}\n[beside it: {a} {b} {c} {d}]").into()
}

/// Puts a word in: behind the last message, or in place of the result of this number. The member that
/// changed, if there is a place for it.
pub(crate) fn put(api: Api, body: &mut Value, word: &str, instead_of: Option<usize>) -> Option<&'static str> {
    let (form, member) = Form::of(api)?;
    if let (Value::String(said), None) = (&mut body[member], instead_of) {
        said.push_str("\n\n");
        said.push_str(word);
        return Some(member);
    }
    let messages = body[member].as_array_mut()?;
    let behind = messages.iter().rposition(|message| form.is_models(message)).map_or(0, |last| last + 1);
    let mut places: Vec<&mut Value> = Vec::new();
    match instead_of {
        Some(number) => {
            places.extend(messages[behind..].iter_mut().flat_map(|message| results_mut(&form, message)));
            if number < places.len() {
                *places.swap_remove(number) = answer_of(&form, word);
                return Some(member);
            }
            None
        }
        None => {
            let last = messages[behind..].last_mut()?;
            add(&form, last, word).map(|()| member)
        }
    }
}

fn answer_of(form: &Form, word: &str) -> Value {
    if matches!(form, Form::Gemini) { json!({ "error": word }) } else { word.into() }
}

/// Where the results of a message stand, in the order of [`results`].
fn results_mut<'a>(form: &Form, message: &'a mut Value) -> Vec<&'a mut Value> {
    match form {
        Form::Chat if message["role"] == "tool" => vec![&mut message["content"]],
        Form::Responses if message["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output")) => {
            vec![&mut message["output"]]
        }
        Form::Anthropic => {
            let blocks = message["content"].as_array_mut().into_iter().flatten();
            blocks.filter(|block| block["type"] == "tool_result").map(|block| &mut block["content"]).collect()
        }
        Form::Gemini => {
            let parts = message["parts"].as_array_mut().into_iter().flatten();
            let given = parts.filter(|part| part["functionResponse"].is_object());
            given.map(|part| &mut part["functionResponse"]["response"]).collect()
        }
        Form::Chat | Form::Responses => vec![],
    }
}

/// Adds a word behind the last message.
fn add(form: &Form, last: &mut Value, word: &str) -> Option<()> {
    let (place, part) = match form {
        Form::Gemini => {
            let parts = last["parts"].as_array_mut()?;
            // Text may not stand beside the results of functions: a result has room of its own.
            let given = parts.iter_mut().rev().find(|part| part["functionResponse"].is_object());
            if let Some(response) = given.map(|part| &mut part["functionResponse"]["response"]) {
                response.as_object_mut()?.insert("note".to_owned(), word.into());
                return Some(());
            }
            (&mut last["parts"], json!({ "text": word }))
        }
        Form::Responses if !last["output"].is_null() => {
            (&mut last["output"], json!({ "type": "input_text", "text": word }))
        }
        Form::Responses => (&mut last["content"], json!({ "type": "input_text", "text": word })),
        Form::Chat | Form::Anthropic => (&mut last["content"], json!({ "type": "text", "text": word })),
    };
    match place {
        Value::String(said) => {
            said.push_str("\n\n");
            said.push_str(word);
        }
        Value::Array(parts) => parts.push(part),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Api; 4] =
        [Api::OpenAiChat, Api::OpenAiResponses, Api::AnthropicMessages, Api::GeminiGenerate];

    /// A user's question, a call of a tool and its result, in the words of each API.
    fn asked(api: Api) -> Value {
        match api {
            Api::OpenAiChat => json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "well", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "ls", "arguments": "{\"p\": 1}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": "x.txt"}]}),
            Api::OpenAiResponses => json!({"input": [
                {"role": "user", "content": "hi"},
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant", "content": [
                    {"type": "output_text", "text": "well"}]},
                {"type": "function_call", "call_id": "a", "name": "ls", "arguments": "{\"p\": 1}"},
                {"type": "function_call_output", "call_id": "a", "output": "x.txt"}]}),
            Api::AnthropicMessages => json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "well"},
                    {"type": "tool_use", "id": "a", "name": "ls", "input": {"p": 1}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "x.txt"}]}]}),
            _ => json!({"contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [
                    {"text": "well"}, {"functionCall": {"name": "ls", "args": {"p": 1}}}]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "ls", "response": {"r": "x.txt"}}}]}]}),
        }
    }

    #[test]
    fn the_answer_and_what_its_tools_gave_are_new() {
        for api in ALL {
            let body = asked(api);
            let newest = read(api, &body).unwrap();
            assert_eq!(newest.answer, Some(Answer { text: "well".into(), is_malformed: false }), "{api:?}");
            let [given] = &newest.results[..] else { panic!("{api:?}: {newest:?}") };
            assert_eq!((given.name, given.is_error), ("ls", None), "{api:?}");
            assert!(given.result.contains("x.txt") && given.args.is_some(), "{api:?}");
            assert_eq!(newest.user.as_deref(), None, "{api:?}: a result is nobody's word");
        }
    }

    #[test]
    fn what_a_user_said_is_new_where_nothing_was_answered() {
        let parts = json!([{"type": "text", "text": "hi"}]);
        let said = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]);
        for (api, body) in [
            (Api::OpenAiChat, json!({"messages": said})),
            (Api::OpenAiResponses, json!({"input": "hi"})),
            (Api::AnthropicMessages, json!({"messages": [{"role": "user", "content": parts}]})),
            (Api::GeminiGenerate, json!({"contents": [{"role": "user", "parts": parts}]})),
        ] {
            let newest = read(api, &body).unwrap();
            assert_eq!((newest.answer, newest.user.as_deref()), (None, Some("hi")), "{api:?}");
        }
        assert_eq!(read(Api::OpenAiEmbeddings, &json!({"input": "hi"})), None);
        assert_eq!(read(Api::OpenAiChat, &json!({})), None);
    }

    #[test]
    fn another_image_is_another_result_and_the_end_of_a_cache_is_not() {
        let image = |bytes: &str| json!({"type": "image", "source": {"type": "base64", "data": bytes}});
        let given = |content: Value| {
            let mut body = asked(Api::AnthropicMessages);
            body["messages"][2]["content"][0]["content"] = content;
            read(Api::AnthropicMessages, &body).unwrap().results[0].result.clone().into_owned()
        };
        let text = json!({"type": "text", "text": "taken"});
        let one = given(json!([text, image("aaaa")]));
        assert!(one.starts_with("taken\n["), "{one}");
        assert_ne!(one, given(json!([text, image("aaab")])));
        let mut kept = image("aaaa");
        kept["cache_control"] = json!({"type": "ephemeral"});
        assert_eq!(one, given(json!([text, kept])));
        assert_ne!(given(json!([image("aaaa")])), given(json!([image("aaab")])));
        assert_eq!(given(json!([text])), "taken");
    }

    #[test]
    fn a_conversation_goes_by_the_first_words_of_a_user() {
        for api in ALL {
            let mut body = asked(api);
            assert_eq!(opening(api, &body).as_deref(), Some("hi"), "{api:?}");
            let member = Form::of(api).unwrap().1;
            let messages = body[member].as_array_mut().unwrap();
            messages.insert(0, json!({"role": "system", "content": "it is noon"}));
            messages.remove(2);
            assert_eq!(opening(api, &body).as_deref(), Some("hi"), "{api:?}: made shorter");
            body["previous_response_id"] = "r".into();
            assert_eq!(opening(api, &body), None, "{api:?}");
        }
    }

    #[test]
    fn arguments_that_are_no_json_are_malformed() {
        let mut body = asked(Api::OpenAiChat);
        body["messages"][1]["tool_calls"][0]["function"]["arguments"] = "{\"p\": ".into();
        assert!(read(Api::OpenAiChat, &body).unwrap().answer.unwrap().is_malformed);
    }

    #[test]
    fn a_word_stands_at_the_end_and_changes_nothing_before() {
        for api in ALL {
            let (before, mut body) = (asked(api), asked(api));
            let member = put(api, &mut body, "a word", None).unwrap();
            let (old, new) = (before[member].as_array().unwrap(), body[member].as_array().unwrap());
            assert_eq!(old[..old.len() - 1], new[..new.len() - 1], "{api:?}");
            assert!(read(api, &body).unwrap().results[0].result.contains("x.txt"), "{api:?}");
            assert!(new.last().unwrap().to_string().contains("a word"), "{api:?}");
        }
    }

    #[test]
    fn a_word_stands_in_place_of_a_result() {
        for api in ALL {
            let mut body = asked(api);
            put(api, &mut body, "a word", Some(0)).unwrap();
            let newest = read(api, &body).unwrap();
            let result = &newest.results[0].result;
            assert!(result.contains("a word") && !result.contains("x.txt"), "{api:?}");
            assert_eq!(put(api, &mut body, "a word", Some(1)), None);
        }
    }

    #[test]
    fn behind_the_models_own_words_there_is_no_place() {
        let mut body =
            json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "so"}]});
        assert_eq!(put(Api::AnthropicMessages, &mut body, "a word", None), None);
    }
}
