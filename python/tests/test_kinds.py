"""What does a task take from its kind, and what does its caller's own option take the place of?"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import outlay
import pytest
from outlay import Limit, Money

CALL: Any = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}  # 0.0425 USD
STEP: Any = {"kind": "tool", "name": "web", "args": {}, "result": "nothing"}


def test_a_task_takes_what_its_kind_has(any_store: str) -> None:
    refund: dict[str, Any] = {
        "usd": [Money("0.50"), Limit(0.30, soft=True), Limit(5, window="day", tz="Europe/Berlin")],
        "llm_calls": 2,
        "wrap_up_usd": Decimal("0.05"),
        "on_limit": "finish",
        "deadline": 600,
        "alerts": [0.5],
    }
    outlay.configure(kinds={"refund": refund})
    with outlay.task("refund", kind="refund", store=any_store) as task:
        assert str(task.available) == "0.45 USD"
        assert "of 2 llm calls" in task.status_text()
        assert "calls until" in task.status_text()
        task.reserve(**CALL).void()
        with outlay.task("step") as inside:
            assert str(inside.available) == "0.45 USD"
    with outlay.task("other", store=any_store) as task:
        assert task.available is None


def test_the_callers_own_option_wins(any_store: str) -> None:
    outlay.configure(kinds={"refund": {"usd": 0.50, "tool_calls": 1, "deadline": 600}})
    tags = {"kind": "refund"}
    with outlay.task("refund", usd=1, deadline=5, tags=tags, store=any_store) as task:
        assert str(task.available) == "1.00 USD"
        task.tool_call("web")
        with pytest.raises(outlay.BudgetExceeded, match="allows 1 tool calls"):
            task.tool_call("web")


def test_its_breaker_watches_unless_the_caller_says_otherwise(any_store: str) -> None:
    ladder = {"nudge": 2, "refuse": 9, "pause": 10, "stop": 11}
    outlay.configure(kinds={"refund": {"breaker": {"no_progress": ladder}}, "plain": {"usd": 1}})

    def levels(**options: Any) -> list[str] | None:
        with outlay.task("refund", store=any_store, **options) as task:
            breaker = task.breaker
            return breaker and [breaker.observe(STEP).level for _ in range(3)]

    assert levels(kind="refund") == ["ok", "nudge", "nudge"]
    assert levels(kind="refund", breaker=True) == ["ok", "ok", "nudge"]
    assert levels(kind="refund", breaker=False) is None
    assert levels(kind="plain") is None
    assert levels() is None


def test_agents_inside_do_as_the_kind_says(any_store: str) -> None:
    outlay.configure(kinds={"refund": {"usd": 0.01, "on_limit": "ask"}})
    with outlay.task("refund", kind="refund", store=any_store) as task:
        for each in (task, task._of_agent("writer")):
            with pytest.raises(outlay.ApprovalRequired):
                each.reserve(**CALL)


def test_a_changed_configuration_is_as_a_changed_declaration(any_store: str) -> None:
    def left(usd: float) -> str:
        outlay.configure(kinds={"refund": {"usd": usd}})
        with outlay.task("refund", kind="refund", id="refund-4711", store=any_store) as task:
            return str(task.available)

    assert [left(0.50), left(0.50), left(0.75)] == ["0.50 USD", "0.50 USD", "0.75 USD"]
    with pytest.raises(outlay.Conflict):
        left(0.60)


def _take_turns(store: str, results: Any) -> None:
    outlay.configure(kinds={"refund": {"usd": 0.425}})
    made = 0
    while True:
        try:
            with outlay.task("refund", kind="refund", id="refund-4711", store=store) as task:
                task.reserve(**CALL).settle(outlay.Usage(1000, 4000))
            made += 1
        except outlay.Conflict:
            time.sleep(0.001)  # The other process has it.
        except outlay.BudgetExceeded:
            break
    results.put(made)


def test_processes_that_take_turns_keep_it_together(store: str) -> None:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    workers = [context.Process(target=_take_turns, args=(store, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert sum(results.get(timeout=120) for _ in workers) == 10
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    outlay.ledger(store).check_balances()


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ({"refund": {"usdd": 1}}, "unknown field `usdd`"),
        ({"refund": {"usd": -1}}, "kinds.refund.usd: "),
        ({"refund": {"usd": True}}, "kinds.refund.usd: `true` is not a number"),
        ({"refund": {"deadline": "soon"}}, "kinds.refund.deadline: "),
        ({"refund": {"breaker": {"cycle": 4}}}, "kinds.refund.breaker: `cycle` is not an object"),
        ({"refund": 5}, "invalid type"),
        ({"refund": {"usd": object()}}, "an option cannot be read"),
    ],
)
def test_what_cannot_be_changes_nothing(kinds: Any, said: str) -> None:
    outlay.configure(kinds={"refund": {"usd": 0.25}})
    with pytest.raises(outlay.InvalidInput, match=said):
        outlay.configure(kinds=kinds)
    with outlay.task("refund", kind="refund", store="memory:") as task:
        assert str(task.available) == "0.25 USD"


def test_the_file_is_read_and_shown(tmp_path: Path, store: str) -> None:
    config = tmp_path / "outlay.toml"
    environment = os.environ | {"OUTLAY_CONFIG": str(config), "OUTLAY_STORE": store}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    config.write_text("[kinds.refund]\nusd = 0.50\ntool_calls = { amount = 8, window = 'turn' }\n")
    script = "import outlay\nwith outlay.task('t', kind='refund') as t: print(t.available)"
    assert run("-c", script).stdout == "0.50 USD\n"
    shown = run("-m", "outlay", "limits").stdout.splitlines()
    assert [line.split()[:3] for line in shown[-2:]] == [
        ["refund", "usd", "0.5"],
        ["refund", "tool_calls", '{"amount":8,"window":"turn"}'],
    ]
    config.write_text("[kinds.refund]\nusd = 0.50\nusdd = 1\n")
    wrong = run("-m", "outlay", "limits")
    assert wrong.returncode == 2
    assert f"configuration `{config}`: line 3: unknown field `usdd`" in wrong.stderr
    assert "(invalid_input)" in wrong.stderr
