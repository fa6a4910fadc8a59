"""What does a program see of a store that cannot be used? An error, and later its money again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import outlay
import pytest
from outlay import Money, _native


def spend(store: str) -> Money:
    """Settles 0.0075 USD under one task; what that task has spent by now."""
    with outlay.task("t", id="t-1", usd=1, store=store) as task:
        call = task.reserve(model="gpt-4o", input_tokens=1_000, max_output_tokens=500)
        call.settle(outlay.Usage(input_tokens=1_000, output_tokens=500))
        return task.spent


def sql(statement: str) -> Callable[[Path], object]:
    """Runs it in another process: two libraries of SQLite in one would drop each other's locks."""
    run = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2])"
    python = [sys.executable, "-c", run]
    return lambda file: subprocess.run([*python, str(file), statement], check=True)


@pytest.mark.parametrize(
    ("breaks", "kind"),
    [
        (lambda file: file.write_bytes(bytes(range(256)) * 100), outlay.Corrupt),
        (lambda file: file.write_bytes(file.read_bytes()[:300]), outlay.Corrupt),
        (lambda file: file.write_bytes(file.read_bytes()[:5_000]), outlay.Corrupt),
        (sql("DROP TABLE balances"), outlay.Corrupt),
        (sql("PRAGMA application_id = 7"), outlay.Corrupt),
        (sql("PRAGMA user_version = 4"), outlay.Unsupported),
    ],
)
def test_a_broken_file_is_an_error_and_whole_again_goes_on(
    breaks: Callable[[Path], object], kind: type[outlay.OutlayError], store: str
) -> None:
    file = Path(store.removeprefix("sqlite:"))
    assert spend(store) == Money("0.0075")
    _native.close_all()
    whole = file.read_bytes()
    breaks(file)
    with pytest.raises(kind) as caught:
        spend(store)
    assert caught.value.code == {outlay.Corrupt: "corrupt"}.get(kind, "unsupported")
    _native.close_all()
    file.write_bytes(whole)
    assert spend(store) == Money("0.015")


@pytest.mark.parametrize(
    ("store", "kind"),
    [
        ("postgresql://ann:hunter2@host/db", outlay.Unsupported),
        ("sqlite://ann:hunter2@host/db", outlay.InvalidInput),
        ("memory://ann:hunter2@host", outlay.InvalidInput),
        ("", outlay.Unsupported),
        ("sqlite:a\0b", outlay.InvalidInput),
        ("sqlite:../up.db", outlay.InvalidInput),
    ],
)
def test_a_store_that_cannot_be_is_refused_without_its_password(
    store: str, kind: type[outlay.OutlayError]
) -> None:
    with pytest.raises(kind) as caught:
        spend(store)
    assert "hunter2" not in str(caught.value)


def test_calls_let_through_without_the_ledger_are_counted(store: str) -> None:
    file = Path(store.removeprefix("sqlite:"))
    assert spend(store) == Money("0.0075")
    outlay.configure(on_unavailable="allow")
    with outlay.task("t", id="t-1", usd=1, store=store) as task:
        fault = "CREATE TRIGGER fault BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no'); END"
        sql(fault)(file)
        task.reserve(model="gpt-4o", input_tokens=1_000, max_output_tokens=500).void()
        sql("DROP TRIGGER fault")(file)
        summary = task.summary()
    assert (summary.unrecorded_calls, summary.spent) == (1, Money("0.0075"))
