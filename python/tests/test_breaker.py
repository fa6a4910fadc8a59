"""The breaker from Python: what it sees in a dict, its hooks, its state, and a thousand threads."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import outlay
import pytest
from outlay import _native

CALL = {"kind": "tool", "name": "bash", "args": {"command": "ls"}}
STEP = {**CALL, "result": "a.txt", "error": False}


def levels(breaker: outlay.Breaker, steps: list[dict[str, Any]]) -> list[str]:
    return [breaker.observe(step).level for step in steps]


def test_the_ladder_has_five_levels() -> None:
    breaker = outlay.Breaker()
    assert levels(breaker, [STEP] * 12) == [
        *["ok"] * 2,
        *["nudge"] * 2,
        *["refuse"] * 3,
        *["pause"] * 4,
        "stop",
    ]
    verdict = breaker.observe(
        {"kind": "tool", "name": "bash", "args": {"command": "pwd"}, "result": "/"}
    )
    assert (verdict.level, verdict.detector, verdict.evidence, verdict.message) == (
        "ok",
        None,
        {},
        "",
    )


def test_a_verdict_says_why() -> None:
    breaker = outlay.Breaker()
    verdict = [breaker.observe(STEP) for _ in range(3)][-1]
    assert verdict.detector == "no_progress"
    assert verdict.evidence == {
        "message": verdict.message,
        "count": 3,
        "period": 1,
        "threshold": 3,
        "first_step": 1,
        "last_step": 3,
        "tool": "bash",
    }
    assert "`bash` gave the same result to the same arguments 3 times" in verdict.message
    assert repr(verdict) == "Verdict(level='nudge', detector='no_progress', count=3)"


def test_a_state_goes_on_in_another_process_and_keeps_its_configuration() -> None:
    breaker = outlay.Breaker({"no_progress": {"nudge": 4}})
    levels(breaker, [STEP] * 3)
    state = breaker.state()
    assert isinstance(state, bytes) and len(state) <= 8192
    assert outlay.Breaker(state=state).observe(STEP).level == "nudge"
    assert outlay.Breaker({"no_progress": {"nudge": 5}}, state=state).observe(STEP).level == "ok"


@pytest.mark.parametrize("state", [b"", b"OLB\x02", bytes(2000), outlay.Breaker().state()[:-1]])
def test_bytes_that_are_no_state_are_refused(state: bytes) -> None:
    with pytest.raises(outlay.InvalidInput, match="not the state of a breaker"):
        outlay.Breaker(state=state)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([], "`config` is not a dict"),
        ({"speed": 1}, "the breaker has no option `speed`"),
        ({"cycle": {"nudge": 2.5}}, "`nudge` is not a whole number"),
        ({"tools": {"t": {"loop_key": 3}}}, "`loop_key` is not a list of names"),
    ],
)
def test_a_configuration_without_meaning_is_refused(config: Any, said: str) -> None:
    with pytest.raises(outlay.InvalidInput, match=said):
        outlay.Breaker(config)


@pytest.mark.parametrize("step", [None, {}, {"kind": "dance"}, {"kind": "tool", "name": 3}, "tool"])
def test_a_step_that_is_none_is_refused(step: Any) -> None:
    with pytest.raises(outlay.InvalidInput):
        outlay.Breaker().observe(step)


def test_hooks_may_be_functions() -> None:
    def page(args: dict[str, Any]) -> object:
        return args["page"]

    def state(result: str) -> object:
        return json.loads(result)["state"]

    breaker = outlay.Breaker({"tools": {"job": {"loop_key": page, "progress": state}}})
    step = [
        {
            "kind": "tool",
            "name": "job",
            "args": {"page": 1, "salt": n},
            "result": json.dumps({"state": "x", "n": n}),
        }
        for n in range(3)
    ]
    assert levels(breaker, step) == ["ok", "ok", "nudge"]
    plain = outlay.Breaker()
    assert levels(plain, step) == ["ok"] * 3


def test_what_a_hook_raises_is_raised() -> None:
    breaker = outlay.Breaker({"tools": {"bash": {"loop_key": lambda args: args["nothing"]}}})
    with pytest.raises(KeyError):
        breaker.observe(STEP)


def test_any_value_is_an_argument() -> None:
    odd: list[object] = [float("nan"), 10**40, b"bytes", {1: (2, 3)}, Path("x"), "\udc80"]
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    endless: dict[str, object] = {}
    endless["itself"] = endless
    step = {
        **CALL,
        "args": {"odd": odd, "deep": deep, "endless": endless},
        "result": {"a": [1, None]},
    }
    assert levels(outlay.Breaker(), [step] * 3)[-1] == "nudge"


def test_a_stream_is_heard_however_it_is_cut() -> None:
    text = "Let me check that once more, to be sure. " * 40
    breaker = outlay.Breaker()
    said = [breaker.observe_stream(text[n : n + 9]).level for n in range(0, len(text), 9)]
    assert said[0] == "ok" and said[-1] == "stop" and "nudge" in said


def test_a_refused_call_is_refused_before_it_is_made() -> None:
    breaker = outlay.Breaker()
    levels(breaker, [STEP] * 4)
    refusal = breaker.check(CALL)
    assert (refusal.level, breaker.check({**CALL, "args": {"command": "pwd"}}).level) == (
        "refuse",
        "ok",
    )
    vetoed = {**CALL, "result": refusal.message, "refused": True, "error": True}
    assert breaker.observe(vetoed).evidence["count"] == 5
    breaker.excuse()
    assert breaker.observe(STEP).level == "ok"


def test_threads_may_share_one() -> None:
    breaker = outlay.Breaker(
        {"hard_cap": 1000, "no_progress": dict.fromkeys(["nudge", "refuse", "pause"])}
    )
    threads = [threading.Thread(target=levels, args=(breaker, [STEP] * 50)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.observe(STEP).evidence["count"] == 801


def test_no_real_run_that_succeeded_is_stopped() -> None:
    folder = Path(os.environ.get("OUTLAY_TEST_DATA", "")) / "trajectories"
    if "OUTLAY_TEST_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("no trajectories; say where by OUTLAY_TEST_DATA")
    runs, nudged = 0, 0
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for run in map(json.loads, lines):
                if run["success"]:
                    seen = set(levels(outlay.Breaker(), run["steps"]))
                    assert seen <= {"ok", "nudge"}, run["run_id"]
                    runs, nudged = runs + 1, nudged + (len(seen) > 1)
    assert runs > 300 and nudged <= runs // 100


def test_what_it_says_of_a_task_is_in_the_ledger(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = f"sqlite:{tmp_path / 'ledger.db'}"
    with outlay.task("refund", store=store, breaker=True) as task:
        assert task.breaker is not None
        with outlay.task("inside", usd=1):
            assert levels(task.breaker, [STEP] * 3) == ["ok", "ok", "nudge"]
        for _ in range(50):
            task.breaker.observe_stream("Let me check that again, to be sure. ")
    assert _native.run_command(["--store", store, "breaker", "replay", "refund"]) == 0
    said = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    found = [(one["level"], one["detector"]) for one in said]
    assert found == [("nudge", "no_progress"), ("nudge", "chant"), ("stop", "chant")]
