"""shekel 1.2.0, as its README says: ``with budget(max_usd=...)`` round the real client.

Its budget lives in a context variable. A plain thread starts with an empty context, so the safe
way is to start workers in a copy of it; the plain way is measured beside it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapter import CALL_USD, OUTPUT_TOKENS, UNKNOWN_MODEL, Adapter, Bench, Guard, Mode, Timed
from clients import NOWHERE, ClientGuard, bound_call, stub_create, sync_client

NO_LIMIT_USD = 1e9


class ShekelGuard(ClientGuard):
    """One active shekel budget."""

    def __init__(self, bench: Bench, copy_context: bool) -> None:
        shekel: Any = importlib.import_module("shekel")
        self._budget = shekel.budget(max_usd=float(bench.cap_usd), name="bench")
        self._budget.__enter__()
        super().__init__(bench, (shekel.BudgetExceededError,), streams_are_contexts=False)
        self.copy_context = copy_context

    def recorded(self) -> Decimal:
        """Return what the budget counted."""
        return Decimal(str(self._budget.spent))

    def close(self) -> None:
        """Leave the budget."""
        self._budget.__exit__(None, None, None)


def _open_copied(bench: Bench) -> Guard:
    return ShekelGuard(bench, copy_context=True)


def _open_plain(bench: Bench) -> Guard:
    return ShekelGuard(bench, copy_context=False)


def _timed(_: Bench) -> Timed:
    def guarded() -> Callable[[], object]:
        shekel: Any = importlib.import_module("shekel")
        shekel.budget(max_usd=NO_LIMIT_USD).__enter__()
        return bound_call(sync_client(NOWHERE))

    return Timed(guarded, stub_create())


def _cost(model: str) -> Callable[[], object]:
    pricing: Any = importlib.import_module("shekel._pricing")
    calculate: Callable[..., object] = pricing.calculate_cost
    return lambda: calculate(model, 0, OUTPUT_TOKENS)


def _price() -> Callable[[], object]:
    price = _cost("gpt-4o")
    assert Decimal(str(price())) == CALL_USD
    return price


ADAPTER = Adapter(
    modes=(
        Mode("patched client", _open_copied, _timed, beside="patched client, memory"),
        Mode("patched client, plain threads", _open_plain, beside="patched client, memory"),
    ),
    price=_price,
    price_unknown=lambda: _cost(UNKNOWN_MODEL)(),
)
