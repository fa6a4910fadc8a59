"""How do Gemini's ``generateContent``, ``embedContent`` and ``countTokens`` answer?

A Gemini prompt counts, by the definition of this provider, the scaled o200k tokens of its
texts, of its function declarations (as their JSON) and of calls and results, and no frames.
Models and the wish for a stream stand in the address; :func:`addressed` reads them.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .bill import Usage
from .catalog import Model
from .generation import Answer, generate
from .openai_other import vector
from .script import Reply
from .server import Request
from .tokens import encode, scaled
from .work import Call, Frame, Json, Refusal, State, Work, put_usage, sse

# Of the Gemini API and of Vertex, whose paths begin with a project and a publisher.
_PATH = re.compile(r"/v1\w*/(?:[^:]+/)?models/([^/:]+):(\w+)")
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "CANCELLED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH = {"stop": "STOP", "sequence": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}
_CANDIDATES = 8
_DIMENSIONS = 3072
_THOUGHT = "Let me think."


def _field(given: Json, name: str) -> Any:
    """Returns a field by its name in JSON, or by protobuf's own, which Google reads as well."""
    return given.get(name, given.get(re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)))


def error_of(status: int, message: str) -> Json:
    """Returns an error as Google tells it."""
    other = "INTERNAL" if status >= 500 else "FAILED_PRECONDITION"
    return {"error": {"code": status, "message": message, "status": _STATUS.get(status, other)}}


ERROR_EVENT = sse(None, error_of(503, "The model is overloaded. Please try again later."))


def addressed(request: Request) -> tuple[str, Any, Json] | None:
    """Returns api, endpoint and what the address adds to the body; None if it is none of these.

    A stream is known only as server-sent events, ``alt=sse``.
    """
    found = _PATH.fullmatch(request.path)
    if found is None or found[2] not in _METHODS:
        return None
    stream = found[2] == "streamGenerateContent"
    if stream and "alt=sse" not in request.query.split("&"):
        return None
    return *_METHODS[found[2]], {"model": found[1], "stream": stream}


def generate_content(call: Call) -> Work:
    """Works out candidates.

    Raises:
        Refusal: As the real endpoint refuses: no such model, no contents, a maximum or a number
            of candidates out of range, thinking turned off for a model that always thinks.
    """
    body, reply = call.body, call.reply
    model = call.model("google")
    config = _field(body, "generationConfig") or {}
    limit = {"maxOutputTokens": _field(config, "maxOutputTokens")}
    maximum = replace(call, body=limit).maximum(model, "maxOutputTokens")
    candidates = _field(config, "candidateCount") or 1
    if type(candidates) is not int or not 1 <= candidates <= _CANDIDATES:
        raise Refusal(400, f"candidateCount must be from 1 to {_CANDIDATES}: `{candidates}`")
    if _field(body, "cachedContent"):
        raise Refusal(403, "CachedContent not found (or permission denied)")
    prompt = _prompt(model, body)
    thinking = _field(config, "thinkingConfig") or {}
    answer = generate(
        model,
        reply,
        maximum,
        tuple(_field(config, "stopSequences") or ()),
        _text_of(body["contents"][-1]) if reply.echo else "",
        _thinks(model, thinking),
    )
    usage = Usage(
        input_tokens=scaled(model, len(prompt)),
        cached_tokens=scaled(model, call.state.cache.automatic(model.served_as, prompt)),
        output_tokens=answer.tokens * candidates,
        reasoning_tokens=answer.reasoning * candidates,
    )
    head = {"modelVersion": model.served_as, "responseId": call.identity("")}
    shows = bool(_field(thinking, "includeThoughts")) and answer.reasoning > 0
    frames = _Frames(head, reply, answer, candidates, usage, shows)
    return Work(
        model,
        usage,
        usage.reasoning_tokens,
        frames.whole(),
        frames if body["stream"] else None,
        ERROR_EVENT,
    )


def embed_content(call: Call) -> Work:
    """Works out the embedding of one content, or those of a batch.

    Raises:
        Refusal: No such model, no content, or dimensions out of range.
    """
    model = call.model("google")
    batch = call.body.get("requests")
    requests = [call.body] if batch is None else call.listed("requests")
    if not requests:
        raise Refusal(400, "at least one request is required")
    values: list[Json] = []
    tokens = 0
    for request in requests:
        ids = _prompt(model, {"contents": [request["content"]]})
        wanted = _field(request, "outputDimensionality") or _DIMENSIONS
        if type(wanted) is not int or not 1 <= wanted <= _DIMENSIONS:
            raise Refusal(400, f"outputDimensionality must be from 1 to {_DIMENSIONS}")
        values.append({"values": vector(ids, wanted)})
        tokens += scaled(model, len(ids))
    body: Json = {"embedding": values[0]} if batch is None else {"embeddings": values}
    told = {"promptTokenCount": tokens}
    put_usage(body, told, call.reply.usage, "usageMetadata")
    return Work(model, Usage(tokens), 0, body)


def count_tokens(call: Call) -> Work:
    """Counts a prompt; free of charge."""
    model = call.model("google")
    prompt = _prompt(model, _field(call.body, "generateContentRequest") or call.body)
    return Work(model, Usage(), 0, {"totalTokens": scaled(model, len(prompt))})


_METHODS = {
    "generateContent": ("gemini.generate", generate_content),
    "streamGenerateContent": ("gemini.generate", generate_content),
    "embedContent": ("gemini.embed", embed_content),
    "batchEmbedContents": ("gemini.embed", embed_content),
    "countTokens": ("gemini.count_tokens", count_tokens),
}


def _thinks(model: Model, thinking: Json) -> bool:
    budget = _field(thinking, "thinkingBudget")
    if budget == 0 and model.always_thinks:
        raise Refusal(400, "Budget 0 is invalid. This model only works in thinking mode.")
    return model.reasoning if budget is None else budget != 0


def _prompt(model: Model, body: Json) -> list[int]:
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Refusal(400, "contents is not specified")
    sequence: list[int] = []
    for tool in body.get("tools") or ():
        for declared in _field(tool, "functionDeclarations") or ():
            sequence += _encoded(model, declared)
    system = _field(body, "systemInstruction")
    for content in [*([system] if system else []), *contents]:
        for part in content["parts"]:
            sequence += _part(model, part)
    return sequence


def _part(model: Model, part: Json) -> Sequence[int]:
    if isinstance(part.get("text"), str):
        return encode(model.encoding, part["text"])
    for kind, inner in (("functionCall", "args"), ("functionResponse", "response")):
        if (spoken := _field(part, kind)) is not None:
            name = encode(model.encoding, spoken["name"])
            return [*name, *_encoded(model, spoken.get(inner))]
    raise Refusal(400, f"the loopback provider reads no part with `{', '.join(part)}`")


def _encoded(model: Model, value: object) -> Sequence[int]:
    return encode(model.encoding, json.dumps(value, separators=(",", ":")))


def _text_of(content: Json) -> str:
    return "".join(str(part.get("text", "")) for part in content["parts"])


def usage_of(usage: Usage, spent: int, reasoning: int) -> Json:
    """Returns a usage as Gemini reports it once that much output was made: thoughts beside it."""
    told: Json = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": spent - reasoning,
        "totalTokenCount": usage.input_tokens + spent,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
    }
    if usage.cached_tokens:
        told["cachedContentTokenCount"] = usage.cached_tokens
        told["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cached_tokens}]
    if reasoning:
        told["thoughtsTokenCount"] = reasoning
    return told


class _Frames:
    """Candidates, whole and as a stream, in which they take turns."""

    def __init__(
        self, head: Json, reply: Reply, answer: Answer, candidates: int, usage: Usage, shows: bool
    ) -> None:
        self._head = head
        self._reply = reply
        self._answer = answer
        self._candidates = range(candidates)
        self._usage = usage
        thought = {"text": _THOUGHT, "thought": True}
        self._thoughts: list[Json] = [thought] if shows else []

    def whole(self) -> Json:
        answer = self._answer
        parts = [*self._thoughts, *([{"text": answer.text}] if answer.text else [])]
        parts += [part for part, _ in self._spoken() if "functionCall" in part]
        finish = _FINISH[answer.finish]
        told = [self._candidate(each, parts, finish) for each in self._candidates]
        return self._told(told, self._usage.output_tokens, self._reply.usage)

    def __call__(self) -> Iterator[Frame]:
        answer, all_spent = self._answer, self._usage.output_tokens
        # What comes at the end is the last of the cumulative counts, and the only true one.
        form = "true" if self._reply.usage == "no_final" else self._reply.usage
        spent = self._usage.reasoning_tokens
        before = [answer.reasoning for _ in self._candidates]
        for part in self._thoughts:
            told = [self._candidate(each, [part]) for each in self._candidates]
            yield Frame(sse(None, self._told(told, spent, form)), spent)
        for part, reached in self._spoken():
            for each in self._candidates:
                spent += reached - before[each]
                before[each] = reached
                told = [self._candidate(each, [part])]
                yield Frame(sse(None, self._told(told, spent, form)), spent, True)
        finish = _FINISH[answer.finish]
        told = [self._candidate(each, [{"text": ""}], finish) for each in self._candidates]
        yield Frame(sse(None, self._told(told, all_spent, self._reply.usage)), all_spent)

    def _spoken(self) -> Iterator[tuple[Json, int]]:
        """Yields each part of a candidate with the tokens used up to it; calls come whole."""
        chunks = self._answer.chunks
        for chunk, following in itertools.zip_longest(chunks, chunks[1:]):
            if chunk.kind == "text":
                yield {"text": chunk.text}, chunk.spent
            elif following is None or following.kind != "args":
                called = self._answer.calls[chunk.call]
                if (arguments := _parsed(called.arguments)) is not None:
                    yield {"functionCall": {"name": called.name, "args": arguments}}, chunk.spent

    def _candidate(self, index: int, parts: list[Json], finish: str | None = None) -> Json:
        told: Json = {"content": {"parts": parts, "role": "model"}, "index": index}
        return {**told, "finishReason": finish} if finish else told

    def _told(self, candidates: list[Json], spent: int, form: str) -> Json:
        usage = usage_of(self._usage, spent, min(self._usage.reasoning_tokens, spent))
        body = {"candidates": candidates, **self._head}
        return put_usage(body, usage, form, "usageMetadata")


def _parsed(arguments: str) -> object:
    """A call's arguments; None if they were cut by the maximum or are invalid on purpose."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return None


def models(state: State, name: str) -> Json | None:
    """Lists Google's models, or tells of one; None if there is no such model."""

    def told(known: str) -> Json:
        methods = ["generateContent", "countTokens"]
        return {"name": f"models/{known}", "supportedGenerationMethods": methods}

    if name:
        return told(name) if state.catalog.find(name, "google") else None
    listed = [known for known, model in state.catalog.models.items() if model.vendor == "google"]
    return {"models": [told(known) for known in listed]}
