"""How does a Python test run a provider and talk to it?

:class:`Provider` runs one on a thread of its own, or, with :meth:`Provider.spawn`, in a
process of its own; from then on both are steered over the same loopback control API.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from .bill import Entry, Usage
from .exchange import Exchange
from .script import Reply
from .server import Server
from .tokens import encoding
from .work import State

_START_S = 60.0
_RUNNING: weakref.WeakSet[Provider] = weakref.WeakSet()


@dataclass(frozen=True)
class Bill:
    """The provider's books at one moment.

    Attributes:
        entries: Requests in the order of arrival, the newest 100,000.
        count: All requests.
        open: Those still running.
        served: Served whole.
        partial: Billed, but not served whole.
        refused: Not billed.
        usage: Sums of tokens over all requests.
        cost_nanos: Sum of costs in nano-USD over all requests.
    """

    entries: Sequence[Entry]
    count: int
    open: int
    served: int
    partial: int
    refused: int
    usage: Usage
    cost_nanos: int


class Provider:
    """A look-alike of OpenAI, Anthropic and Google on loopback, with counts and books of its own.

    Args:
        default: What it replies when nothing else is scripted.
        prices: Model to USD per million tokens under the names ``input``, ``cached``,
            ``output``, ``write_5m``, ``write_1h``; what is left out is free. A model it does
            not know is added.
        port: Port to listen on; 0 lets the system pick.
        host: A loopback address.

    Raises:
        ValueError: The host is no loopback address, or a price is bad.

    Example:
        >>> import openai
        >>> messages = [{"role": "user", "content": "May I have my money back?"}]
        >>> with Provider(default=Reply(text="Hi")) as provider:
        ...     client = openai.OpenAI(base_url=provider.openai_url, api_key="any")
        ...     provider.script(Reply(status=429, retry_after_s=0.01), Reply(tokens=12))
        ...     answer = client.chat.completions.create(model="gpt-4o", messages=messages)
        ...     [entry.status for entry in provider.bill().entries]
        [429, 200]
    """

    def __init__(
        self,
        default: Reply | None = None,
        *,
        prices: Mapping[str, Mapping[str, Any]] | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self._order: dict[str, Any] = {}
        if default is not None:
            self._order["default"] = default.to_json()
        if prices is not None:
            self._order["prices"] = prices
        self._host = host
        self._port = port
        self._owner = 0
        self._spawn = False
        self._process: subprocess.Popen[str] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: Server | None = None
        self._failure: BaseException | None = None

    @classmethod
    def spawn(
        cls,
        default: Reply | None = None,
        *,
        prices: Mapping[str, Mapping[str, Any]] | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> Provider:
        """Like the constructor, but it will run as a process of its own.

        For tests that fork, and for those that measure: it shares no interpreter lock with
        its clients. The process ends with the ``with`` block, or when its parent dies.
        """
        provider = cls(default, prices=prices, port=port, host=host)
        provider._spawn = True
        return provider

    @property
    def url(self) -> str:
        """Where the control API is, e.g. ``http://127.0.0.1:49152``."""
        address = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{address}:{self._port}"

    @property
    def openai_url(self) -> str:
        """The ``base_url`` for OpenAI clients."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The ``base_url`` for Anthropic clients."""
        return self.url

    @property
    def google_url(self) -> str:
        """The ``base_url`` for Google clients."""
        return self.url

    def start(self) -> Provider:
        """Starts it; returns itself. ``with`` does the same and stops it at the end.

        Raises:
            ValueError: The host is no loopback address, or default or prices are bad.
            OSError: The port is taken, or the process did not start.
        """
        self._owner = os.getpid()
        if self._spawn:
            self._start_process()
        else:
            self._start_thread()
        try:
            if self._order:
                self.control(self._order)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops it and closes every connection; does nothing if it does not run.

        In a forked child it leaves the parent's provider alone.
        """
        if self._owner != os.getpid():
            return
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.stdout.close()
            self._process = None
        if self._loop is not None and self._thread is not None and self._server is not None:
            stopping = asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop)
            with contextlib.suppress(concurrent.futures.TimeoutError):
                stopping.result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = self._server = None

    def __enter__(self) -> Provider:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def script(self, *replies: Reply) -> None:
        """Queues replies for the next requests, in this order."""
        self.control({"queue": [reply.to_json() for reply in replies]})

    def clear(self) -> None:
        """Empties the queue."""
        self.control({"clear": True})

    def default(self, reply: Reply) -> None:
        """Sets what it replies when nothing else is scripted."""
        self.control({"default": reply.to_json()})

    def mix(self, seed: int, *choices: tuple[float, Reply]) -> None:
        """Draws every further reply by weight, the same ones for the same seed.

        Raises:
            ValueError: The weights are negative or all zero.
        """
        told = [(weight, reply.to_json()) for weight, reply in choices]
        self.control({"mix": {"seed": seed, "choices": told}})

    def reset(self) -> None:
        """Forgets books, script, prompt caches and price overrides."""
        self.control({"reset": True})

    def advance(self, seconds: float) -> None:
        """Lets the prompt caches age without waiting."""
        self.control({"advance_s": seconds})

    def bill(self, wait_s: float = 5.0, *, entries: bool = True) -> Bill:
        """Returns the books, once no request is open or ``wait_s`` has passed.

        Args:
            wait_s: How long to wait for open requests, at most 60 seconds.
            entries: Whether to fetch the single requests too.
        """
        told = self._ask("GET", f"/bill?wait_s={wait_s}&entries={int(entries)}")
        listed = [_entry(each) for each in told.pop("entries")]
        usage = Usage(**told.pop("usage"))
        return Bill(entries=listed, usage=usage, **told)

    def requests(self) -> Sequence[Entry]:
        """Returns the requests so far, running ones too."""
        return [_entry(each) for each in self._ask("GET", "/requests")["requests"]]

    def control(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one message to ``POST /control``.

        Raises:
            ValueError: The provider refused the message.
        """
        return self._ask("POST", "/control", json.dumps(order, default=str))

    def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        # http.client, which no instrumentation of HTTP clients touches.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=90)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            told: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(told["error"]["message"])
        return told

    def _start_thread(self) -> None:
        if self._thread is not None:
            raise ValueError("the provider is running already")
        # Half a second the first time; better here than in somebody's first request.
        encoding("o200k_base")
        self._failure = None
        self._loop = asyncio.new_event_loop()
        listening = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, listening), name="outlay-provider", daemon=True
        )
        self._thread.start()
        listening.wait(_START_S)
        if self._failure is not None:
            failure = self._failure
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = self._server = None
            raise failure
        _RUNNING.add(self)

    def _run(self, loop: asyncio.AbstractEventLoop, listening: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        try:
            self._server = Server(Exchange(State()))
            self._port = loop.run_until_complete(self._server.start(self._host, self._port))
        except BaseException as failure:
            self._failure = failure
            return
        finally:
            listening.set()
        loop.run_forever()

    def _start_process(self) -> None:
        if self._process is not None:
            raise ValueError("the provider is running already")
        command = [sys.executable, "-m", "outlay.testing", "--until-stdin-closes"]
        command += ["--host", self._host, "--port", str(self._port)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise OSError("the provider's process did not start; its stderr says why")
        self._port = json.loads(line)["port"]


def _entry(told: dict[str, Any]) -> Entry:
    return Entry(**{**told, "usage": Usage(**told["usage"])})


def _abandon() -> None:
    for provider in list(_RUNNING):
        if provider._server is not None:
            provider._server.abandon_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon)
