"""How do Anthropic's ``POST /v1/messages`` and ``/v1/messages/count_tokens`` answer?

A Claude prompt counts, by the definition of this provider: the model's frame, three tokens for
each message after the first, the tools' system prompt if there are tools, and the scaled
o200k tokens of system text, tools (as their JSON) and messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from .bill import Usage
from .cache import Split
from .catalog import CLAUDE_TOOLS_AUTO, CLAUDE_TOOLS_FORCED, Model
from .generation import Answer, generate
from .script import Reply
from .tokens import content, encode, scaled, text_of
from .work import Call, Frame, Json, Refusal, Work, put_usage, sse

_STOP = {
    "stop": "end_turn",
    "sequence": "stop_sequence",
    "length": "max_tokens",
    "tools": "tool_use",
}
_THOUGHT = "Let me think."
ERROR_EVENT = sse(
    "error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
)
_Block = tuple[list[int], "str | None"]


@dataclass(frozen=True)
class _Prompt:
    """The blocks of a prompt in the order of Anthropic's cache, and tokens beside the text."""

    blocks: list[_Block]
    frame: int

    def total(self, model: Model) -> int:
        return self.frame + scaled(model, sum(len(ids) for ids, _ in self.blocks))


def complete(call: Call) -> Work:
    """Works out a message.

    Raises:
        Refusal: As the real endpoint refuses: no such model, no messages, no ``max_tokens``
            or one out of range.
    """
    body, reply = call.body, call.reply
    model = call.model("anthropic")
    prompt = _prompt(call, model)
    maximum = call.maximum(model, "max_tokens")
    if maximum is None:
        raise Refusal(400, "max_tokens: Field required")
    thinks = _thinks(body.get("thinking") or {}, maximum)
    answer = generate(
        model,
        reply,
        maximum,
        tuple(call.listed("stop_sequences")),
        text_of(body["messages"][-1].get("content")) if reply.echo else "",
        thinks,
    )
    least = -(-model.cache_from * model.factor.denominator // model.factor.numerator)
    split = call.state.cache.anthropic(model.served_as, prompt.blocks, least)
    usage = _usage(model, prompt, split, answer)
    frames = _Frames(call.identity("msg_"), model, reply, answer, usage, thinks)
    return Work(
        model,
        usage,
        answer.reasoning,
        frames.whole(),
        frames if body.get("stream") else None,
        ERROR_EVENT,
    )


def _thinks(thinking: Json, maximum: int) -> bool:
    if thinking.get("type") != "enabled":
        return thinking.get("type") == "adaptive"
    budget = thinking.get("budget_tokens")
    if type(budget) is not int or not 1024 <= budget < maximum:
        raise Refusal(400, f"thinking.budget_tokens must be from 1024 to below {maximum}")
    return True


def count_tokens(call: Call) -> Work:
    """Counts a prompt; free of charge."""
    model = call.model("anthropic")
    total = _prompt(call, model).total(model)
    return Work(model, Usage(), 0, {"input_tokens": total})


def _usage(model: Model, prompt: _Prompt, split: Split, answer: Answer) -> Usage:
    """Scales each part of a prompt; parts are differences of prefixes, so they add up."""
    read = scaled(model, split.read)
    upto_1h = scaled(model, split.read + split.written_1h)
    upto_5m = scaled(model, split.read + split.written_1h + split.written_5m)
    return Usage(
        input_tokens=prompt.total(model),
        cached_tokens=read,
        write_1h_tokens=upto_1h - read,
        write_5m_tokens=upto_5m - upto_1h,
        output_tokens=answer.tokens,
        reasoning_tokens=answer.reasoning,
    )


def _prompt(call: Call, model: Model) -> _Prompt:
    messages = call.listed("messages")
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise Refusal(400, "messages: at least one message is required")
    tools = call.listed("tools")
    blocks: list[_Block] = []
    for tool in tools:
        plain = {key: value for key, value in tool.items() if key != "cache_control"}
        blocks.append((list(encode(model.encoding, json.dumps(plain))), _mark(tool)))
    for parts in (call.body.get("system"), *(message.get("content") for message in messages)):
        for part in parts if isinstance(parts, list) else [parts] if parts else []:
            blocks.append((_block(model, part), _mark(part)))
    if blocks and call.body.get("cache_control"):
        blocks[-1] = (blocks[-1][0], _mark(call.body))
    frame = model.frame + 3 * (len(messages) - 1)
    if tools:
        choice = (call.body.get("tool_choice") or {}).get("type", "auto")
        frame += CLAUDE_TOOLS_FORCED if choice in ("any", "tool") else CLAUDE_TOOLS_AUTO
    return _Prompt(blocks, frame)


def _block(model: Model, part: object) -> list[int]:
    if not isinstance(part, dict):
        return content(model, part)
    if part.get("type") == "tool_use":
        told = json.dumps(part.get("input"))
        return [*encode(model.encoding, str(part.get("name"))), *encode(model.encoding, told)]
    if part.get("type") == "tool_result":
        return content(model, part.get("content"))
    return content(model, [part])


def _mark(part: object) -> str | None:
    control = part.get("cache_control") if isinstance(part, dict) else None
    return str(control.get("ttl") or "5m") if control else None


def usage_of(usage: Usage, output: int) -> Json:
    """Returns a usage as messages report it: the parts of the input beside each other."""
    written = usage.write_5m_tokens + usage.write_1h_tokens
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.write_1h_tokens,
        },
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": min(usage.reasoning_tokens, output)},
        "service_tier": "standard",
    }


class _Frames:
    """A message, whole and as a stream."""

    def __init__(
        self, identity: str, model: Model, reply: Reply, answer: Answer, usage: Usage, thinks: bool
    ) -> None:
        self._identity = identity
        self._model = model
        self._reply = reply
        self._answer = answer
        self._usage = usage
        self._thinks = thinks and answer.reasoning > 0

    def whole(self) -> Json:
        answer = self._answer
        parts: list[Json] = []
        if self._thinks:
            parts.append({"type": "thinking", "thinking": _THOUGHT, "signature": self._signature()})
        if answer.text:
            parts.append({"type": "text", "text": answer.text})
        for index, spoken in enumerate(answer.calls):
            told = {"id": self._tool_id(index), "name": spoken.name}
            parts.append({"type": "tool_use", **told, "input": _parsed(spoken.arguments)})
        body = self._message(parts, _STOP[answer.finish], answer.sequence)
        usage = usage_of(self._usage, self._usage.output_tokens)
        return put_usage(body, usage, self._reply.usage)

    def __call__(self) -> Iterator[Frame]:
        answer, spent = self._answer, self._answer.reasoning
        form = "true" if self._reply.usage == "no_final" else self._reply.usage
        start = put_usage(self._message([], None, None), usage_of(self._usage, 1), form)
        yield self._frame("message_start", {"message": start}, spent)
        yield self._frame("ping", {}, spent)
        index = -1
        if self._thinks:
            index += 1
            yield from self._thinking(index, spent)
        opened: str | None = None
        for chunk in answer.chunks:
            if chunk.kind != opened and chunk.kind != "args":
                if opened is not None:
                    yield self._frame("content_block_stop", {"index": index}, spent)
                index, opened = index + 1, chunk.kind
                block = self._opened(chunk.kind, chunk.text, chunk.call)
                spent = chunk.spent if chunk.kind == "call" else spent
                told = {"index": index, "content_block": block}
                yield self._frame("content_block_start", told, spent, chunk.kind == "call")
            if chunk.kind == "call":
                opened = "args"
                continue
            spent = chunk.spent
            delta = (
                {"type": "text_delta", "text": chunk.text}
                if chunk.kind == "text"
                else {"type": "input_json_delta", "partial_json": chunk.text}
            )
            yield self._frame("content_block_delta", {"index": index, "delta": delta}, spent, True)
        if opened is not None:
            yield self._frame("content_block_stop", {"index": index}, spent)
        yield from self._ending()

    def _ending(self) -> Iterator[Frame]:
        answer, all_spent = self._answer, self._usage.output_tokens
        usage = usage_of(self._usage, all_spent)
        # The real event carries no split of the cache writes and no tier.
        told = {key: usage[key] for key in usage if key not in ("cache_creation", "service_tier")}
        delta = {"stop_reason": _STOP[answer.finish], "stop_sequence": answer.sequence}
        payload = put_usage({"delta": delta}, told, self._reply.usage)
        yield self._frame("message_delta", payload, all_spent)
        yield self._frame("message_stop", {}, all_spent)

    def _thinking(self, index: int, spent: int) -> Iterator[Frame]:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        told: Json = {"index": index, "content_block": block}
        yield self._frame("content_block_start", told, spent)
        for delta in (
            {"type": "thinking_delta", "thinking": _THOUGHT},
            {"type": "signature_delta", "signature": self._signature()},
        ):
            yield self._frame("content_block_delta", {"index": index, "delta": delta}, spent)
        yield self._frame("content_block_stop", {"index": index}, spent)

    def _opened(self, kind: str, name: str, call: int) -> Json:
        if kind == "text":
            return {"type": "text", "text": ""}
        return {"type": "tool_use", "id": self._tool_id(call), "name": name, "input": {}}

    def _message(self, parts: list[Json], stop: str | None, sequence: str | None) -> Json:
        return {
            "id": self._identity,
            "type": "message",
            "role": "assistant",
            "model": self._model.served_as,
            "content": parts,
            "stop_reason": stop,
            "stop_sequence": sequence,
        }

    def _tool_id(self, call: int) -> str:
        return f"toolu_{self._identity[-20:]}{call:02d}"

    def _signature(self) -> str:
        return f"sig{self._identity[-12:]}"

    def _frame(self, event: str, payload: Json, spent: int, is_piece: bool = False) -> Frame:
        return Frame(sse(event, {"type": event, **payload}), spent, is_piece)


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        # Cut by the maximum or invalid on purpose; the real field is always an object.
        return {}
