"""How do bytes on a loopback connection become requests and answers?

Invariant: the server listens on a loopback address and nowhere else.

HTTP/1.1 as far as the provider needs it: keep-alive, bodies by length or in chunks, answers
by length or as chunked server-sent events, one request of a connection after the other. It is
written on bare asyncio protocols so that 64 clients on a small machine wait for themselves
and not for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import ipaddress
import json
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

_HEAD_MAX = 65_536
_BODY_MAX = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request: header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request, "Connection"], Awaitable[None]]


class _Bad(Exception):
    """What came in is not HTTP as we read it."""


class Connection(asyncio.Protocol):
    """One client's connection. ``gone`` is true as soon as the client is known to have left."""

    def __init__(self, handler: Handler, everybody: set[Connection]) -> None:
        self._handler = handler
        self._everybody = everybody
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._chunked = False
        self.head_sent = False
        self.gone = False
        self.transport: asyncio.Transport

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._everybody.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _HEAD_MAX + _BODY_MAX:
            self.transport.abort()
        elif self._task is None:
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._everybody.discard(self)
        self.resume_writing()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # The exchange calls these.

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Sends a whole answer."""
        self._head(status, {**headers, "content-length": str(len(body))}, body)

    def send_half(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Announces a whole answer and sends its first half."""
        announced = {**headers, "content-length": str(len(body))}
        self._head(status, announced, body[: len(body) // 2])

    def send_rest(self, body: bytes) -> None:
        """Sends what :meth:`send_half` left."""
        self._write(body[len(body) // 2 :])

    def start_stream(self, status: int, headers: dict[str, str]) -> None:
        """Begins a chunked answer."""
        self._chunked = True
        self._head(status, {**headers, "transfer-encoding": "chunked"}, b"")

    async def send_piece(self, piece: bytes) -> None:
        """Sends a piece of a chunked answer, once the client takes it."""
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if self._writable is not None:
            await self._writable

    def end_stream(self, piece: bytes) -> None:
        """Sends the last piece and the end in one write: clients reuse what they saw end."""
        self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece))

    async def drop(self) -> None:
        """Closes the connection after what was sent so far has left."""
        # Room for the loop to write what is buffered, and for slow readers to take it.
        for _ in range(1000):
            if self.gone or self.transport.get_write_buffer_size() == 0:
                break
            await asyncio.sleep(0.002)
        # A forked child may hold a copy of the socket: closing ours alone would not end it.
        with contextlib.suppress(OSError):
            sock: socket.socket = self.transport.get_extra_info("socket")
            socket.socket.shutdown(getattr(sock, "_sock", sock), socket.SHUT_RDWR)
        self.transport.abort()

    def _head(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.head_sent = True
        lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _write(self, data: bytes) -> None:
        if not self.gone:
            self.transport.write(data)

    def _begin(self) -> None:
        try:
            request = self._parsed()
        except _Bad as error:
            body = json.dumps({"error": {"message": str(error)}}).encode()
            self.send(400, {"content-type": "application/json", "connection": "close"}, body)
            self.transport.close()
            return
        if request is None:
            return
        self.head_sent = self._chunked = False
        self._task = asyncio.get_running_loop().create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        try:
            await self._handler(request, self)
        except asyncio.CancelledError:
            return
        except Exception as error:
            # A fault of ours must fail the test that met it, not hang it.
            if not self.head_sent:
                told = {"error": {"message": f"loopback provider: {error!r}"}}
                self.send(500, {"content-type": "application/json"}, json.dumps(told).encode())
            self.transport.close()
            raise
        self._task = None
        if request.headers.get("connection", "").lower() == "close":
            self.transport.close()
        elif self._buffer and not self.gone:
            self._begin()

    def _parsed(self) -> Request | None:
        """Takes one whole request off the buffer; None while it is incomplete."""
        end = self._buffer.find(b"\r\n\r\n", 0, _HEAD_MAX)
        if end < 0:
            if len(self._buffer) > _HEAD_MAX:
                raise _Bad("the head is too long")
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _Bad("not an HTTP/1.1 request line")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if headers.get("transfer-encoding", "").lower() == "chunked":
            taken = _dechunked(self._buffer, end + 4)
        else:
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > _BODY_MAX:
                raise _Bad("content-length is no number or too large")
            start = end + 4
            stop = start + int(length)
            taken = (bytes(self._buffer[start:stop]), stop) if len(self._buffer) >= stop else None
        if taken is None:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        body, stop = taken
        del self._buffer[:stop]
        path, _, query = words[1].partition("?")
        return Request(words[0], path, query, headers, body)


def _dechunked(buffer: bytearray, at: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        line = buffer.find(b"\r\n", at)
        if line < 0:
            return None
        try:
            size = int(bytes(buffer[at:line]).partition(b";")[0], 16)
        except ValueError:
            raise _Bad("a chunk without its size") from None
        at = line + 2
        if len(body) + size > _BODY_MAX:
            raise _Bad("the body is too large")
        if len(buffer) < at + size + 2:
            return None
        if size == 0:
            return bytes(body), at + 2
        body += buffer[at : at + size]
        at += size + 2


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Status"


class Server:
    """Listens for one provider. To be used on one running event loop."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port, which the system picks if 0 was given.

        Raises:
            ValueError: The host is no loopback address.
            OSError: The port is taken.
        """
        address = "127.0.0.1" if host == "localhost" else host
        try:
            is_loopback = ipaddress.ip_address(address).is_loopback
        except ValueError:
            is_loopback = False
        if not is_loopback:
            raise ValueError(f"the test provider listens on loopback only, not on `{host}`")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handler, self._connections), address, port, backlog=1024
        )
        listening: Any = self._server.sockets[0]
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Closes everything; requests still running end as if their clients had left."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.transport.abort()
        # connection_lost runs in the next round of the loop and cancels the tasks.
        for _ in range(3):
            await asyncio.sleep(0)

    def abandon_after_fork(self) -> None:
        """Closes a forked child's copies of the sockets, or connections would never end."""
        sockets = list(self._server.sockets) if self._server is not None else []
        sockets += [each.transport.get_extra_info("socket") for each in self._connections]
        for sock in sockets:
            # Detached first, so that the object cannot close a number used again later.
            with contextlib.suppress(OSError):
                os.close(getattr(sock, "_sock", sock).detach())
