"""What every test starts from: its own ledger, no patched clients, no options left over."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Nothing a test does may touch the ledger or the options of the person who runs it.
os.environ["OUTLAY_STORE"] = "memory:tests"
os.environ["OUTLAY_CONFIG"] = os.devnull
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A ledger file nobody has used."""
    return f"sqlite:{tmp_path / 'ledger.db'}"


@pytest.fixture(params=["memory", "sqlite"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh ledger of each kind."""
    if request.param == "memory":
        name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
        return f"memory:{name}-{id(request)}"
    return f"sqlite:{tmp_path / 'ledger.db'}"


@pytest.fixture
def provider() -> Iterator[Any]:
    """A provider of this test's own, and guarded clients.

    For LangChain, which keeps its connections by the address they go to, longer than an event loop
    lasts. All others share the one of `endpoints.fresh_provider`.
    """
    import outlay
    from outlay.testing import Provider

    with Provider() as provider:
        outlay.instrument()
        yield provider
        outlay.uninstrument()


@pytest.fixture(autouse=True)
def _clean_process() -> Iterator[None]:
    yield
    import outlay

    outlay.uninstrument()
    outlay._native.reset_options()
