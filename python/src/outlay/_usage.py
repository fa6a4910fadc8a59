"""What did a response say was used?

The text of a body is read in the core; here it is only made from what a caller has at hand.
"""

from __future__ import annotations

import json
from typing import Any

from . import _native
from ._native import Usage
from .errors import InvalidInput


def extract_usage(body: Any, *, provider: str, api: str = "default") -> Usage:
    """Reads what a provider says a call used, in one normal form.

    Input includes what was read from and written to a cache, output includes reasoning, whatever
    the provider's own convention. What the provider says it charges is ``usage.cost``; fields that
    outlay does not know are in ``usage.unknown_fields``.

    Args:
        body: the response as a dict, as JSON text or as an SDK's object; or the list of a stream's
            events, of which the usage is read by the rule of the API: the last, or the sum.
        provider: who answered, such as ``"openai"``, ``"anthropic"``, ``"google"``, ``"aws"``;
            ``"langchain"`` for its ``usage_metadata``, ``"ai_sdk"`` for its usage objects.
        api: which API of theirs, such as ``"chat"``, ``"responses"``, ``"embeddings"`` or
            ``"messages"``; ``"default"`` is their main one.

    Raises:
        InvalidInput: the API is none outlay knows, the body is no JSON, it has no usage, or one
            that cannot be: a count that is missing, negative, no number, more than its whole.

    Example:
        >>> import outlay
        >>> body = {"usage": {"input_tokens": 100, "cache_read_input_tokens": 900,
        ...     "output_tokens": 50}}
        >>> outlay.extract_usage(body, provider="anthropic", api="messages")
        Usage(input_tokens=1000, output_tokens=50, cache_read_input_tokens=900)
    """
    return _native.extract_usage(_text(body), provider, api)


def _text(body: Any) -> str:
    try:
        if isinstance(body, (bytes, bytearray)):
            return body.decode()
        text = body if isinstance(body, str) else json.dumps(body, default=_plain)
        text.encode()  # half a surrogate pair is no text
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the response is no JSON: {error}") from None
    return text


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"`{type(value).__name__}` is not of JSON")
