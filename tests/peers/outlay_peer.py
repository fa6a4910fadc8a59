"""Outlay in the same bench: the explicit form, and the patched OpenAI client.

In the patched client the bound must equal the charge for the race to end at exactly 1.00 USD, so
the price of the bench's model is overridden there: input free, output 10 USD per million.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapter import (
    MODEL,
    OUTPUT_TOKENS,
    UNKNOWN_MODEL,
    Adapter,
    Bench,
    Guard,
    Mode,
    Refused,
    Timed,
)
from clients import ClientGuard, answered_client, bound_call

INPUT_FREE = {MODEL: {"input": 0, "cache_read": 0, "output": 10}}


def _outlay() -> Any:
    return importlib.import_module("outlay")


def _store(bench: Bench, kind: str) -> str:
    return "memory:" if kind == "memory" else f"sqlite:{bench.directory / 'ledger.db'}"


def _task(bench: Bench, kind: str) -> Any:
    return _outlay().task("bench", id="bench", usd=bench.cap_usd, store=_store(bench, kind))


def _held(task: Any) -> Decimal:
    """Return spent and pending; spent includes what is in doubt."""
    return Decimal(task.spent.usd) + Decimal(task.pending.usd)


class ExplicitGuard(Guard):
    """``reserve`` before, ``settle`` after."""

    def __init__(self, bench: Bench, kind: str) -> None:
        outlay = _outlay()
        self._provider = bench.provider
        self._exceeded = outlay.BudgetExceeded
        self._usage = outlay.Usage
        self._context = _task(bench, kind)
        self._task = self._context.__enter__()

    def _reserve(self, model: str) -> Any:
        try:
            return self._task.reserve(model=model, input_tokens=0, max_output_tokens=OUTPUT_TOKENS)
        except self._exceeded as error:
            raise Refused(str(error)) from error

    def _settle(self, call: Any) -> None:
        call.settle(self._usage(input_tokens=0, output_tokens=OUTPUT_TOKENS))

    def call(self, model: str = MODEL) -> None:
        """Reserve, call, settle."""
        call = self._reserve(model)
        self._provider.serve()
        self._settle(call)

    async def acall(self) -> None:
        """Do the same on the event loop."""
        call = self._reserve(MODEL)
        await self._provider.aserve()
        self._settle(call)

    def round(self) -> None:
        """Do all that surrounds one call, without the call."""
        self._settle(self._reserve(MODEL))

    def recorded(self) -> Decimal:
        """Return what the task spent or holds."""
        return _held(self._task)

    def close(self) -> None:
        """End the task."""
        self._context.__exit__(None, None, None)


class PatchedGuard(ClientGuard):
    """``instrument()`` and a task round the real client."""

    def __init__(self, bench: Bench, kind: str) -> None:
        outlay = _outlay()
        outlay.configure(prices=INPUT_FREE)
        outlay.instrument()
        self._context = _task(bench, kind)
        self._task = self._context.__enter__()
        super().__init__(bench, (outlay.BudgetExceeded,))

    def recorded(self) -> Decimal:
        """Return what the task spent or holds."""
        return _held(self._task)

    def close(self) -> None:
        """End the task and restore the client."""
        self._context.__exit__(None, None, None)
        _outlay().uninstrument()


def _timed(bench: Bench, kind: str, per_round: int) -> Timed:
    return Timed(lambda: ExplicitGuard(bench, kind).round, per_round=per_round)


def _timed_patched(bench: Bench, kind: str, per_round: int) -> Timed:
    # The hook is below `create`, where other peers' is: so the answer has to come from below too.
    def guarded() -> Callable[[], object]:
        outlay = _outlay()
        outlay.configure(prices=INPUT_FREE)
        outlay.instrument()
        _task(bench, kind).__enter__()
        return bound_call(answered_client())

    return Timed(guarded, bound_call(answered_client()), per_round)


def _price_unknown() -> object:
    task = _outlay().task("unknown", usd=Decimal(10), store="memory:")
    with task as opened:
        call = opened.reserve(model=UNKNOWN_MODEL, input_tokens=0, max_output_tokens=OUTPUT_TOKENS)
        call.void()
        return call


ADAPTER = Adapter(
    modes=(
        Mode(
            "reserve/settle, memory",
            lambda bench: ExplicitGuard(bench, "memory"),
            lambda bench: _timed(bench, "memory", 2_000),
        ),
        Mode(
            "reserve/settle, sqlite",
            lambda bench: ExplicitGuard(bench, "sqlite"),
            lambda bench: _timed(bench, "sqlite", 200),
            persistent=True,
            beside="reserve/settle, sqlite",
        ),
        Mode(
            "patched client, memory",
            lambda bench: PatchedGuard(bench, "memory"),
            lambda bench: _timed_patched(bench, "memory", 1_000),
            beside="patched client, memory",
        ),
        Mode(
            "patched client, sqlite",
            lambda bench: PatchedGuard(bench, "sqlite"),
            lambda bench: _timed_patched(bench, "sqlite", 200),
            persistent=True,
            beside="patched client, sqlite",
        ),
    ),
    price_unknown=_price_unknown,
)
