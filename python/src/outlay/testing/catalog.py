"""Which models does the loopback provider serve, and what does it charge for them?

Invariant: these figures are typed in here by hand and are never read from Outlay, so that a
wrong price or a wrong count in Outlay shows as a difference between two bills.

Prices are list prices in USD per million tokens as the providers published them in 2026.
The tokenizers of Claude and Gemini are not public: a token of theirs is *defined* here by tokens of
o200k, so that counts are deterministic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


@dataclass(frozen=True)
class Rates:
    """List prices of one model, in USD per million tokens.

    ``write_5m`` and ``write_1h`` are what writing the prompt cache costs (Anthropic only).
    """

    input: Decimal = Decimal(0)
    cached: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    write_5m: Decimal = Decimal(0)
    write_1h: Decimal = Decimal(0)


@dataclass(frozen=True, eq=False)
class Model:
    """One model: how it counts, what it costs, what it allows.

    Attributes:
        served_as: The dated name the response carries.
        factor: Tokens of this model per token of ``encoding``.
        frame: Input tokens a request costs besides its text (Anthropic only).
        max_output: The largest maximum a request may ask for, in tokens.
        reasoning: Whether it thinks unseen before it answers.
        always_thinks: Whether that cannot be turned off (Google only).
        cache_from: The shortest prefix the prompt cache keeps, in tokens.
        long_from: Inputs above this many tokens are charged at ``long_rates``.
        image: How an input image is counted: ``tiles``, ``patches`` or ``area``.
    """

    vendor: str
    served_as: str
    rates: Rates
    encoding: str = "o200k_base"
    factor: Fraction = Fraction(1)
    frame: int = 0
    max_output: int = 16_384
    reasoning: bool = False
    always_thinks: bool = False
    cache_from: int = 1024
    long_from: int | None = None
    long_rates: Rates = Rates()
    image: tuple[str, Fraction, Fraction] = ("tiles", Fraction(85), Fraction(170))


def _rates(input: str, cached: str, output: str, write_5m: str = "0", write_1h: str = "0") -> Rates:
    return Rates(*map(Decimal, (input, cached, output, write_5m, write_1h)))


def _openai(served_as: str, rates: Rates, max_output: int, **more: Any) -> Model:
    return Model("openai", served_as, rates, max_output=max_output, **more)


def _claude(
    served_as: str, rates: Rates, max_output: int, factor: Fraction, frame: int, **more: Any
) -> Model:
    return Model(
        "anthropic",
        served_as,
        rates,
        factor=factor,
        frame=frame,
        max_output=max_output,
        image=("area", Fraction(750), Fraction(1600)),
        **more,
    )


def _gemini(name: str, rates: Rates, max_output: int = 65_536, **more: Any) -> Model:
    return Model("google", name, rates, factor=GEMINI, max_output=max_output, **more)


# Measured with Gemma's, which is public: 1.03 to 1.34 tokens per o200k token.
GEMINI = Fraction(6, 5)
# Real text has 1.08 to 1.62, but a word repeated has no more.
CLAUDE = Fraction(1)
# One system prompt for tools is added when a Claude request declares any.
CLAUDE_TOOLS_AUTO = 346
CLAUDE_TOOLS_FORCED = 313

_PATCHES = ("patches", Fraction(162, 100), Fraction(1536))

MODELS: Mapping[str, Model] = {
    "gpt-4o": _openai("gpt-4o-2024-08-06", _rates("2.5", "1.25", "10"), 16_384),
    "gpt-4o-mini": _openai(
        "gpt-4o-mini-2024-07-18",
        _rates("0.15", "0.075", "0.6"),
        16_384,
        image=("tiles", Fraction(2833), Fraction(5667)),
    ),
    "gpt-4.1": _openai("gpt-4.1-2025-04-14", _rates("2", "0.5", "8"), 32_768),
    "gpt-5-mini": _openai(
        "gpt-5-mini-2025-08-07",
        _rates("0.25", "0.025", "2"),
        128_000,
        reasoning=True,
        image=_PATCHES,
    ),
    "o3-mini": _openai("o3-mini-2025-01-31", _rates("1.1", "0.55", "4.4"), 100_000, reasoning=True),
    "text-embedding-3-small": _openai(
        "text-embedding-3-small", _rates("0.02", "0.02", "0"), 0, encoding="cl100k_base"
    ),
    "gpt-image-1": _openai("gpt-image-1", _rates("5", "1.25", "40"), 0),
    "claude-sonnet-4-5": _claude(
        "claude-sonnet-4-5-20250929",
        _rates("3", "0.3", "15", "3.75", "6"),
        64_000,
        CLAUDE,
        7,
        long_from=200_000,
        long_rates=_rates("6", "0.6", "22.5", "7.5", "12"),
    ),
    "claude-haiku-4-5": _claude(
        "claude-haiku-4-5-20251001",
        _rates("1", "0.1", "5", "1.25", "2"),
        64_000,
        CLAUDE,
        7,
        cache_from=4096,
    ),
    "claude-opus-4-7": _claude(
        "claude-opus-4-7",
        _rates("5", "0.5", "25", "6.25", "10"),
        128_000,
        CLAUDE,
        6,
        cache_from=4096,
    ),
    "gemini-2.5-flash": _gemini("gemini-2.5-flash", _rates("0.3", "0.03", "2.5"), reasoning=True),
    "gemini-2.5-flash-lite": _gemini("gemini-2.5-flash-lite", _rates("0.1", "0.01", "0.4")),
    "gemini-2.5-pro": _gemini(
        "gemini-2.5-pro",
        _rates("1.25", "0.125", "10"),
        reasoning=True,
        always_thinks=True,
        long_from=200_000,
        long_rates=_rates("2.5", "0.25", "15"),
    ),
    "gemini-embedding-001": _gemini("gemini-embedding-001", _rates("0.15", "0.15", "0"), 0),
}

# What a model that is not in the table is like, by the start of its name.
_LIKE = {"claude": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash", "": "gpt-4o"}


class Catalog:
    """The models one provider serves: the built-in table and what a test adds to it."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = dict(MODELS)

    def find(self, name: object, vendor: str) -> Model | None:
        """Returns the model of that name or dated name, or None if the vendor has none."""
        if not isinstance(name, str):
            return None
        model = self.models.get(name) or self.models.get(_DATED.sub("", name))
        return model if model is not None and model.vendor == vendor else None

    def override(self, name: str, prices: Mapping[str, Any]) -> None:
        """Sets a model's prices, or adds a model like ``gpt-4o`` (a Claude, a Gemini) by that name.

        Args:
            name: The model.
            prices: USD per million tokens, as decimal text or numbers, under the names of
                :class:`Rates`; what is left out is free.

        Raises:
            ValueError: An unknown name, a negative or a non-decimal price.
        """
        unknown = set(prices) - set(Rates.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown price `{min(unknown)}`")
        rates = Rates(**{key: Decimal(str(value)) for key, value in prices.items()})
        if any(not value.is_finite() or value < 0 for value in vars(rates).values()):
            raise ValueError(f"a price of `{name}` is negative or not a number")
        like = MODELS[next(_LIKE[start] for start in _LIKE if name.startswith(start))]
        base = self.models.get(name) or Model(
            like.vendor,
            name,
            rates,
            factor=like.factor,
            frame=like.frame,
            max_output=like.max_output,
        )
        fields = {**vars(base), "rates": rates, "long_from": None}
        self.models[name] = Model(**fields)
