"""Until when? Calls of a task after its deadline are refused, and those that wait end at it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import outlay
import pytest

CALL = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}


@pytest.fixture
def store(tmp_path: object) -> str:
    return f"sqlite:{tmp_path}/ledger.db"


def test_a_call_after_the_deadline_names_it(store: str) -> None:
    with outlay.task("t", usd=1, deadline=0.05, id="t-1", store=store) as task:
        task.reserve(**CALL).void()
        assert "calls until " in task.status_text()
        time.sleep(0.06)
        with pytest.raises(outlay.BudgetExceeded, match="task `t` had a deadline at ") as late:
            task.reserve(**CALL)
        assert (late.value.unit, late.value.contended) == ("deadline", False)
        with outlay.task("inside"), pytest.raises(outlay.BudgetExceeded):
            outlay.current().tool_call("search")  # type: ignore[union-attr]
    # The same task again is as late; later than declared is a grant.
    with (
        outlay.task("t", usd=1, deadline=0.05, id="t-1", store=store) as again,
        pytest.raises(outlay.BudgetExceeded),
    ):
        again.reserve(**CALL)
    with outlay.task("t", usd=1, deadline=3600, id="t-1", store=store) as later:
        later.reserve(**CALL).void()
    with pytest.raises(outlay.Conflict), outlay.task("t", deadline=60, id="t-1", store=store):
        pass


def test_a_call_that_waits_for_money_ends_at_the_deadline() -> None:
    with outlay.task("t", usd=0.05, wait_ms=600_000, deadline=2, store="memory:") as task:
        held = task.reserve(**CALL)
        began = time.monotonic()
        with pytest.raises(outlay.BudgetExceeded, match="deadline"):
            task.reserve(**CALL)
        assert time.monotonic() - began < 60
        held.void()


def test_a_deadline_is_a_time_too() -> None:
    soon = datetime.now(timezone(timedelta(hours=9))) + timedelta(hours=1)
    with outlay.task("t", deadline=soon, store="memory:") as task:
        task.tool_call("search")
        shown = task.status_text().removeprefix("calls until ")
        told = datetime.fromisoformat(shown.replace("Z", "+00:00"))
        assert abs(told - soon) <= timedelta(seconds=1)
    with (
        outlay.task("t", deadline=soon - timedelta(days=1), store="memory:") as late,
        pytest.raises(outlay.BudgetExceeded),
    ):
        late.tool_call("search")


def test_a_soft_one_is_told_and_refuses_nothing(any_store: str) -> None:
    soft = outlay.Limit(0, soft=True)
    with outlay.task("t", deadline=soft, store=any_store) as task:
        assert task.status_text().startswith("to be done by ")
        call = task.reserve(model="gpt-4o", input_tokens=9, max_output_tokens=9)
        assert call.over_soft
        call.void()
        task.tool_call("web")
    later = outlay.Limit("0.5e4", soft=True)
    with outlay.task("t", deadline=[later, 3600], store=any_store) as task:
        assert "; calls until " in task.status_text()
        call = task.reserve(model="gpt-4o", input_tokens=9, max_output_tokens=9)
        assert not call.over_soft
        call.void()
    outlay.configure(kinds={"t": {"deadline": [3600, soft]}})
    with outlay.task("t", kind="t", store=any_store) as task:
        assert "to be done by" in task.status_text()
        assert "calls until" in task.status_text()


@pytest.mark.parametrize(
    "wrong",
    [
        *[-1, float("nan"), float("inf"), "60", True, datetime(2026, 11, 22), 10**400],
        *[outlay.Limit("soon"), outlay.Limit(5, window="day"), outlay.Limit(-5, soft=True)],
        *[[5, 6], [5, datetime(2026, 11, 22, tzinfo=timezone.utc)], [[5]], outlay.Limit("nan")],
    ],
)
def test_what_is_no_deadline_is_refused(wrong: object) -> None:
    with pytest.raises(outlay.InvalidInput, match="deadline"):
        outlay.task("t", deadline=wrong, store="memory:")  # type: ignore[arg-type]
