"""Are limits suggested that runs would have kept within, and can they be pasted?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import outlay
import pytest

CALL: Any = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}


def runs(store: str) -> None:
    """Twenty runs of kind `refund`, of 1,000 to 2,900 output tokens; one of no kind."""
    for number in range(20):
        with outlay.task("run", kind="refund", store=store) as task:
            usage = outlay.Usage(1000, 1000 + 100 * number)
            task.reserve(**CALL).settle(usage)
    with outlay.task("run", store=store) as task:
        task.tool_call("web")


def test_what_most_runs_used_is_suggested(any_store: str) -> None:
    runs(any_store)
    suggested = outlay.suggest_limits(store=any_store)
    [refund] = suggested.kinds
    assert (refund.kind, refund.runs, refund.attempts, refund.succeeded) == ("refund", 20, 20, 20)
    assert (refund.usd, refund.tokens, refund.llm_calls) == (outlay.Money("0.0305"), 3800, 1)
    assert (refund.tool_calls, refund.refused, suggested.without_kind) == (None, 1, 1)
    assert refund.warning is not None
    assert suggested.is_cut is False
    most = outlay.suggest_limits(kind="refund", since="1h", share=100, store=any_store).kinds[0]
    assert (most.usd, most.refused) == (outlay.Money("0.0315"), 0)


@pytest.mark.parametrize(
    "wrong", [{"share": 0}, {"share": 101}, {"share": "95"}, {"since": "x"}, {"kind": "nobody"}]
)
def test_what_cannot_be_is_refused(wrong: Any, store: str) -> None:
    with pytest.raises(outlay.InvalidInput):
        outlay.suggest_limits(store=store, **wrong)


def test_what_is_printed_can_be_pasted(tmp_path: Path, store: str) -> None:
    runs(store)
    config = tmp_path / "outlay.toml"
    environment = os.environ | {"OUTLAY_CONFIG": str(config), "OUTLAY_STORE": store}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    config.write_text("")
    printed = run("-m", "outlay", "limits", "suggest")
    assert printed == str(outlay.suggest_limits(store=store))
    config.write_text(printed)
    script = "import outlay\nwith outlay.task('t', kind='refund') as t: print(t.status_text())"
    status = "0.00 of 0.0305 usd used, 0.0305 left; 0 of 3800 tokens used, 3800 left; "
    assert run("-c", script) == status + "0 of 1 llm calls used, 1 left\n"
    assert "refund   usd         0.0305" in run("-m", "outlay", "limits")
