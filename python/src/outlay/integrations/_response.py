"""How does an attempt's reservation end, whatever became of its response?

Invariant: every reservation handed in here is ended: from the response, from the exception, or from
the way its body was left, by whoever reads it (the client's streams and helpers, raw responses,
lines, bytes). An answer that came is never lost because its end could not be recorded: the call
then stays held, and a warning says so.

What a body says about usage is read in the core, not here.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any

from ..errors import OutlayError
from . import _threads as threads

# Exceptions of httpx and httpx2 (two packages with the same names) and of aiohttp after which no
# byte of the request can have left.
_NOT_SENT = {
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "UnsupportedProtocol",
    "ClientConnectorError",
}
_TIMED_OUT = {"TimeoutException", "APITimeoutError"}
_BODY_MAX_BYTES = 32 * 1024 * 1024


_warned: set[str] = set()


def record(act: Callable[..., None], *args: Any) -> None:
    """Ends a call; where the ledger cannot, its worst case stays held and is in doubt later."""
    try:
        act(*args)
    except OutlayError as error:
        if error.code not in _warned:
            _warned.add(error.code)
            warnings.warn(
                f"outlay: a call was answered, but its end could not be recorded ({error}); its "
                "worst case stays held",
                RuntimeWarning,
                stacklevel=2,
            )


def give_back(call: Any) -> None:
    """Ends an attempt that was not sent, and will not be."""
    record(call.fail, "given_back")


def failed(call: Any, error: BaseException, sent: bool = True) -> None:
    """Ends an attempt that gave no response to read."""
    response = getattr(error, "response", None)
    if response is not None and hasattr(response, "status_code"):
        record(call.settle_http, response.status_code, _text(response))
    else:
        record(call.fail, _failure(error) if sent else "not_sent")


def _failure(error: BaseException) -> str:
    names: set[str] = set()
    cause: BaseException | None = error
    for _ in range(16):  # a chain of causes may be a ring
        names.update(each.__name__ for each in type(cause).__mro__ if cause is not None)
        cause = cause and cause.__cause__
    if names & _NOT_SENT:
        return "not_sent"
    if not isinstance(error, Exception):
        return "cancelled"
    return "timeout" if names & _TIMED_OUT else "connection"


def _text(response: Any) -> str:
    try:
        return str(response.text)
    except Exception:
        return ""  # closed before it was read, as a client does before it asks again


def arrived(call: Any, response: Any) -> Callable[[], None] | None:
    """What ends the attempt of this response; None if its body, still to be read, will do it."""
    events = response.headers.get("content-type", "").startswith("text/event-stream")
    whole = response.is_closed  # httpx closes what it has read to the end
    if response.status_code >= 400 or (whole and not events):
        return partial(record, call.settle_http, response.status_code, _text(response))
    if whole:
        return partial(_replay, call, response)
    _Body(call, response, events)
    return None


def _replay(call: Any, response: Any) -> None:
    """Ends the attempt of an event stream that came whole, as from a test transport."""
    try:
        handed_on = call.stream_push(response.content)
        rest = call.stream_rest() or b""
    finally:
        record(call.stream_end)
    if handed_on is not None:
        response._content = handed_on + rest


class _Body:
    """Stands between a response and whoever reads it, in whichever of httpx's ways."""

    def __init__(self, call: Any, response: Any, events: bool) -> None:
        self.call = call
        self.response = response
        self.kept: list[bytes] | None = None if events else []
        self.size = 0
        self.pulling = self.ended = False
        self.read, self.aread = response.iter_bytes, response.aiter_bytes
        self.shut, self.ashut = response.close, response.aclose
        response.iter_bytes, response.aiter_bytes = self.iter_bytes, self.aiter_bytes
        response.close, response.aclose = self.close, self.aclose

    def push(self, chunk: bytes) -> bytes:
        self.pulling = False
        self.size += len(chunk)
        if self.ended:
            return chunk
        if self.kept is None:
            handed_on: bytes | None = self.call.stream_push(chunk)
            return chunk if handed_on is None else handed_on
        if self.size <= _BODY_MAX_BYTES:
            self.kept.append(chunk)
        return chunk

    def rest(self) -> bytes:
        """What was kept back until the body came to its end."""
        self.pulling = False
        if self.ended or self.kept is not None:
            return b""
        return self.call.stream_rest() or b""

    def ending(self, whole: bool) -> Callable[[], None] | None:
        """What ends the attempt, the first time somebody asks."""
        self.pulling = False
        if self.ended:
            return None
        self.ended = True
        # Read through iter_raw, which hands out bytes past us.
        unseen = self.size == 0 and self.response.num_bytes_downloaded > 0
        if self.kept is None and not unseen:
            return partial(record, self.call.stream_end)
        if whole and not unseen and self.size <= _BODY_MAX_BYTES:
            text = b"".join(self.kept or []).decode("utf-8", "replace")
            return partial(record, self.call.settle_http, self.response.status_code, text)
        return partial(record, self.call.fail, "connection")

    def end(self, whole: bool = False) -> None:
        if (act := self.ending(whole)) is not None:
            act()

    async def aend(self, whole: bool = False) -> None:
        if (act := self.ending(whole)) is not None:
            await threads.surely(act, self.call.blocking)

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        with closing(self.read(chunk_size)) as chunks:
            try:
                self.pulling = True
                for chunk in chunks:
                    if handed_on := self.push(chunk):
                        yield handed_on
                    self.pulling = True
                rest = self.rest()
                self.end(whole=True)
                if rest:
                    yield rest
            finally:
                self.end()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        async with aclosing(self.aread(chunk_size)) as chunks:
            try:
                self.pulling = True
                async for chunk in chunks:
                    if handed_on := self.push(chunk):
                        yield handed_on
                    self.pulling = True
                rest = self.rest()
                await self.aend(whole=True)
                if rest:
                    yield rest
            finally:
                # Not in a thread: this may be the end of a generator nobody waits for.
                self.end()

    # httpx closes a response by itself once its last byte is read, before the reader above has seen
    # the end.
    def close(self) -> None:
        try:
            self.shut()
        finally:
            if not self.pulling:
                self.end()

    async def aclose(self) -> None:
        try:
            await self.ashut()
        finally:
            if not self.pulling:
                await self.aend()
