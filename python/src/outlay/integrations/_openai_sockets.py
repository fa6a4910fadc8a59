"""Which websockets does the openai package open, and how are they kept from spending unseen?

A websocket does not pass `request`. Every resource that opens one has a method `connect`.
Invariant: each of these, in resources imported later too, is refused where an unmetered request is.
"""

from __future__ import annotations

import functools
from typing import Any

from .._patches import Patches, Place
from ._sockets import refused


def places(patches: Patches) -> list[Place]:
    """What has to be wrapped now, and what wraps the rest when it is imported."""
    from openai._resource import AsyncAPIResource, SyncAPIResource

    connect = functools.partial(refused, patches, "openai")
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


def _on_import(patches: Patches, _original: Any) -> Any:
    def __init_subclass__(cls: Any, /, **kwargs: Any) -> None:
        if patches.on and "connect" in vars(cls):
            patches.apply([(cls, "connect", functools.partial(refused, patches, "openai"))])

    return classmethod(__init_subclass__)
