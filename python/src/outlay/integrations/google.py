"""Where does the google-genai package (3.x) spend money, and where is it stopped before it does?

`_request_once` and `_async_request_once` send one HTTP attempt each, whatever the transport (httpx,
requests, aiohttp), below tenacity, which repeats them by the client's own policy. Invariant: each
attempt is reserved for anew; an exception raised there is neither retried nor wrapped.

What does not pass there (interactions and their like, live connections) is refused where it is
billed. Not covered: requests sent with an HTTP client of the caller's own.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import replace
from functools import partial
from typing import Any

from .._patches import Patches, Place
from ..errors import Unsupported
from . import _response
from . import _threads as threads
from ._billed import GOOGLE
from ._response import record
from ._sockets import refused
from ._stainless import Ask, current_native, off_loop

_RESOURCES = "google.genai._gaos.basesdk"
_patches = Patches()


def _ask(client: Any, request: Any) -> Ask | None:
    """What the guard has to know about a request, None if it is free."""
    api = GOOGLE.api(request.method, request.url) if _patches.on else None
    if api is None:
        return None
    body = request.data
    if api and isinstance(body, Mapping):
        return Ask(api, {**body, **_addressed(client, GOOGLE.path(request.url))})
    _refuse(request.method, request.url)
    return None


def _refuse(method: str, url: str) -> None:
    current_native().unmetered(f"google {method.upper()} {GOOGLE.path(url)}")


def _addressed(client: Any, path: str) -> dict[str, Any]:
    """The model and the wish for a stream, which stand in the address."""
    resource, _, method = path.rpartition(":")
    collection, _, name = resource.rpartition("/")
    if not collection.endswith("models") or collection.endswith("tunedModels"):
        name = f"{collection.rpartition('/')[2]}/{name}"  # a model or an endpoint of the caller's
    if client.vertexai:
        name = f"vertex_ai/{name}"
    return {"model": name, "stream": method.startswith("stream")}


def _chosen(request: Any, call: Any) -> Any:
    """The request with what the guard chose: its maximum output."""
    patch = call.body_patch
    return replace(request, data={**request.data, **patch}) if patch else request


def _once(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _request_once(self: Any, http_request: Any, stream: bool = False) -> Any:
        ask = _ask(self, http_request)
        if ask is None:
            return original(self, http_request, stream)
        call = ask.reserve()
        try:
            call.sent()
            response = original(self, _chosen(http_request, call), stream)
        except BaseException as error:
            _failed(call, error)
            raise
        if stream:
            return _metered(call, response)
        _whole(call, response)()
        return response

    return _request_once


def _once_async(original: Callable[..., Any]) -> Callable[..., Any]:
    async def attempt(self: Any, ask: Ask, request: Any, stream: bool) -> Any:
        call = await ask.reserve_async()
        try:
            call.sent()
            chosen = _chosen(request, call)
            response = await original(self, chosen, stream, implicit_retry=False)
        except BaseException as error:
            _failed(call, error)
            raise
        if stream:
            return _metered(call, response)
        await ask.end(_whole(call, response))
        return response

    @functools.wraps(original)
    async def _async_request_once(
        self: Any, http_request: Any, stream: bool = False, *, implicit_retry: bool = True
    ) -> Any:
        ask = await off_loop(functools.partial(_ask, self, http_request))
        if ask is None:
            return await original(self, http_request, stream, implicit_retry=implicit_retry)
        try:
            return await attempt(self, ask, http_request, stream)
        except Exception as error:
            if not (implicit_retry and _is_repeated(self, error)):
                raise
        # What the client does by itself within one attempt.
        await asyncio.sleep(_pause_s())
        return await attempt(self, ask, http_request, stream)

    return _async_request_once


def _is_repeated(client: Any, error: Exception) -> bool:
    """Whether the client asks again after this, without being told to, as with aiohttp it does."""
    from google.auth.exceptions import TransportError
    from google.genai import _api_client as api

    lost = (*api._AIOHTTP_TRANSIENT_EXC, TransportError)
    return (
        client._use_aiohttp() and not client._http_options.retry_options and isinstance(error, lost)
    )


def _pause_s() -> float:
    return 1 + random.randint(0, 9)


def _failed(call: Any, error: BaseException) -> None:
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.genai.errors import APIError

    if isinstance(error, APIError):
        answered: Any = error
        record(call.settle_http, answered.code, json.dumps(answered.details, default=str))
    else:
        # No credentials, no request.
        unsent = isinstance(error, GoogleAuthError) and not isinstance(error, TransportError)
        _response.failed(call, error, not unsent)


def _whole(call: Any, response: Any) -> Callable[[], None]:
    """What ends the attempt of a response that was read."""
    text = response.response_stream[0] if response.response_stream else ""
    return partial(record, call.settle_http, 200, text)


def _metered(call: Any, response: Any) -> Any:
    """The response of a stream, made to tell the guard what is read from it."""
    response.__class__ = _stream_class()
    response.outlay_call = call
    return response


@functools.cache
def _stream_class() -> Any:
    from google.genai._api_client import HttpResponse

    class Stream(HttpResponse):
        outlay_call: Any
        response_stream: Any

        def segments(self) -> Generator[Any, None, None]:
            call = self.outlay_call
            try:
                with closing(super().segments()) as chunks:
                    for chunk in chunks:
                        call.stream_push(_event(chunk))
                        yield chunk
                call.stream_rest()
            finally:
                record(call.stream_end)
                self.response_stream.close()  # the client leaves the connection open

        # Not itself: what a response holds of its own reader would not end before it is collected.
        def __aiter__(self) -> Any:
            return self.async_segments()

        async def async_segments(self) -> AsyncIterator[Any]:
            call = self.outlay_call
            reading: Any = super().async_segments()
            try:
                async with aclosing(reading) as chunks:
                    async for chunk in chunks:
                        call.stream_push(_event(chunk))
                        yield chunk
                call.stream_rest()
                await threads.surely(partial(record, call.stream_end), call.blocking)
            finally:
                # Not in a thread: this may be the end of a generator nobody waits for.
                record(call.stream_end)

    return Stream


def _event(chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _resource(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def do_request(self: Any, hook_ctx: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        if _patches.on and GOOGLE.api(request.method, str(request.url)) is not None:
            _refuse(request.method, str(request.url))
        return original(self, hook_ctx, request, *args, **kwargs)

    return do_request


def instrument() -> None:
    """Puts every client of the installed google-genai package under the current task's budgets.

    Clients made earlier are included. Calling it again changes nothing.

    Raises:
        ImportError: the google-genai package is not installed.
        Unsupported: it is of a version that cannot be guarded.

    Example:
        >>> import google.genai as genai, outlay.testing, outlay.integrations.google as guard
        >>> guard.instrument()
        >>> with outlay.testing.Provider() as provider:
        ...     where = {"base_url": provider.google_url}
        ...     client = genai.Client(api_key="any", http_options=where)
        ...     with outlay.task("refund", usd=0.50, store="memory:") as task:
        ...         answer = client.models.generate_content(
        ...             model="gemini-2.5-flash", contents="May I have my money back?"
        ...         )
        ...     task.spent.nanos == provider.bill().cost_nanos
        True
        >>> guard.uninstrument()
    """
    from google.genai._api_client import BaseApiClient
    from google.genai.live import AsyncLive
    from google.genai.live_music import AsyncLiveMusic

    once_async: Any = getattr(BaseApiClient, "_async_request_once", None)
    if once_async and "implicit_retry" not in inspect.signature(once_async).parameters:
        raise Unsupported("this version of `google.genai` repeats requests by itself, unseen")
    connect = partial(refused, _patches, "google")
    places: list[Place] = [
        (BaseApiClient, "_request_once", _once),
        (BaseApiClient, "_async_request_once", _once_async),
        (AsyncLive, "connect", connect),
        (AsyncLiveMusic, "connect", connect),
    ]
    if _RESOURCES in sys.modules:
        from google.genai._gaos.basesdk import AsyncBaseSDK, BaseSDK

        places += [(BaseSDK, "do_request", _resource)]
        places += [(AsyncBaseSDK, "do_request_async", _resource)]
    _patches.apply(places)


def uninstrument() -> None:
    """Undoes `instrument`. Calls already in flight are still settled."""
    _patches.restore()
