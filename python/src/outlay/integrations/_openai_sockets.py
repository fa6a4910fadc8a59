"""Which websockets does the openai package open, and how are they kept from spending unseen?

What a websocket carries is billed, cannot be metered, and does not pass `request`. Every resource
that opens one has a method `connect`. Invariant: each of these, in resources imported later too, is
refused where an unmetered request is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._patches import Patches, Place
from ._stainless import current_native


def places(patches: Patches) -> list[Place]:
    """What has to be wrapped now, and what wraps the rest when it is imported."""
    from openai._resource import AsyncAPIResource, SyncAPIResource

    connect = functools.partial(_connect, patches)
    bases = (SyncAPIResource, AsyncAPIResource)
    imported = [(resource, "connect", connect) for base in bases for resource in _connecting(base)]
    return imported + [
        (base, "__init_subclass__", functools.partial(_on_import, patches)) for base in bases
    ]


def _connecting(base: type) -> list[type]:
    found = [base] if "connect" in vars(base) else []
    below: type
    for below in base.__subclasses__():
        found += _connecting(below)
    return found


def _connect(patches: Patches, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if patches.on:
            current_native().unmetered(f"openai websocket {type(self).__name__}.connect")
        return original(self, *args, **kwargs)

    return connect


def _on_import(patches: Patches, _original: Any) -> Any:
    def __init_subclass__(cls: Any, /, **kwargs: Any) -> None:
        if patches.on and "connect" in vars(cls):
            patches.apply([(cls, "connect", functools.partial(_connect, patches))])

    return classmethod(__init_subclass__)
