"""How does the guard get into the packages that call models, whenever they are imported?

Invariant: once `instrument()` has returned, no client of these packages is without it, though none
of them is imported for it: what is not there yet is guarded at the end of its own import.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .. import _context
from .._options import read_shares
from . import _stainless, anthropic, google, openai

# The module that has all that is wrapped -> what wraps it, what undoes it.
_GUARDS: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
    "openai._base_client": (openai.instrument, openai.uninstrument),
    "anthropic._base_client": (anthropic.instrument, anthropic.uninstrument),
    "google.genai.client": (google.instrument, google.uninstrument),
    # Imported with the first use of an interaction or one of its like.
    "google.genai._gaos.basesdk": (google.instrument, google.uninstrument),
}


class _Arrivals(MetaPathFinder):
    """Lets the other finders find a guarded package, and guards it when it has been run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _GUARDS:
            return None
        for finder in sys.meta_path:
            find: Any = None if finder is self else getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find and find(name, path, target)
            if spec is not None and spec.loader is not None:
                _guard_after(name, spec.loader)
                return spec
        return None


def _guard_after(name: str, loader: Any) -> None:
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        run(module)
        if _arrivals in sys.meta_path:
            _GUARDS[name][0]()

    loader.exec_module = exec_module


_arrivals = _Arrivals()
_lock = threading.Lock()


def instrument(tell_budget: bool | Iterable[int] | None = None) -> None:
    """Guards the clients of openai, anthropic and google-genai, imported or not.

    Threads and executors carry the task.

    Raises:
        InvalidInput: no shares of a budget.
        Unsupported: an installed client is of a version that cannot be guarded; where it is not
            imported yet, its import raises this.
    """
    if tell_budget is not None:
        _stainless.tell_budget = read_shares(tell_budget)
    _context.carry()
    with _lock:
        if _arrivals not in sys.meta_path:
            sys.meta_path.insert(0, _arrivals)
    for name, (guard, _) in _GUARDS.items():
        if name in sys.modules:
            guard()


def uninstrument() -> None:
    """Takes the guard out again. Calls in flight are still settled."""
    _stainless.tell_budget = ()
    with _lock:
        if _arrivals in sys.meta_path:
            sys.meta_path.remove(_arrivals)
    for _, unguard in _GUARDS.values():
        unguard()
    _context.uncarry()
