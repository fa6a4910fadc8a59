"""How does OpenAI's ``POST /v1/responses`` answer?

Public sources give no rule for how this endpoint frames a prompt; it is counted here by the
chat rule. What a ``previous_response_id`` refers to is counted again, as the real one does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .bill import Usage
from .generation import Answer, Chunk, generate
from .tokens import chat, text_of
from .work import Call, Frame, Json, Refusal, Work, now_s, put_usage, sse

_UNMETERED = ("background", "conversation", "prompt")


def create(call: Call) -> Work:
    """Works out a response.

    Raises:
        Refusal: As the real endpoint refuses: no such model, no input, a maximum out of
            range, an unknown previous response; and what this provider cannot count:
            background, conversations, stored prompts and tools run by the server.
    """
    body = call.body
    model = call.model("openai")
    for name in _UNMETERED:
        if body.get(name):
            raise Refusal(400, f"the loopback provider has no `{name}`", param=name)
    tools = call.listed("tools")
    if any(tool.get("type") != "function" for tool in tools):
        raise Refusal(400, "the loopback provider runs no tools itself", param="tools")
    maximum = call.maximum(model, "max_output_tokens")
    history = _messages(call)
    instructions = body.get("instructions")
    system = [{"role": "system", "content": instructions}] if instructions else []
    prompt = chat(model, [*system, *history], tools)
    last = text_of(history[-1].get("content")) if call.reply.echo else ""
    answer = generate(model, call.reply, maximum, (), last, model.reasoning)
    usage = Usage(
        input_tokens=len(prompt),
        cached_tokens=call.state.cache.automatic(model.served_as, prompt),
        output_tokens=answer.tokens,
        reasoning_tokens=answer.reasoning,
    )
    response = _Response(call, model.served_as, answer, usage, model.reasoning)
    if body.get("store") is not False:
        call.state.remember(response.identity, [*history, _spoken(answer)])
    stream = response.frames if body.get("stream") else None
    return Work(model, usage, answer.reasoning, response.whole(), stream, response.error_event())


def _messages(call: Call) -> list[Json]:
    """Returns the input as chat messages, what went before first."""
    previous = call.body.get("previous_response_id")
    before: list[Json] = []
    if previous is not None:
        if previous not in call.state.responses:
            message = f"Previous response with id '{previous}' not found."
            raise Refusal(400, message, code="previous_response_not_found")
        before = call.state.responses[previous]
    given = call.body.get("input")
    if isinstance(given, str):
        return [*before, {"role": "user", "content": given}]
    items = [item for item in call.listed("input") if isinstance(item, dict)]
    if not items:
        raise Refusal(400, "`input` must be a text or a list of items", param="input")
    return [*before, *map(_message, items)]


def _message(item: Json) -> Json:
    kind = item.get("type", "message")
    if kind == "function_call":
        return {"role": "assistant", "tool_calls": [{"function": item}]}
    if kind == "function_call_output":
        return {"role": "tool", "content": item.get("output")}
    if kind == "message":
        return {"role": item.get("role", "user"), "content": item.get("content")}
    # Reasoning and the like come back without text of their own.
    return {"role": "assistant", "content": None}


def _spoken(answer: Answer) -> Json:
    calls = [{"function": vars(call)} for call in answer.calls]
    return {"role": "assistant", "content": answer.text, "tool_calls": calls}


def usage_of(usage: Usage) -> Json:
    """Returns a usage as responses report it."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


@dataclass
class _Response:
    """One response, whole and as its events."""

    call: Call
    served_as: str
    answer: Answer
    usage: Usage
    thinks: bool
    sequence: int = 0

    @property
    def identity(self) -> str:
        return self.call.identity("resp_")

    def whole(self) -> Json:
        cut = self.answer.finish == "length"
        details = {"reason": "max_output_tokens"} if cut else None
        status = "incomplete" if cut else "completed"
        output = [self._item(index, True) for index in range(len(self._kinds()))]
        body = self._told(status, output, details)
        return put_usage(body, usage_of(self.usage), self.call.reply.usage)

    def error_event(self) -> bytes:
        error = {"code": "server_error", "message": "The server had an error."}
        failed = {**self._told("failed", [], None), "error": error}
        return sse("response.failed", {"type": "response.failed", "response": failed})

    def frames(self) -> Iterator[Frame]:
        self.sequence = 0
        spent, used = self.answer.reasoning, self.usage.output_tokens
        started = self._told("in_progress", [], None)
        yield self._event("response.created", spent, {"response": started})
        yield self._event("response.in_progress", spent, {"response": started})
        for index, kind in enumerate(self._kinds()):
            # The start of a call is its name, which is billed as soon as it is sent.
            chunks = [chunk for chunk in self.answer.chunks if _belongs(chunk, kind)]
            named = [chunk.spent for chunk in chunks if chunk.kind == "call"]
            spent = named[0] if named else spent
            added = {"output_index": index, "item": self._item(index, False)}
            yield self._event("response.output_item.added", spent, added, bool(named))
            if kind == "text":
                yield from self._text(index, chunks, spent)
            elif kind != "reasoning":
                yield from self._arguments(index, chunks, spent)
            spent = chunks[-1].spent if chunks else spent
            done = {"output_index": index, "item": self._item(index, True)}
            yield self._event("response.output_item.done", spent, done)
        whole = self.whole()
        if whole["status"] == "incomplete":
            yield self._event("response.incomplete", used, {"response": whole})
        else:
            yield self._event("response.completed", used, {"response": whole})

    def _text(self, index: int, chunks: list[Chunk], spent: int) -> Iterator[Frame]:
        place = {"item_id": self._item_id(index), "output_index": index, "content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield self._event("response.content_part.added", spent, {**place, "part": part})
        for chunk in chunks:
            spent = chunk.spent
            told = {**place, "delta": chunk.text, "logprobs": []}
            yield self._event("response.output_text.delta", spent, told, True)
        told = {**place, "text": self.answer.text, "logprobs": []}
        yield self._event("response.output_text.done", spent, told)
        whole = {**part, "text": self.answer.text}
        yield self._event("response.content_part.done", spent, {**place, "part": whole})

    def _arguments(self, index: int, chunks: list[Chunk], spent: int) -> Iterator[Frame]:
        place = {"item_id": self._item_id(index), "output_index": index}
        for chunk in chunks:
            if chunk.kind == "args":
                spent = chunk.spent
                told = {**place, "delta": chunk.text}
                yield self._event("response.function_call_arguments.delta", spent, told, True)
        spoken = self._item(index, True)
        told = {**place, "name": spoken["name"], "arguments": spoken["arguments"]}
        yield self._event("response.function_call_arguments.done", spent, told)

    def _kinds(self) -> list[str | int]:
        """Names the items of the output: reasoning, text, and each call by its number."""
        kinds: list[str | int] = ["reasoning"] if self.thinks else []
        if self.answer.text:
            kinds.append("text")
        return [*kinds, *range(len(self.answer.calls))]

    def _item_id(self, index: int) -> str:
        kind = self._kinds()[index]
        prefix = {"reasoning": "rs_", "text": "msg_"}.get(str(kind), "fc_")
        return f"{prefix}{self.call.number:020d}{index:02d}"

    def _item(self, index: int, done: bool) -> Json:
        kind, identity = self._kinds()[index], self._item_id(index)
        if kind == "reasoning":
            return {"id": identity, "type": "reasoning", "summary": []}
        # What the maximum cut is marked so, and it is always the last item.
        cut = self.answer.finish == "length" and index == len(self._kinds()) - 1
        status = ("incomplete" if cut else "completed") if done else "in_progress"
        if kind == "text":
            told = {"type": "output_text", "text": self.answer.text}
            parts = [{**told, "annotations": [], "logprobs": []}] if done else []
            common = {"id": identity, "type": "message", "role": "assistant"}
            return {**common, "status": status, "content": parts}
        spoken = self.answer.calls[int(kind)]
        return {
            "id": identity,
            "type": "function_call",
            "status": status,
            "call_id": f"call_{self.call.number:018d}{index:02d}",
            "name": spoken.name,
            "arguments": spoken.arguments if done else "",
        }

    def _told(self, status: str, output: list[Json], details: Json | None) -> Json:
        asked: dict[str, Any] = self.call.body
        return {
            "id": self.identity,
            "object": "response",
            "created_at": now_s(),
            "status": status,
            "error": None,
            "incomplete_details": details,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "model": self.served_as,
            "output": output,
            "parallel_tool_calls": asked.get("parallel_tool_calls", True),
            "previous_response_id": asked.get("previous_response_id"),
            "reasoning": asked.get("reasoning") or {"effort": None, "summary": None},
            "service_tier": "default",
            "store": asked.get("store", True),
            "temperature": asked.get("temperature", 1.0),
            "text": asked.get("text") or {"format": {"type": "text"}},
            "tool_choice": asked.get("tool_choice", "auto"),
            "tools": asked.get("tools") or [],
            "top_p": asked.get("top_p", 1.0),
            "truncation": asked.get("truncation", "disabled"),
            "usage": None,
            "metadata": asked.get("metadata") or {},
        }

    def _event(self, kind: str, spent: int, payload: Json, is_piece: bool = False) -> Frame:
        self.sequence += 1
        told = {"type": kind, "sequence_number": self.sequence - 1, **payload}
        return Frame(sse(kind, told), spent, is_piece)


def _belongs(chunk: Chunk, kind: str | int) -> bool:
    return chunk.kind == "text" if kind == "text" else chunk.kind != "text" and chunk.call == kind
