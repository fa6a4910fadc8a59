"""agentguard47 2.0.0 in its four ways of working.

``check`` and ``consume`` round each call, and ``patch_openai``, are what its README shows. Over a
``StateStore`` its patch also reserves, holding the request's maximum output at 150 USD per
million tokens whatever the model. ``reserve_for_dispatch`` is the same reservation with the
bound given by the caller: not in its ``__all__``, but the safest thing it has.
"""

from __future__ import annotations

import importlib
import itertools
import uuid
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapter import (
    CALL_USD,
    MODEL,
    OUTPUT_TOKENS,
    UNKNOWN_MODEL,
    Absent,
    Adapter,
    Bench,
    Guard,
    Mode,
    Refused,
    Timed,
)
from clients import NOWHERE, ClientGuard, bound_call, stub_create, sync_client

KEY = "bench"


def _agentguard() -> Any:
    return importlib.import_module("agentguard")


def _budget(bench: Bench, stored: bool) -> Any:
    agentguard = _agentguard()
    given: dict[str, Any] = {"max_cost_usd": float(bench.cap_usd)}
    if stored:
        store = agentguard.JsonFileStateStore(bench.directory / "budget.json")
        given |= {"store": store, "key": KEY}
    return agentguard.BudgetGuard(**given)


def _recorded(budget: Any) -> Decimal:
    totals = budget.reservation_totals()
    parts = (totals[name]["cost"] for name in ("settled", "reserved", "unresolved"))
    return sum((Decimal(str(part)) for part in parts), Decimal(0))


def _silent_tracer() -> Any:
    """A tracer that keeps nothing, so that only the guard is measured."""
    agentguard = _agentguard()
    silent = type("Silent", (agentguard.TraceSink,), {"emit": lambda self, event: None})
    return agentguard.Tracer(service="bench", sink=silent())


class CheckGuard(Guard):
    """``check()`` before, ``consume()`` after; in memory."""

    def __init__(self, bench: Bench) -> None:
        agentguard = _agentguard()
        self._provider = bench.provider
        self._budget = _budget(bench, stored=False)
        self._exceeded = agentguard.BudgetExceeded
        self._estimate: Callable[..., float] = agentguard.estimate_cost

    def call(self, model: str = MODEL) -> None:
        """Check, call, price, consume."""
        try:
            self._budget.check()
            self._provider.serve()
            self.consume(model)
        except self._exceeded as error:
            raise Refused(str(error)) from error

    async def acall(self) -> None:
        """Do the same on the event loop."""
        try:
            self._budget.check()
            await self._provider.aserve()
            self.consume(MODEL)
        except self._exceeded as error:
            raise Refused(str(error)) from error

    def consume(self, model: str) -> None:
        """Price what was used and record it."""
        cost_usd = self._estimate(model, 0, OUTPUT_TOKENS, "openai")
        self._budget.consume(tokens=OUTPUT_TOKENS, calls=1, cost_usd=cost_usd)

    def round(self) -> None:
        """Do all that surrounds one call, without the call."""
        self._budget.check()
        self.consume(MODEL)

    def recorded(self) -> Decimal:
        """Return what it counted."""
        return Decimal(str(self._budget.state.cost_used))


class ReserveGuard(Guard):
    """``reserve_for_dispatch`` with the true bound, then ``commit_reservation``; on a file."""

    def __init__(self, bench: Bench) -> None:
        agentguard = _agentguard()
        self._provider = bench.provider
        self._budget = _budget(bench, stored=True)
        self._exceeded = agentguard.BudgetExceeded

    def _reserve(self) -> str:
        reservation = str(uuid.uuid4())
        try:
            self._budget.reserve_for_dispatch(reservation, cost_bound=float(CALL_USD))
        except self._exceeded as error:
            raise Refused(str(error)) from error
        return reservation

    def _commit(self, reservation: str) -> None:
        cost_usd = float(CALL_USD)
        try:
            self._budget.commit_reservation(reservation, tokens=OUTPUT_TOKENS, cost_usd=cost_usd)
        except self._exceeded as error:  # twenty times 0.05 is 1.0000000000000002 in floats
            raise Refused(str(error)) from error

    def call(self, model: str = MODEL) -> None:
        """Reserve, call, commit."""
        if model != MODEL:
            raise Absent("the caller gives the cost itself")
        reservation = self._reserve()
        self._provider.serve()
        self._commit(reservation)

    async def acall(self) -> None:
        """Do the same on the event loop, which its file lock blocks."""
        reservation = self._reserve()
        await self._provider.aserve()
        self._commit(reservation)

    def round(self) -> None:
        """Do all that surrounds one call, without the call."""
        self._commit(self._reserve())

    def recorded(self) -> Decimal:
        """Return what it counted and what it still holds."""
        return _recorded(self._budget)


class PatchedGuard(ClientGuard):
    """``patch_openai`` and ``patch_openai_async`` with one budget."""

    def __init__(self, bench: Bench, stored: bool) -> None:
        agentguard = _agentguard()
        self._budget = _budget(bench, stored)
        tracer = _silent_tracer()
        agentguard.patch_openai(tracer, budget_guard=self._budget)
        agentguard.patch_openai_async(tracer, budget_guard=self._budget)
        super().__init__(bench, (agentguard.BudgetExceeded,))

    def recorded(self) -> Decimal:
        """Return what it counted and what it still holds."""
        return _recorded(self._budget)

    def close(self) -> None:
        """Restore the client."""
        agentguard = _agentguard()
        agentguard.unpatch_openai()
        agentguard.unpatch_openai_async()


def _timed_patched(bench: Bench) -> Timed:
    def guarded() -> Callable[[], object]:
        agentguard = _agentguard()
        agentguard.patch_openai(_silent_tracer(), budget_guard=_budget(bench, stored=False))
        return bound_call(sync_client(NOWHERE))

    return Timed(guarded, stub_create(), per_round=1_000)


def _timed_stored(bench: Bench) -> Timed:
    """Time over a fresh file every 20 calls: it rewrites the whole file each time.

    Without that the figure would grow with the number of calls made before.
    """
    made = itertools.count()
    guards: list[ReserveGuard] = []

    def call() -> None:
        number = next(made)
        if number % 20 == 0:
            directory = bench.directory / f"fresh-{number}"
            directory.mkdir()
            guards[:] = [ReserveGuard(Bench(bench.cap_usd, bench.base_url, directory))]
        guards[0].round()

    return Timed(lambda: call, per_round=20)


def _price() -> Callable[[], object]:
    agentguard = _agentguard()

    def price() -> object:
        return agentguard.estimate_cost(MODEL, 0, OUTPUT_TOKENS, "openai")

    assert Decimal(str(price())) == CALL_USD
    return price


def _price_unknown() -> object:
    """Price as its patch does; ``estimate_cost`` alone warns and says 0.0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        usage = {"usage": {"prompt_tokens": 0, "completion_tokens": OUTPUT_TOKENS}}
        return _agentguard().resolve_billable_cost(usage, model=UNKNOWN_MODEL, provider="openai")[
            "cost_usd"
        ]


ADAPTER = Adapter(
    modes=(
        Mode(
            "check/consume, memory",
            CheckGuard,
            lambda bench: Timed(lambda: CheckGuard(bench).round),
        ),
        Mode(
            "reserve/commit, json file",
            ReserveGuard,
            _timed_stored,
            persistent=True,
            beside="reserve/settle, sqlite",
        ),
        Mode(
            "patched client, memory",
            lambda bench: PatchedGuard(bench, stored=False),
            _timed_patched,
            beside="patched client, memory",
        ),
        Mode(
            "patched client, json file",
            lambda bench: PatchedGuard(bench, stored=True),
            persistent=True,
            beside="patched client, sqlite",
        ),
    ),
    price=_price,
    price_unknown=_price_unknown,
)
