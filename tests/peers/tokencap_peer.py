"""tokencap 0.2.0, as its README says: ``init`` with a policy and SQLite, ``wrap`` the client.

It limits tokens, not money. With every call at 5,000 tokens and 0.05 USD, a cap of 1.00 USD is
100,000 tokens. It is installed without its tiktoken extra: offline that extra cannot load its
vocabulary and the estimate falls to 0, while without it the estimate is characters / 4.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapter import CALL_USD, OUTPUT_TOKENS, Adapter, Bench, Guard, Mode, Timed
from clients import NOWHERE, ClientGuard, bound_call, stub_create, sync_client

TOKEN_USD = CALL_USD / OUTPUT_TOKENS
SESSION = "bench"


def _init(bench: Bench, limit_tokens: int) -> Any:
    """Open the file in the bench's directory under a fixed identifier, as a restart would."""
    tokencap: Any = importlib.import_module("tokencap")
    sqlite: Any = importlib.import_module("tokencap.backends.sqlite")
    block = tokencap.Threshold(
        at_pct=1.0, actions=[tokencap.Action(kind=tokencap.ActionKind.BLOCK)]
    )
    tokencap.init(
        policy=tokencap.Policy(
            dimensions={"session": tokencap.DimensionPolicy(limit_tokens, [block])}
        ),
        identifiers={"session": SESSION},
        backend=sqlite.SQLiteBackend(str(bench.directory / "tokencap.db")),
        quiet=True,
    )
    return tokencap


class TokencapGuard(ClientGuard):
    """One tokencap session over a file."""

    def __init__(self, bench: Bench) -> None:
        self._tokencap = _init(bench, int(bench.cap_usd / TOKEN_USD))
        super().__init__(bench, (self._tokencap.BudgetExceededError,), wrap=self._tokencap.wrap)

    def recorded(self) -> Decimal:
        """Return the tokens it counted, at the price of the bench's calls."""
        return TOKEN_USD * int(self._tokencap.get_status().dimensions["session"].used)

    def close(self) -> None:
        """Close the file."""
        self._tokencap.teardown()


def _open(bench: Bench) -> Guard:
    return TokencapGuard(bench)


def _timed(bench: Bench) -> Timed:
    def guarded() -> Callable[[], object]:
        return bound_call(_init(bench, 2**62).wrap(sync_client(NOWHERE)))

    return Timed(guarded, stub_create(), per_round=200)


ADAPTER = Adapter(
    modes=(
        Mode(
            "wrapped client, sqlite",
            _open,
            _timed,
            persistent=True,
            beside="patched client, sqlite",
        ),
    )
)
