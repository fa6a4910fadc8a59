"""Packages that only price: tokencost 0.1.26 and litellm's ``cost_per_token``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapter import CALL_USD, MODEL, OUTPUT_TOKENS, UNKNOWN_MODEL, Adapter


def _tokencost(model: str) -> Callable[[], object]:
    tokencost: Any = importlib.import_module("tokencost")
    price = tokencost.calculate_cost_by_tokens
    return lambda: price(0, model, "input") + price(OUTPUT_TOKENS, model, "output")


def _litellm(model: str) -> Callable[[], object]:
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True

    def price() -> object:
        return sum(
            litellm.cost_per_token(model=model, prompt_tokens=0, completion_tokens=OUTPUT_TOKENS)
        )

    return price


def _checked(price: Callable[[], object]) -> Callable[[], object]:
    assert Decimal(str(price())) == CALL_USD
    return price


TOKENCOST = Adapter(
    price=lambda: _checked(_tokencost(MODEL)),
    price_unknown=lambda: _tokencost(UNKNOWN_MODEL)(),
)
LITELLM = Adapter(
    price=lambda: _checked(_litellm(MODEL)),
    price_unknown=lambda: _litellm(UNKNOWN_MODEL)(),
)
