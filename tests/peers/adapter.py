"""What does every peer have to offer, so that all can be measured by the same loops?

A ``Guard`` is one opened budget with a way to make one guarded call. Each peer's own file turns
the peer's public interface into this one and does nothing else. What a peer cannot do raises
``Absent`` and is shown as such; it is never replaced by a guess.

This file runs in every peer's environment, so it uses the standard library only.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

MODEL = "gpt-4o"
"""Listed by every peer at 10 USD per million output tokens."""

UNKNOWN_MODEL = "acme-unreleased-1"
OUTPUT_TOKENS = 5_000
CALL_USD = Decimal("0.05")
"""5,000 output tokens of ``MODEL``; the provider reports no input tokens."""

CAP_USD = Decimal("1.00")
LATENCY_S = 0.005
PROMPT = "Write five thousand tokens about ledgers."


class Refused(Exception):
    """The guard said no."""


class Absent(Exception):
    """The peer has no such way of working."""


class FakeProvider:
    """A provider in the same process: takes 5 ms, costs 0.05 USD, keeps its own bill."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0

    def serve(self) -> None:
        """Serve one call, blocking the thread for the latency."""
        time.sleep(LATENCY_S)
        self._charge()

    async def aserve(self) -> None:
        """Serve one call, leaving the event loop free for the latency."""
        await asyncio.sleep(LATENCY_S)
        self._charge()

    def _charge(self) -> None:
        with self._lock:
            self._calls += 1

    @property
    def calls(self) -> int:
        """How many calls were served."""
        return self._calls


@dataclass(frozen=True)
class Bench:
    """What a guard is opened over: a cap, a provider, and a place for its files."""

    cap_usd: Decimal
    base_url: str
    directory: Path
    provider: FakeProvider = field(default_factory=FakeProvider)


class Guard:
    """One opened budget. A method a peer has no counterpart for stays ``Absent``."""

    copy_context = False
    """Whether a worker thread must be started in a copy of the opener's context."""

    def call(self, model: str = MODEL) -> None:
        """Make one guarded call; raise ``Refused`` when the guard says no."""
        raise Absent("no blocking call")

    async def acall(self) -> None:
        """Make one guarded call on the event loop."""
        raise Absent("no asyncio call")

    def stream(self) -> None:
        """Make one guarded streamed call and read it to its end."""
        raise Absent("no stream")

    async def astream(self) -> None:
        """Make one guarded streamed call on the event loop and read it to its end."""
        raise Absent("no asyncio stream")

    def abandon(self, chunks: int) -> None:
        """Open a guarded stream, read so many chunks of text, and walk away."""
        raise Absent("no stream")

    def recorded(self) -> Decimal:
        """Return the USD this guard says were spent or are still held."""
        raise Absent("no record")

    def close(self) -> None:
        """Give back what the guard holds open."""


@dataclass(frozen=True)
class Timed:
    """One thing to time: what ``open`` returns less ``baseline``, both without any network.

    ``open`` runs after the baseline was timed, because several peers patch the very call that is
    the baseline.
    """

    open: Callable[[], Callable[[], object]]
    baseline: Callable[[], object] | None = None
    per_round: int = 2_000


@dataclass(frozen=True)
class Mode:
    """One way of using a peer."""

    name: str
    open: Callable[[Bench], Guard]
    timed: Callable[[Bench], Timed] | None = None
    persistent: bool = False
    beside: str = "reserve/settle, memory"
    """The mode of Outlay this one is compared with."""


@dataclass(frozen=True)
class Adapter:
    """A peer as the bench sees it."""

    modes: tuple[Mode, ...] = ()
    price: Callable[[], Callable[[], object]] | None = None
    """Makes a function that prices one usage."""

    price_unknown: Callable[[], object] | None = None
    """Prices 5,000 output tokens of a model nobody lists."""
