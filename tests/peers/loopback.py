"""What would a provider have charged?

A small OpenAI-shaped server on the loopback interface: chat completions, plain and streamed. It
takes 5 ms a call, produces exactly the tokens asked for, reports no input tokens, and keeps its
own bill, which is the only figure the bench believes. It ends when its standard input closes, so
it cannot outlive the bench.

    python loopback.py            prints the port it listens on
    GET  /bill                    {"calls": 20, "tokens": 100000}
    POST /reset                   empties the bill
    POST /v1/chat/completions     a base URL of /slow/v1 waits 50 ms between chunks
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LATENCY_S = 0.005
SLOW_GAP_S = 0.05
CHUNKS = 5
BODY_BYTES_MAX = 1 << 20


@dataclass
class Bill:
    """What was served since the last reset."""

    calls: int = 0
    tokens: int = 0


class Loopback:
    """The server; one instance, one bill."""

    def __init__(self) -> None:
        self.bill = Bill()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it closes."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await _read_request(reader):
                await self._answer(writer, *request)
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, line: str, body: bytes) -> None:
        _, path, _ = line.split(" ", 2)
        if path == "/bill":
            await _send_json(writer, {"calls": self.bill.calls, "tokens": self.bill.tokens})
        elif path == "/reset":
            self.bill = Bill()
            await _send_json(writer, {})
        elif path.endswith("/chat/completions"):
            await self._complete(writer, json.loads(body), slow=path.startswith("/slow"))
        else:
            await _send_json(writer, {"error": {"message": f"no route {path}"}}, status=404)

    async def _complete(
        self, writer: asyncio.StreamWriter, request: dict[str, Any], slow: bool
    ) -> None:
        asked = request.get("max_completion_tokens") or request.get("max_tokens") or 5_000
        self.bill.calls += 1
        await asyncio.sleep(LATENCY_S)
        if request.get("stream"):
            await self._stream(writer, request, asked, SLOW_GAP_S if slow else 0.0)
            return
        self.bill.tokens += asked
        message = {"role": "assistant", "content": _text(1)}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        answer = _envelope(request, "chat.completion", [choice])
        await _send_json(writer, answer | {"usage": _usage(asked)})

    async def _stream(
        self, writer: asyncio.StreamWriter, request: dict[str, Any], asked: int, gap_s: float
    ) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for size in _sizes(asked):
            self.bill.tokens += size
            choice = {"index": 0, "delta": {"role": "assistant", "content": _text(size)}}
            await _send_event(writer, _envelope(request, "chat.completion.chunk", [choice]))
            await asyncio.sleep(gap_s)
        last = {"index": 0, "delta": {}, "finish_reason": "length"}
        await _send_event(writer, _envelope(request, "chat.completion.chunk", [last]))
        if (request.get("stream_options") or {}).get("include_usage"):
            tail = _envelope(request, "chat.completion.chunk", []) | {"usage": _usage(asked)}
            await _send_event(writer, tail)
        await _send_chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
    """Read one request; None when the peer closed the connection between two."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").split("\r\n")
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length":
            length = int(value)
    if length > BODY_BYTES_MAX:
        raise ConnectionError(f"request body of {length} bytes")
    return lines[0], await reader.readexactly(length)


def _sizes(tokens: int) -> Iterator[int]:
    for index in range(CHUNKS):
        yield tokens // CHUNKS + (tokens % CHUNKS if index == 0 else 0)


def _text(tokens: int) -> str:
    """Text that is this many tokens in OpenAI's encodings: one letter with its space is one."""
    return " a" * tokens


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}


def _envelope(request: dict[str, Any], kind: str, choices: list[Any]) -> dict[str, Any]:
    model = request.get("model", "gpt-4o")
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, "choices": choices}


async def _send_json(writer: asyncio.StreamWriter, answer: Any, status: int = 200) -> None:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await writer.drain()


async def _send_event(writer: asyncio.StreamWriter, event: Any) -> None:
    await _send_chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")


async def _send_chunk(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    if writer.is_closing():
        raise ConnectionError("the client left")
    writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    await writer.drain()


async def main() -> None:
    """Listen on a free port, print it, and serve until standard input closes."""
    loopback = Loopback()
    server = await asyncio.start_server(loopback.serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
