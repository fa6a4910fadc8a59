"""How does another program get the ledger?"""

from __future__ import annotations

import os
from typing import Literal

from . import _native


def export(
    format: Literal["focus", "csv", "jsonl"],
    path: str | os.PathLike[str],
    *,
    since: str | None = None,
    until: str | None = None,
    account: str | None = None,
    store: str | None = None,
) -> _native.Exported:
    """Writes the ledger, or a period of it, to a file; `docs/exports.md` has the columns.

    A period that is over always gives the same rows, so whoever loads it may replace it. No
    prompt and no answer is in it.

    Args:
        format: "focus" is CSV in the columns of FOCUS 1.2, a row for each unit that was charged;
            "csv" and "jsonl" are the entries, one a line.
        path: the file, for its user alone; one that is there is replaced once all is written.
        since: only what was written from then on: "7d", "24h", a date or a time.
        until: only what was written before then.
        account: for "focus", who pays, as the provider calls the account; else the ledger.
        store: the ledger; else the one of the process.

    Raises:
        InvalidInput: a format or time that is not known, or the file cannot be written.
        StoreUnavailable: the ledger could not answer.

    Example:
        >>> import pathlib, tempfile, outlay
        >>> with outlay.task("refund", usd=0.50, store="memory:export") as task:
        ...     call = task.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=500)
        ...     _ = call.settle(outlay.Usage(input_tokens=1000, output_tokens=500))
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "november.csv"
        >>> print(outlay.export("focus", path, store="memory:export"))
        2 rows, 0.0075 USD settled
    """
    return _native.export(
        format, os.fspath(path), since=since, until=until, account=account, store=store
    )
