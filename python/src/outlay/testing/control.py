"""How do tests in any language steer the provider and read its books?

``POST /control`` takes one JSON object; its keys are carried out in this order:

* ``reset`` (true): forgets books, script, caches and prices.
* ``clear`` (true), ``default``, ``mix`` (``seed``, ``choices`` of weight and reply), ``queue``:
  the script; a reply is an object of the fields of :class:`~outlay.testing.Reply`.
* ``prices``: model to USD per million tokens (``input``, ``cached``, ``output``, ``write_5m``,
  ``write_1h``).
* ``advance_s``: lets the prompt cache's clock jump forward.

``GET /bill`` answers totals and entries (``?entries=0`` leaves these out; ``?wait_s=`` waits
so long for open requests to end); ``GET /requests`` the entries only.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import asdict
from urllib.parse import parse_qs

from .bill import Books
from .cache import PrefixCache
from .catalog import Catalog
from .script import Script
from .server import Request
from .work import Json, State

_KEYS = {"reset", "clear", "default", "mix", "queue", "prices", "advance_s"}
_WAIT_MAX_S = 60.0


async def control(state: State, request: Request) -> Json | None:
    """Carries out a control request; None if it is none. It stops at the first bad key."""
    place = (request.method, request.path)
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    if place == ("GET", "/bill"):
        await _settled(state, query.get("wait_s", "0"))
        entries = [] if query.get("entries") == "0" else list(map(asdict, state.books.entries))
        return {**state.books.totals(), "entries": entries}
    if place == ("GET", "/requests"):
        return {"requests": list(map(asdict, state.books.entries))}
    if place == ("POST", "/control"):
        try:
            return _steer(state, json.loads(request.body))
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            return {"status": 400, "error": {"message": f"bad control message: {error}"}}
    return None


async def _settled(state: State, wait_s: str) -> None:
    """Waits until no request is open, but not for ever."""
    try:
        left_s = min(float(wait_s), _WAIT_MAX_S)
    except ValueError:
        return
    while state.books.open and left_s > 0 and not math.isnan(left_s):
        await asyncio.sleep(0.002)
        left_s -= 0.002


def _steer(state: State, order: Json) -> Json:
    unknown = set(order) - _KEYS
    if unknown:
        raise ValueError(f"no such key `{min(unknown)}`")
    if order.get("reset"):
        state.books, state.script = Books(), Script()
        state.cache, state.catalog = PrefixCache(), Catalog()
        state.responses.clear()
    state.script.apply(order)
    for name, prices in (order.get("prices") or {}).items():
        state.catalog.override(name, prices)
    state.cache.advance(float(order.get("advance_s") or 0))
    return {"queued": len(state.script.queue)}
