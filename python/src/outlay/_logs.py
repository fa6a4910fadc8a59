"""What did logs of other tools record?"""

from __future__ import annotations

import os
from typing import Literal

from . import _native


def import_logs(
    source: Literal["claude-code", "codex", "litellm", "csv"],
    path: str | os.PathLike[str],
    *,
    store: str | None = None,
) -> _native.Imported:
    """Brings in the logs of another tool as settled calls, each charged its price at its date.

    A call is known by its id, so importing again adds what is new. Lines that cannot be read are
    counted, never fatal.

    Args:
        source: whose logs they are.
        path: a file, or a folder with all below it.
        store: the ledger, a file; it is made if there is none.

    Raises:
        InvalidInput: a source that is not known, or a table without the columns it needs.
        NotFound: there is no such file, or no log in the folder.
        Conflict: the ledger has shared budgets, which the calls would count against.
        Unsupported: a ledger in memory.

    Example:
        >>> import pathlib, tempfile, outlay
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> rows = "id,time,model,input_tokens,output_tokens\\n1,2026-06-01,gpt-4o,1000,500\\n"
        >>> _ = (folder / "calls.csv").write_text(rows)
        >>> print(outlay.import_logs("csv", folder, store=f"sqlite:{folder / 'past.db'}"))
        1 calls of 0.0075 USD imported from 1 lines of 1 files
    """
    return _native.import_logs(source, os.fspath(path), store)
