"""How does a peer that patches or wraps the OpenAI client get called?

``ClientGuard`` makes the same requests through the real ``openai`` package for every such peer;
a peer's own file only opens the budget and names the exception that means no. ``stub_create``
replaces the network under the client for timing, before the peer patches it.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from adapter import MODEL, OUTPUT_TOKENS, PROMPT, Bench, Guard, Refused

NOWHERE = "http://127.0.0.1:9/v1"
"""A base URL for clients whose requests never leave: the stub answers."""

MESSAGES = [{"role": "user", "content": PROMPT}]


def sync_client(base_url: str) -> Any:
    """Return a real ``openai.OpenAI`` that talks to the loopback provider."""
    openai = importlib.import_module("openai")
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60)


def async_client(base_url: str) -> Any:
    """Return a real ``openai.AsyncOpenAI`` that talks to the loopback provider."""
    openai = importlib.import_module("openai")
    return openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60)


def arguments(model: str = MODEL, **more: Any) -> dict[str, Any]:
    """Return the keyword arguments of one call of the bench."""
    return {"model": model, "messages": MESSAGES, "max_tokens": OUTPUT_TOKENS, **more}


class ClientGuard(Guard):
    """A budget held by whatever patched or wraps the client it calls."""

    def __init__(
        self,
        bench: Bench,
        refusals: tuple[type[BaseException], ...],
        wrap: Callable[[Any], Any] = lambda client: client,
        streams_are_contexts: bool = True,
    ) -> None:
        self._bench = bench
        self._refusals = refusals
        self._wrap = wrap
        self._enter = streams_are_contexts
        self._client = wrap(sync_client(bench.base_url))
        self._async_client: Any = None

    def call(self, model: str = MODEL) -> None:
        """Make one plain call."""
        try:
            self._client.chat.completions.create(**arguments(model))
        except self._refusals as error:
            raise Refused(str(error)) from error

    async def acall(self) -> None:
        """Make one plain call with the asyncio client."""
        try:
            await self._async().chat.completions.create(**arguments())
        except self._refusals as error:
            raise Refused(str(error)) from error

    def stream(self) -> None:
        """Read one stream to its end."""
        try:
            with self._entered(self._open_stream()) as chunks:
                for _ in chunks:
                    pass
        except self._refusals as error:
            raise Refused(str(error)) from error

    async def astream(self) -> None:
        """Read one stream of the asyncio client to its end."""
        try:
            stream = self._async().chat.completions.create(**arguments(stream=True))
            if hasattr(stream, "__await__"):
                stream = await stream
            async for _ in stream:
                pass
        except self._refusals as error:
            raise Refused(str(error)) from error

    def abandon(self, chunks: int) -> None:
        """Read so many chunks of a stream, stop, and close it as a tidy caller would."""
        try:
            with self._entered(self._open_stream()) as stream:
                for seen, _ in enumerate(stream, start=1):
                    if seen == chunks:
                        break
                if hasattr(stream, "close"):
                    stream.close()
        except self._refusals as error:
            raise Refused(str(error)) from error

    def _open_stream(self) -> Any:
        return self._client.chat.completions.create(**arguments(stream=True))

    def _entered(self, stream: Any) -> AbstractContextManager[Any]:
        return stream if self._enter else nullcontext(stream)

    def _async(self) -> Any:
        if self._async_client is None:
            self._async_client = self._wrap(async_client(self._bench.base_url))
        return self._async_client


ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "finish_reason": "length",
            "message": {"role": "assistant", "content": "a"},
        }
    ],
    "usage": {
        "prompt_tokens": 0,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": OUTPUT_TOKENS,
    },
}


def stub_create() -> Callable[[], object]:
    """Put a function that returns a ready answer under the client; return the bare call.

    Call this before the peer patches the client, so that the peer wraps the stub.
    """
    completions = importlib.import_module("openai.resources.chat.completions")
    types = importlib.import_module("openai.types.chat")
    answer = types.ChatCompletion.model_validate(ANSWER)

    def create(self: Any, **_: Any) -> Any:
        return answer

    completions.Completions.create = create
    return bound_call(sync_client(NOWHERE))


def answered_client() -> Any:
    """Return a real ``openai.OpenAI`` whose requests get a ready answer where they would leave.

    For a guard below ``create``: what the client itself does is on both sides of the difference.
    """
    openai = importlib.import_module("openai")
    httpx = importlib.import_module("httpx")
    body = json.dumps(ANSWER).encode()
    head = {"content-type": "application/json"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=head))
    own = httpx.Client(transport=transport)
    return openai.OpenAI(base_url=NOWHERE, api_key="none", max_retries=0, http_client=own)


def bound_call(client: Any) -> Callable[[], object]:
    """Return a function that makes one call, as a user's line of code would."""
    given = arguments()
    return lambda: client.chat.completions.create(**given)
