"""What happens to one request, from its arrival to its line in the bill?

Invariant: every request to a model ends in the bill exactly once, and its line is final
before the last byte of its answer leaves.

Who leaves early still pays for what was made: an answer without a stream is billed whole once
work on it began; a stream is billed to the last piece that was sent before the provider
noticed.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from . import anthropic_messages, google_generate, openai_chat, openai_other, openai_responses
from .bill import Books, Entry, Usage
from .control import control
from .script import Reply, as_error_500
from .server import Connection, Request
from .work import Call, Frame, Json, Refusal, State, Work

_ENDPOINTS = {
    "/v1/chat/completions": ("openai.chat", openai_chat.complete),
    "/v1/responses": ("openai.responses", openai_responses.create),
    "/v1/embeddings": ("openai.embeddings", openai_other.embed),
    "/v1/images/generations": ("openai.images", openai_other.draw),
    "/v1/messages": ("anthropic.messages", anthropic_messages.complete),
    "/v1/messages/count_tokens": ("anthropic.count_tokens", anthropic_messages.count_tokens),
}
_MIDDLE = ("drop_middle", "stall_middle", "error_middle")
_MAXIMA = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens")
# Header names that tell requests apart; everything else, keys above all, is not kept.
_TELLING = re.compile(
    r"x-request-id|x-client-request-id|request-id|idempotency-key|traceparent|user-agent"
    r"|anthropic-beta|x-stainless-(retry-count|lang|package-version|async|runtime)|x-outlay-.*"
)
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "service_unavailable_error",
    529: "overloaded_error",
}


class Exchange:
    """Answers every request that reaches the server."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def __call__(self, request: Request, connection: Connection) -> None:
        endpoint = _endpoint(request)
        if endpoint is None:
            await self._elsewhere(request, connection)
            return
        api, work_out, named = endpoint
        entry = self._entry(request, api)
        self.state.books.begin(entry)
        ending = _Ending(self.state.books, entry)
        try:
            try:
                body = _body(request) | named
                _describe(entry, body)
                header = request.headers.get("x-outlay-reply")
                # Counting is free and must not use up what is scripted for calls.
                scripted = header is not None or not api.endswith("count_tokens")
                reply = self.state.script.next(header) if scripted else Reply()
            except (Refusal, ValueError) as error:
                status = error.status if isinstance(error, Refusal) else 400
                refusal = Refusal(status, f"{error}")
                self._refuse(connection, ending, refusal, Reply())
                return
            call = Call(entry.id, body, reply, self.state)
            await self._serve(call, work_out, connection, ending)
        finally:
            # Reached open only when the client left, or by a fault of ours.
            ending.cut_short()

    async def _serve(
        self, call: Call, work_out: Any, connection: Connection, ending: _Ending
    ) -> None:
        reply, entry = call.reply, ending.entry
        if reply.behaviour == "error_middle" and not call.body.get("stream"):
            reply = as_error_500(reply)
        entry.behaviour = reply.behaviour
        try:
            if reply.status < 400 or reply.billed:
                # A refused request must not count as seen by the prompt cache.
                ending.work = work_out(replace(call, reply=reply))
        except Refusal as refusal:
            self._refuse(connection, ending, refusal, reply)
            return
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # Fields of the wrong type; a provider refuses them rather than fall over.
            malformed = Refusal(400, f"the request is malformed: {error!r}")
            self._refuse(connection, ending, malformed, reply)
            return
        if ending.work is not None and reply.billed is not False:
            ending.begin()
        if reply.latency_ms:
            await asyncio.sleep(reply.latency_ms / 1000)
        if reply.behaviour == "stall_head":
            await asyncio.sleep(reply.stall_s)
        if reply.behaviour == "drop_head":
            ending.cut_short()
            await connection.drop()
        elif reply.status >= 400:
            message = f"scripted refusal with status {reply.status}"
            self._refuse(connection, ending, Refusal(reply.status, message), reply)
        elif ending.work is None:
            raise AssertionError("a reply that does not refuse has its work")
        elif ending.work.frames is not None:
            await _stream(connection, ending, ending.work, reply)
        else:
            await _whole(connection, ending, ending.work, reply)

    def _refuse(
        self, connection: Connection, ending: _Ending, refusal: Refusal, reply: Reply
    ) -> None:
        ending.entry.status = refusal.status
        ending.cut_short()
        headers = _headers(ending.entry, "application/json")
        if reply.retry_after_s is not None:
            headers["retry-after"] = str(-(-reply.retry_after_s // 1)).partition(".")[0]
            headers["retry-after-ms"] = str(reply.retry_after_s * 1000)
        body = _error_body(refusal, ending.entry)
        connection.send(refusal.status, headers, json.dumps(body).encode())

    def _entry(self, request: Request, api: str) -> Entry:
        number = self.state.books.count + 1
        headers = {
            name: value for name, value in request.headers.items() if _TELLING.fullmatch(name)
        }
        headers.pop("x-outlay-reply", None)
        retries = headers.get("x-stainless-retry-count", "")
        attempt = int(retries) if retries.isdecimal() else None
        identity = f"req_{number:024d}"
        return Entry(number, identity, request.path, api, attempt=attempt, headers=headers)

    async def _elsewhere(self, request: Request, connection: Connection) -> None:
        """Lists models, takes control messages, and knows no other place."""
        if request.method == "GET" and request.path.startswith("/v1/models"):
            name = request.path.removeprefix("/v1/models").strip("/")
            if "x-goog-api-key" in request.headers:
                told = google_generate.models(self.state, name)
            else:
                anthropic = "anthropic-version" in request.headers
                told = openai_other.models(self.state, name, anthropic)
        else:
            told = await control(self.state, request)
        status = 404 if told is None else int(told.pop("status", 200))
        if told is None:
            message = f"no such endpoint: {request.method} {request.path}"
            told = {"error": {"message": message, "type": "not_found_error"}}
        headers = {"content-type": "application/json"}
        connection.send(status, headers, json.dumps(told).encode())


@dataclass
class _Ending:
    """How one request will be billed: as refused until work began, then by what was sent."""

    books: Books
    entry: Entry
    work: Work | None = None
    spent: int = 0
    charged: bool = False

    def begin(self) -> None:
        assert self.work is not None
        self.charged = True
        streamed = self.work.frames is not None
        self.spent = self.work.spent_first if streamed else self.work.usage.output_tokens

    def cut_short(self) -> None:
        """Ends it as far as it got; nothing if it has ended."""
        if self.work is None or not self.charged:
            self._end("refused")
        else:
            self._end("partial")

    def served(self) -> None:
        """Ends it as served whole."""
        if self.work is not None:
            self.spent = self.work.usage.output_tokens
        self._end("served" if self.charged else "refused")

    def _end(self, outcome: str) -> None:
        if self.work is None:
            self.books.end(self.entry, outcome, None, None)
            return
        whole = self.work.usage
        reasoning = min(whole.reasoning_tokens, self.spent)
        usage: Usage = replace(whole, output_tokens=self.spent, reasoning_tokens=reasoning)
        self.books.end(self.entry, outcome, self.work.model, usage)


async def _whole(connection: Connection, ending: _Ending, work: Work, reply: Reply) -> None:
    body = json.dumps(work.body, separators=(",", ":")).encode()
    headers = _headers(ending.entry, "application/json")
    ending.entry.status = reply.status
    if reply.behaviour in ("drop_middle", "stall_middle"):
        connection.send_half(reply.status, headers, body)
        if reply.behaviour == "drop_middle":
            ending.cut_short()
            await connection.drop()
            return
        await asyncio.sleep(reply.stall_s)
        ending.served()
        connection.send_rest(body)
        return
    if connection.gone:
        return
    ending.served()
    connection.send(reply.status, headers, body)


async def _stream(connection: Connection, ending: _Ending, work: Work, reply: Reply) -> None:
    assert work.frames is not None
    frames: list[Frame] = list(work.frames())
    ending.entry.status = reply.status
    headers = _headers(ending.entry, "text/event-stream; charset=utf-8")
    connection.start_stream(reply.status, headers)
    pieces, broken = 0, reply.behaviour not in _MIDDLE
    for frame in frames[:-1]:
        if not broken and pieces >= reply.after_chunks:
            broken = True
            if await _break(connection, ending, work, reply):
                return
        if frame.is_piece:
            # At 0 this still lets the loop see who has left, and serve others.
            await asyncio.sleep(reply.chunk_ms / 1000 if pieces else 0)
            pieces += 1
            ending.entry.chunks = pieces
        if connection.gone:
            return
        ending.spent = frame.spent
        await connection.send_piece(frame.data)
    if (broken or not await _break(connection, ending, work, reply)) and not connection.gone:
        ending.served()
        connection.end_stream(frames[-1].data)


async def _break(connection: Connection, ending: _Ending, work: Work, reply: Reply) -> bool:
    """Does to a stream what the script says; returns whether that was its end."""
    if reply.behaviour == "stall_middle":
        await asyncio.sleep(reply.stall_s)
        return False
    ending.cut_short()
    if reply.behaviour == "drop_middle":
        await connection.drop()
    else:
        connection.end_stream(work.error_event)
    return True


def _endpoint(request: Request) -> tuple[str, Any, Json] | None:
    """Returns api, endpoint and what the address adds to the body."""
    if request.method != "POST":
        return None
    if request.path in _ENDPOINTS:
        return *_ENDPOINTS[request.path], {}
    return google_generate.addressed(request)


def _body(request: Request) -> Json:
    try:
        body = json.loads(request.body)
    except ValueError:
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is not a JSON object")
    return body


def _describe(entry: Entry, body: Json) -> None:
    entry.model = str(body.get("model", ""))
    entry.stream = body.get("stream") is True
    config = body.get("generationConfig")
    config = config if isinstance(config, dict) else body
    maxima = (config.get(name) for name in _MAXIMA)
    entry.max_tokens = next((value for value in maxima if type(value) is int), None)
    choices = config.get("n", config.get("candidateCount"))
    entry.n = choices if type(choices) is int else 1
    asked = body.get("messages", body.get("contents", body.get("input")))
    entry.message_count = len(asked) if isinstance(asked, list) else int(asked is not None)
    entry.tool_count = len(body["tools"]) if isinstance(body.get("tools"), list) else 0


def _headers(entry: Entry, content_type: str) -> dict[str, str]:
    name = "request-id" if entry.api.startswith("anthropic") else "x-request-id"
    return {"content-type": content_type, name: entry.request_id}


def _error_body(refusal: Refusal, entry: Entry) -> Json:
    if entry.api.startswith("gemini"):
        return google_generate.error_of(refusal.status, str(refusal))
    other = "api_error" if refusal.status >= 500 else "invalid_request_error"
    kind = _KINDS.get(refusal.status, other)
    if entry.api.startswith("anthropic"):
        error = {"type": kind, "message": str(refusal)}
        return {"type": "error", "error": error, "request_id": entry.request_id}
    told = {"message": str(refusal), "type": kind, "param": refusal.param, "code": refusal.code}
    return {"error": told}
