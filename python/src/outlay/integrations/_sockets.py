"""How is a websocket kept from spending unseen?

What it carries is billed and cannot be metered, so opening one is refused where an unmetered
request is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .._patches import Patches
from ._stainless import current_native


def refused(patches: Patches, provider: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps what opens one."""

    @functools.wraps(original)
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if patches.on:
            current_native().unmetered(f"{provider} websocket {type(self).__name__}.connect")
        return original(self, *args, **kwargs)

    return connect
