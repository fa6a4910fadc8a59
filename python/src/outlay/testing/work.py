"""What does an endpoint hand to the exchange: a whole answer, its stream, its price?

Invariant: an endpoint decides everything a request will cost before anything is sent; the
exchange only bills less of it when less of it got sent.
"""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .bill import Books, Usage
from .cache import PrefixCache
from .catalog import Catalog, Model
from .script import Reply, Script

Json = dict[str, Any]
_REMEMBERED = 10_000


@dataclass
class State:
    """All that one provider remembers."""

    catalog: Catalog = field(default_factory=Catalog)
    cache: PrefixCache = field(default_factory=PrefixCache)
    script: Script = field(default_factory=Script)
    books: Books = field(default_factory=Books)
    responses: OrderedDict[str, list[Json]] = field(default_factory=OrderedDict)

    def remember(self, response_id: str, messages: list[Json]) -> None:
        """Keeps a response's conversation for ``previous_response_id``; the newest 10,000."""
        self.responses[response_id] = messages
        while len(self.responses) > _REMEMBERED:
            self.responses.popitem(last=False)


@dataclass(frozen=True)
class Frame:
    """One server-sent event: its bytes and the output tokens used once it is sent."""

    data: bytes
    spent: int
    is_piece: bool = False


@dataclass(frozen=True)
class Work:
    """A request worked out.

    Attributes:
        usage: All it will cost when it is served whole.
        spent_first: Output tokens used before the first frame (hidden reasoning).
        body: The answer without a stream.
        frames: The answer as a stream, or None if none was asked for.
        error_event: What breaks the stream in an ``error_middle``.
    """

    model: Model
    usage: Usage
    spent_first: int
    body: Json
    frames: Callable[[], Iterator[Frame]] | None = None
    error_event: bytes = b""


class Refusal(Exception):
    """A request the provider does not serve, with what its error body says."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


@dataclass(frozen=True)
class Call:
    """One request as an endpoint gets it."""

    number: int
    body: Json
    reply: Reply
    state: State

    def model(self, vendor: str) -> Model:
        """Returns the model asked for.

        Raises:
            Refusal: 404, the provider has no such model.
        """
        name = self.body.get("model")
        model = self.state.catalog.find(name, vendor)
        if model is None:
            message = f"The model `{name}` does not exist or you do not have access to it."
            raise Refusal(404, message, code="model_not_found", param="model")
        return model

    def maximum(self, model: Model, name: str) -> int | None:
        """Returns the request's maximum of output tokens under that name, or None.

        Raises:
            Refusal: 400, it is no whole number from 1 to the model's own maximum.
        """
        value = self.body.get(name)
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= model.max_output:
            message = f"`{name}` must be from 1 to {model.max_output}: `{value}`"
            raise Refusal(400, message, code="invalid_value", param=name)
        return value

    def listed(self, name: str) -> list[Any]:
        """Returns a list field; absent is empty.

        Raises:
            Refusal: 400, it is no list.
        """
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Refusal(400, f"`{name}` must be a list", code="invalid_type", param=name)
        return value

    def identity(self, prefix: str) -> str:
        """Returns an id that tells which request it came from."""
        return f"{prefix}{self.number:024d}"


def now_s() -> int:
    """Returns the time as providers stamp it, in whole seconds."""
    return int(time.time())


def sse(event: str | None, payload: Mapping[str, Any]) -> bytes:
    """Returns one server-sent event."""
    told = json.dumps(payload, separators=(",", ":"))
    return (f"event: {event}\ndata: {told}\n\n" if event else f"data: {told}\n\n").encode()


def _distorted(value: Any, form: str) -> Any:
    if isinstance(value, dict):
        return {key: _distorted(inner, form) for key, inner in value.items()}
    if type(value) is not int:
        return value
    if form == "negative":
        return -value - 1
    if form == "strings":
        return f"{value} tokens"
    if form == "floats":
        return math.nextafter(float(value), math.inf) + 0.5
    return 10**30


def put_usage(body: Json, usage: Json, form: str, name: str = "usage") -> Json:
    """Adds a usage to a body in the form the script wants it reported; returns the body."""
    if form == "null":
        body[name] = None
    elif form not in ("missing", "no_final"):
        body[name] = usage if form == "true" else _distorted(usage, form)
    return body
