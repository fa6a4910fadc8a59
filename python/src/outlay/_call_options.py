"""What does the caller know about single calls that their requests do not show?

Invariant: what is given holds for each HTTP request sent inside the block, in threads started
there too, and for none after it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal

from . import _native
from ._context import CallOptions
from ._context import current_options as _current_options


@contextmanager
def call(
    *,
    max_usd: int | float | str | Decimal | _native.Money | None = None,
    max_input_tokens: int | None = None,
    final: bool | None = None,
    turn: str | None = None,
) -> Generator[None]:
    """Says what single calls of a guarded client can come to, each of those inside the block.

    For requests that cannot be bounded by reading them, as those that go on from text the provider
    keeps, and for holding less than the computed worst case. What is not given stays as in the
    block around this one.

    Args:
        max_usd: the most one call can cost, by your own word; it is held instead of the computed
            worst case, and a stream that goes beyond it is cut.
        max_input_tokens: the most input tokens one call can be billed for.
        final: True for the last call of the attempt, paid from what ``wrap_up_usd`` of its task
            has put by. Its own maximum of output is lowered where only that makes it fit.
        turn: what the user's input is called that the calls help to answer; limits per turn go by
            it. An integration that knows the user's messages names turns itself.

    Raises:
        InvalidInput: a number that cannot be.

    Example:
        >>> import openai, outlay.testing
        >>> outlay.instrument()
        >>> with outlay.testing.Provider() as provider, outlay.task("t", usd=1, store="memory:"):
        ...     ask = openai.OpenAI(base_url=provider.openai_url, api_key="any").responses.create
        ...     first = ask(model="gpt-4o", input="hello")
        ...     with outlay.call(max_input_tokens=8_000):
        ...         more = ask(model="gpt-4o", input="and?", previous_response_id=first.id)
        >>> outlay.uninstrument()
    """
    above = _current_options.get()
    # Read here, so that what cannot be is refused where it stands.
    most = None if max_usd is None else _native.Money(max_usd)
    if max_input_tokens is not None:
        _native.Usage(max_input_tokens)
    token = _current_options.set(
        CallOptions(
            above.max_usd if most is None else most,
            above.max_input_tokens if max_input_tokens is None else max_input_tokens,
            above.final if final is None else final,
            above.turn if turn is None else turn,
        )
    )
    try:
        yield
    finally:
        _current_options.reset(token)
