"""How can one test call the endpoints of the real clients?

An `Endpoint` is one way to ask a model: OpenAI's chat completions or responses, Anthropic's
messages, Google's contents. Its `sync` and `aio` are real clients of the installed package, against
a provider.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import openai
import outlay
from outlay.testing import Bill, Provider, Reply

genai: Any = None
try:
    from google import genai
except ImportError:  # it needs Python 3.11
    pass

MESSAGES: Any = [{"role": "user", "content": "hello world"}]
#: The answers of these models cost, in nano-USD per token.
OUTPUT_NANOS = {"gpt-4o": 10_000, "claude-opus-4-7": 25_000, "gemini-2.5-flash": 2_500}


class Endpoint:
    """One endpoint; the clients do not repeat requests unless a test asks for it."""

    name = ""
    package: Any = openai
    model = "gpt-4o"
    maximum = "max_tokens"

    def __init__(self, provider: Provider, **options: Any) -> None:
        options = {"api_key": "any", "max_retries": 0, **options}
        # Reading the machine's certificates takes longer than any call of a test.
        http = (
            self.package.DefaultHttpxClient(verify=False),
            self.package.DefaultAsyncHttpxClient(verify=False),
        )
        self.sync, self.aio = (
            made(base_url=self.url(provider), http_client=client, **options)
            for made, client in zip(self.clients, http, strict=True)
        )
        for client in (self.sync, self.aio):
            client._calculate_retry_timeout = lambda *_, **__: 0.001

    @property
    def clients(self) -> tuple[Any, Any]:
        return openai.OpenAI, openai.AsyncOpenAI

    def url(self, provider: Provider) -> str:
        return provider.openai_url

    def resource(self, client: Any) -> Any:
        return client.chat.completions

    def body(self, more: dict[str, Any]) -> dict[str, Any]:
        return {"model": self.model, "messages": MESSAGES, self.maximum: 100, **more}

    def create(self, client: Any = None, **more: Any) -> Any:
        """Asks the model; awaitable with an async client."""
        return self.resource(client or self.sync).create(**self.body(more))

    def ask(self, asynchronous: bool, **more: Any) -> Any:
        """Asks with one client or the other, and waits for the answer."""
        if asynchronous:
            return asyncio.run(self.create(self.aio, **more))
        return self.create(**more)

    def patient(self, client: Any, retries: int) -> tuple[Any, dict[str, Any]]:
        """The client that asks so often again, or what a request must bring for that."""
        return client.with_options(max_retries=retries), {}

    async def aclose(self) -> None:
        """Closes the asynchronous client."""
        await self.aio.close()

    def raw(self, client: Any = None, **more: Any) -> Any:
        return self.resource(client or self.sync).with_raw_response.create(**self.body(more))

    def streaming(self, client: Any = None, **more: Any) -> Any:
        resource = self.resource(client or self.sync)
        return resource.with_streaming_response.create(**self.body(more))

    def helper(self, client: Any = None, **more: Any) -> Any:
        """The client's own helper for streams."""
        return self.resource(client or self.sync).stream(**self.body(more))

    def text(self, event: Any) -> str:
        """The text in one event of a stream."""
        return "".join(choice.delta.content or "" for choice in event.choices)

    async def parsed(self, raw: Any) -> Any:
        """The response in a raw one of the asynchronous client."""
        return raw.parse()

    def answer(self, response: Any) -> str:
        """The text of a whole response."""
        return str(response.choices[0].message.content)


class Chat(Endpoint):
    name = "chat"


class Responses(Endpoint):
    name = "responses"
    maximum = "max_output_tokens"

    def resource(self, client: Any) -> Any:
        return client.responses

    def body(self, more: dict[str, Any]) -> dict[str, Any]:
        return {"model": self.model, "input": "hello world", self.maximum: 100, **more}

    def text(self, event: Any) -> str:
        return str(event.delta) if event.type == "response.output_text.delta" else ""

    def answer(self, response: Any) -> str:
        return str(response.output_text)


class Messages(Endpoint):
    name = "messages"
    package = anthropic
    model = "claude-opus-4-7"

    @property
    def clients(self) -> tuple[Any, Any]:
        return anthropic.Anthropic, anthropic.AsyncAnthropic

    def url(self, provider: Provider) -> str:
        return provider.anthropic_url

    def resource(self, client: Any) -> Any:
        return client.messages

    def text(self, event: Any) -> str:
        if event.type != "content_block_delta" or event.delta.type != "text_delta":
            return ""
        return str(event.delta.text)

    async def parsed(self, raw: Any) -> Any:
        return await raw.parse()

    def answer(self, response: Any) -> str:
        return str(response.content[0].text)


class Contents(Endpoint):
    """Google's client is made otherwise; its asynchronous one prefers aiohttp."""

    name = "contents"
    package = genai
    model = "gemini-2.5-flash"
    maximum = "max_output_tokens"

    def __init__(
        self, provider: Provider, transport: str = "httpx", vertex: bool = False, **options: Any
    ) -> None:
        # Reading the machine's certificates takes longer than any call of a test.
        unverified = {"client_args": {"verify": False}}
        if transport == "httpx":
            unverified["httpx_async_client"] = openai.DefaultAsyncHttpxClient(verify=False)
        where = {"base_url": provider.google_url, **unverified, **options}
        self.sync = genai.Client(api_key="any", vertexai=vertex, http_options=where)
        self.aio = self.sync.aio

    def create(self, client: Any = None, *, stream: bool = False, **more: Any) -> Any:
        models = (client or self.sync).models
        headers, retries = more.pop("extra_headers", None), more.pop("retries", None)
        if headers or retries:
            more["http_options"] = {"headers": headers, "retry_options": retries}
        ask = models.generate_content_stream if stream else models.generate_content
        asked = {key: more.pop(key) for key in ("model", "contents") if key in more}
        config = {self.maximum: 100, **more}
        return ask(**{"model": self.model, "contents": "hello world", "config": config, **asked})

    def patient(self, client: Any, retries: int) -> tuple[Any, dict[str, Any]]:
        at_once = {"initial_delay": 0, "max_delay": 0, "jitter": 0}
        return client, {"retries": {"attempts": retries + 1, **at_once}}

    async def aclose(self) -> None:
        await self.aio.aclose()

    def text(self, event: Any) -> str:
        return str(event.text or "")

    def answer(self, response: Any) -> str:
        return str(response.text)


ENDPOINTS = (Chat, Responses, Messages)
ALL_ENDPOINTS = (*ENDPOINTS, Contents) if genai else ENDPOINTS


@functools.cache
def _running() -> Provider:
    running = Provider.spawn().start()
    atexit.register(running.stop)
    return running


def fresh_provider(default: Reply | None = None) -> Provider:
    """The one provider of all tests, with nothing on its books and the clients guarded."""
    running = _running()
    running.reset()
    running.default(default or Reply(tokens=20))
    outlay.instrument()
    return running


@contextmanager
def task(usd: float = 1, **options: Any) -> Iterator[outlay.Task]:
    """A task on a ledger of its own, in memory."""
    with outlay.task("t", **{"usd": usd, "store": "memory:", **options}) as opened:
        yield opened


def agrees(task: outlay.Task, provider: Provider) -> Bill:
    """Everything has ended, every request was recorded, and the two bills are equal."""
    bill = recorded(task, provider)
    assert task.spent.nanos == bill.cost_nanos
    return bill


def covers(task: outlay.Task, provider: Provider) -> Bill:
    """Everything has ended, every request was recorded, and no more was served than spent."""
    bill = recorded(task, provider)
    assert task.spent.nanos >= bill.cost_nanos
    return bill


def recorded(task: outlay.Task, provider: Provider) -> Bill:
    """Everything has ended, and every request was recorded once."""
    bill = provider.bill()
    totals = task.summary().totals
    assert task.pending.nanos == 0
    assert totals.calls + totals.voided_calls == bill.count
    return bill
