"""How does OpenAI's ``POST /v1/chat/completions`` answer?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .bill import Usage
from .generation import Answer, generate
from .script import Reply
from .tokens import chat, text_of
from .work import Call, Frame, Json, Refusal, Work, now_s, put_usage, sse

_FINISH = {"stop": "stop", "sequence": "stop", "length": "length", "tools": "tool_calls"}
DONE = b"data: [DONE]\n\n"
ERROR_EVENT = sse(
    None,
    {"error": {"message": "The server had an error.", "type": "server_error", "code": None}},
)


def complete(call: Call) -> Work:
    """Works out a chat completion.

    Raises:
        Refusal: As the real endpoint refuses: no such model, no messages, a maximum out of
            range, ``max_tokens`` for a model that reasons.
    """
    body, reply = call.body, call.reply
    model = call.model("openai")
    messages = call.listed("messages")
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise Refusal(400, "`messages` must be a list of messages", param="messages")
    if model.reasoning and body.get("max_tokens") is not None:
        message = "Unsupported parameter: use 'max_completion_tokens' instead of 'max_tokens'."
        raise Refusal(400, message, code="unsupported_parameter", param="max_tokens")
    maximum = call.maximum(model, "max_completion_tokens")
    if maximum is None:
        maximum = call.maximum(model, "max_tokens")
    choices = body.get("n") or 1
    if type(choices) is not int or not 1 <= choices <= 128:
        raise Refusal(400, f"`n` must be from 1 to 128: `{choices}`", param="n")
    stop = body.get("stop") or ()
    answer = generate(
        model,
        reply,
        maximum,
        (stop,) if isinstance(stop, str) else tuple(stop),
        text_of(messages[-1].get("content")) if reply.echo else "",
        model.reasoning,
    )
    prompt = chat(model, messages, call.listed("tools"))
    usage = Usage(
        input_tokens=len(prompt),
        cached_tokens=call.state.cache.automatic(model.served_as, prompt),
        output_tokens=answer.tokens * choices,
        reasoning_tokens=answer.reasoning * choices,
    )
    head = {"id": call.identity("chatcmpl-"), "created": now_s(), "model": model.served_as}
    frames = _Frames(head, reply, answer, choices, usage, body.get("stream_options") or {})
    return Work(
        model,
        usage,
        answer.reasoning * choices,
        _whole(head, reply, answer, choices, usage),
        frames if body.get("stream") else None,
        ERROR_EVENT,
    )


def usage_of(usage: Usage) -> Json:
    """Returns a usage as chat completions report it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call_id(head: Json, choice: int, index: int) -> str:
    return f"call_{head['id'][-20:]}{choice:02d}{index:02d}"


def _whole(head: Json, reply: Reply, answer: Answer, choices: int, usage: Usage) -> Json:
    def message(choice: int) -> Json:
        said: Json = {"role": "assistant", "content": answer.text, "refusal": None}
        said["annotations"] = []
        if answer.calls:
            said["content"] = answer.text or None
            said["tool_calls"] = [
                {
                    "id": _call_id(head, choice, index),
                    "type": "function",
                    "function": {"name": spoken.name, "arguments": spoken.arguments},
                }
                for index, spoken in enumerate(answer.calls)
            ]
        return said

    told: Sequence[Json] = [
        {
            "index": choice,
            "message": message(choice),
            "logprobs": None,
            "finish_reason": _FINISH[answer.finish],
        }
        for choice in range(choices)
    ]
    body = {**head, "object": "chat.completion", "service_tier": "default", "choices": told}
    return put_usage(body, usage_of(usage), reply.usage)


class _Frames:
    """The stream of a chat completion; its choices take turns."""

    def __init__(
        self, head: Json, reply: Reply, answer: Answer, choices: int, usage: Usage, options: Json
    ) -> None:
        self._head = {**head, "object": "chat.completion.chunk", "service_tier": "default"}
        self._reply = reply
        self._answer = answer
        self._choices = choices
        self._usage = usage
        self._included = bool(options.get("include_usage"))

    def __call__(self) -> Iterator[Frame]:
        answer, choices = self._answer, range(self._choices)
        spent = answer.reasoning * self._choices
        before = [answer.reasoning] * self._choices
        for choice in choices:
            first = {"role": "assistant", "content": "", "refusal": None}
            yield Frame(self._event(choice, first), spent)
        for chunk in answer.chunks:
            for choice in choices:
                spent += chunk.spent - before[choice]
                before[choice] = chunk.spent
                yield Frame(self._event(choice, self._delta(chunk, choice)), spent, True)
        for choice in choices:
            yield Frame(self._event(choice, {}, _FINISH[answer.finish]), self._usage.output_tokens)
        if self._included and self._reply.usage not in ("missing", "no_final"):
            last = {**self._head, "choices": []}
            put_usage(last, usage_of(self._usage), self._reply.usage)
            yield Frame(sse(None, last), self._usage.output_tokens)
        yield Frame(DONE, self._usage.output_tokens)

    def _delta(self, chunk: Any, choice: int) -> Json:
        if chunk.kind == "text":
            return {"content": chunk.text}
        if chunk.kind == "args":
            return {"tool_calls": [{"index": chunk.call, "function": {"arguments": chunk.text}}]}
        function = {"name": chunk.text, "arguments": ""}
        identity = _call_id(self._head, choice, chunk.call)
        start = {"index": chunk.call, "id": identity, "type": "function", "function": function}
        return {"tool_calls": [start]}

    def _event(self, choice: int, delta: Json, finish: str | None = None) -> bytes:
        told: Json = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "choices": [told]}
        if self._included:
            chunk["usage"] = None
        return sse(None, chunk)
