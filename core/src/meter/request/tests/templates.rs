use serde_json::json;

use super::*;

/// Requests as the published templates of open models render them: the marks are one token each.
#[test]
fn the_templates_of_open_models_stay_below_their_bounds() {
    let weather = json!({"type": "function", "function": {"name": "get_weather", "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}});
    let call = json!({"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function",
        "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\",\"days\":3}"}}]});
    let plain = json!({"messages": [{"role": "user", "content": "hello world"}]});
    let tools = json!({"messages": [{"role": "user", "content": "hello world"}, call,
        {"role": "tool", "tool_call_id": "c", "content": "It rains."}], "tools": [weather]});
    let qwen_calls = "<|im_start|>system\n\
        You are Qwen, created by Alibaba Cloud. You are a helpful assistant.\n\n\
        # Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are \
        provided with function signatures within <tools></tools> XML tags:\n<tools>\n{\"type\": \
        \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"The weather\", \
        \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \
        \"required\": [\"city\"]}}}\n</tools>\n\nFor each function call, return a json object with \
        function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n\
        {\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n\
        <|im_start|>user\nhello world<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{\"name\": \
        \"get_weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}\n\
        </tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nIt rains.\n\
        </tool_response><|im_end|>\n<|im_start|>assistant\n";
    for (model, body, rendered) in [
        (
            "qwen/qwen-2.5-72b-instruct",
            &plain,
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a \
            helpful assistant.<|im_end|>\n<|im_start|>user\nhello world<|im_end|>\n<|im_start|>assistant\n",
        ),
        ("qwen/qwen-2.5-72b-instruct", &tools, qwen_calls),
        (
            "qwen/qwen3-32b",
            &plain,
            "<|im_start|>user\nhello world<|im_end|>\n<|im_start|>assistant\n\
            <think>\n\n</think>\n\n",
        ),
        ("deepseek-chat", &plain, "<|begin|><|User|>hello world<|Assistant|></think>"),
        (
            "meta-llama/llama-3.1-8b-instruct",
            &plain,
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n\
            Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>\
            <|start_header_id|>user<|end_header_id|>\n\nhello \
            world<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("open-mistral-nemo", &plain, "<|s|><|INST|>hello world<|/INST|>"),
    ] {
        let mut body = body.clone();
        body["model"] = model.into();
        let read = Request::read(Api::OpenAiChat, &body, None).unwrap().facts.input;
        let (encoding, _) = tokens::family(model).unwrap();
        let truth: u64 = rendered
            .split("<|")
            .map(|part| part.split_once("|>").map_or((0, part), |(_, text)| (1, text)))
            .map(|(mark, text)| mark + tokens::count(encoding, text).tokens)
            .sum();
        assert!(read.tokens >= truth, "{model}: {} of {truth}", read.tokens);
        assert_eq!(read.method, Method::Calibrated);
    }
}
