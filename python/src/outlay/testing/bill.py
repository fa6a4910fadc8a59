"""What did each request cost, by the provider's own books?

Invariant: a request is written down when it arrives and ended once; its cost is whole
nano-USD, worked out exactly and rounded up once.

All of it runs on the server's one thread; callers read copies over the control API.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

from .catalog import Model

# The newest requests are kept in full; totals go on for ever.
KEPT = 100_000


@dataclass
class Usage:
    """Tokens of one request. Input includes cached and written, output includes reasoning."""

    input_tokens: int = 0
    cached_tokens: int = 0
    write_5m_tokens: int = 0
    write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


def cost_nanos(model: Model, usage: Usage) -> int:
    """Returns the price of a usage in nano-USD, rounded up once."""
    long = model.long_from is not None and usage.input_tokens > model.long_from
    rates = model.long_rates if long else model.rates
    written = usage.write_5m_tokens + usage.write_1h_tokens
    fresh = usage.input_tokens - usage.cached_tokens - written
    # One USD per million tokens is a thousand nano-USD per token.
    usd_per_million = (
        Fraction(rates.input) * fresh
        + Fraction(rates.cached) * usage.cached_tokens
        + Fraction(rates.write_5m) * usage.write_5m_tokens
        + Fraction(rates.write_1h) * usage.write_1h_tokens
        + Fraction(rates.output) * usage.output_tokens
    )
    return math.ceil(usd_per_million * 1000)


@dataclass
class Entry:
    """One request as the provider saw it and what it billed for it.

    Attributes:
        id: Number of the request, from 1 in the order of arrival.
        request_id: The provider's id, also in the response head.
        outcome: ``open`` while it runs; ``served`` whole; ``partial`` when it was billed but
            did not reach the client whole; ``refused`` when nothing was billed.
        status: HTTP status sent, or 0 if none was.
        behaviour: What the script made it do, e.g. ``drop_head``; ``plain`` if nothing.
        max_tokens: The maximum the request set, in tokens, or None.
        attempt: The client's own count of retries, from its headers, or None.
        headers: The request's headers that tell requests apart; never its keys.
    """

    id: int
    request_id: str
    path: str
    api: str
    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    n: int = 1
    message_count: int = 0
    tool_count: int = 0
    attempt: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    outcome: str = "open"
    status: int = 0
    behaviour: str = "plain"
    usage: Usage = field(default_factory=Usage)
    chunks: int = 0
    cost_nanos: int = 0


class Books:
    """Every request and the totals."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.count = 0
        self.open = 0
        self.outcomes = {"served": 0, "partial": 0, "refused": 0}
        self.usage = Usage()
        self.cost_nanos = 0

    def begin(self, entry: Entry) -> None:
        """Writes down a request that has arrived."""
        self.count += 1
        self.open += 1
        self.entries.append(entry)

    def end(self, entry: Entry, outcome: str, model: Model | None, usage: Usage | None) -> None:
        """Ends a request; the second end of the same request changes nothing."""
        if entry.outcome != "open":
            return
        self.open -= 1
        entry.outcome = outcome
        self.outcomes[outcome] += 1
        if outcome == "refused" or model is None or usage is None:
            return
        entry.usage = usage
        entry.cost_nanos = cost_nanos(model, usage)
        self.cost_nanos += entry.cost_nanos
        for name, tokens in vars(usage).items():
            setattr(self.usage, name, getattr(self.usage, name) + tokens)

    def totals(self) -> dict[str, Any]:
        """Returns what ``GET /bill`` answers besides the entries."""
        return {
            "count": self.count,
            "open": self.open,
            **self.outcomes,
            "usage": asdict(self.usage),
            "cost_nanos": self.cost_nanos,
        }
