"""How are other packages' functions replaced, so that it can be undone?

Invariant: a function is wrapped at most once, and after `restore()` ours does nothing, even where
somebody else has wrapped it in the meantime and ours must stay below theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from .errors import Unsupported

Place = tuple[Any, str, Callable[[Any], Any]]
_INHERITED = object()


class Patches:
    """The replacements one integration has made; each must step aside while `on` is False."""

    def __init__(self) -> None:
        self.on = False
        self._lock = threading.Lock()
        self._made: dict[tuple[Any, str], tuple[Any, Any]] = {}

    def apply(self, places: list[Place]) -> None:
        """Replaces each `owner.name` by `wrap(original)`, or turns on what was replaced before.

        Raises:
            Unsupported: an owner has no such function. Nothing is replaced.
        """
        for owner, name, _ in places:
            if not hasattr(owner, name):
                where = f"{owner.__module__}.{owner.__name__}"
                raise Unsupported(f"this version of `{where}` has no `{name}` to guard")
        with self._lock:
            for owner, name, wrap in places:
                if (owner, name) not in self._made:
                    original = _own(owner).get(name, _INHERITED)
                    replacement = wrap(original)
                    setattr(owner, name, replacement)
                    self._made[owner, name] = (original, replacement)
            self.on = True

    def restore(self) -> None:
        """Puts the originals back, except where another package's wrapper now holds ours."""
        with self._lock:
            self.on = False
            for (owner, name), (original, replacement) in list(self._made.items()):
                if _own(owner).get(name) is replacement:
                    if original is _INHERITED:
                        delattr(owner, name)
                    else:
                        setattr(owner, name, original)
                    del self._made[owner, name]


def _own(owner: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", vars(owner))
