"""Logs of other tools: what Python makes of what the core reads."""

from __future__ import annotations

import json
from pathlib import Path

import outlay
import pytest


def line(message: str, output_tokens: int) -> str:
    return json.dumps(
        {
            "type": "assistant",
            "sessionId": "s1",
            "cwd": "/home/ann/shop",
            "timestamp": "2026-03-01T10:00:00.000Z",
            "message": {
                "id": message,
                "model": "claude-sonnet-4-5",
                "usage": {"input_tokens": 1000, "output_tokens": output_tokens},
            },
        }
    )


def test_logs_come_in_once_with_their_last_usage(tmp_path: Path) -> None:
    log = tmp_path / "s1.jsonl"
    log.write_text(
        "\n".join([line("m1", 1), line("m1", 100), line("m2", 7), "{"]), encoding="utf-8"
    )
    store = f"sqlite:{tmp_path / 'past.db'}"
    imported = outlay.import_logs("claude-code", tmp_path, store=store)
    assert (imported.calls, imported.lines, imported.files) == (2, 4, 1)
    assert (imported.repeated_lines, imported.malformed_lines) == (1, 1)
    assert imported.spent == outlay.Money("0.007605")
    assert imported.first_malformed[0].startswith(f"{log}:4: ")
    again = outlay.import_logs("claude-code", str(log), store=store)
    assert (again.calls, again.known_calls, again.spent) == (0, 2, outlay.Money(0))
    report = outlay.report("tag:project", store=store)
    assert [(row.key, row.calls) for row in report.rows] == [("shop", 2)]
    assert report.totals.spent == imported.spent


def test_what_cannot_be_imported_is_said(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'past.db'}"
    with pytest.raises(outlay.NotFound):
        outlay.import_logs("codex", tmp_path, store=store)
    (tmp_path / "a.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(outlay.Unsupported):
        outlay.import_logs("codex", tmp_path, store="memory:past")
    with pytest.raises(outlay.InvalidInput):
        outlay.import_logs("diary", tmp_path, store=store)  # type: ignore[arg-type]
    outlay.budget(per="user", usd=2, window="day", store=store)
    with pytest.raises(outlay.Conflict):
        outlay.import_logs("codex", tmp_path, store=store)
