"""The explicit form: tasks, reservations, budgets, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import math
import os
import pickle
import signal
import threading
from decimal import Decimal
from pathlib import Path

import outlay
import pytest
from outlay import BudgetExceeded, Conflict, InvalidInput, Limit, Money, Unpriced, Usage
from outlay.task import current_or_default

CALL = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}


@pytest.mark.parametrize("round", [1, 2])
def test_the_documented_form_runs_twice_on_the_same_store(round: int, tmp_path: Path) -> None:
    for store in ["memory:", f"sqlite:{tmp_path / 'ledger.db'}"]:
        for _ in range(2):
            with outlay.task("t", usd=1.00, store=store) as t:
                call = t.reserve(**CALL)
                assert (call.model, call.max_output_tokens, call.created) == ("gpt-4o", 4000, True)
                assert str(t.pending) == "0.0425 USD"
                call.settle(Usage(input_tokens=1000, output_tokens=500))
                t.tool_call("search")
            assert (str(t.spent), str(t.pending), str(t.in_doubt)) == (
                "0.0075 USD",
                "0.00 USD",
                "0.00 USD",
            )
            assert t.available == Money("0.9925")


def test_a_denial_says_what_would_fit(any_store: str) -> None:
    with outlay.task("t", usd=0.01, store=any_store) as t:
        with pytest.raises(BudgetExceeded) as caught:
            t.reserve(**CALL)
        error = caught.value
        assert error.code == "budget_exceeded"
        assert (error.limit, error.spent, error.requested) == (
            Money("0.01"),
            Money(0),
            Money("0.0425"),
        )
        assert (error.affordable_output_tokens, error.contended) == (750, False)
        assert str(error) == (
            "task `t` allows 0.01 USD: 0.00 spent, 0.00 pending, 0.0425 requested"
        )
        assert t.pending == Money(0)
        # Not latched: what fits, fits.
        t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=750).void()


def test_errors_keep_their_fields_through_pickle() -> None:
    with outlay.task("t", usd=0.01, store="memory:") as t, pytest.raises(BudgetExceeded) as caught:
        t.reserve(**CALL)
    again = pickle.loads(pickle.dumps(BudgetExceeded("x", {"affordable_output_tokens": 3})))
    assert again.affordable_output_tokens == 3
    with pytest.raises(AttributeError):
        _ = caught.value.no_such_field


def test_every_kind_of_error_has_its_class() -> None:
    known = json.loads((Path(__file__).parents[2] / "tests" / "errors.json").read_text())
    assert dict(outlay._native.error_codes()) == {row["code"]: row["family"] for row in known}
    for row in known:
        kind = getattr(outlay, row["name"])
        assert kind.code == row["code"]
        assert issubclass(kind, getattr(outlay, row["family"].capitalize()))
        assert issubclass(kind, outlay.OutlayError)
        assert kind.__doc__


def test_the_choice_of_output_is_told(any_store: str) -> None:
    with outlay.task("t", usd=0.02, store=any_store) as t:
        call = t.reserve(model="gpt-4o", input_tokens=1000)
        assert call.max_output_tokens == 1750  # (0.02 - 0.0025) / 10 USD per million
        call.void()
    with outlay.task("t", store=any_store) as t:
        assert t.reserve(model="gpt-4o", input_tokens=1000).max_output_tokens == 4096
        assert t.available is None
    with outlay.task("t", usd=0.005, store=any_store) as t, pytest.raises(BudgetExceeded):
        t.reserve(model="gpt-4o", input_tokens=1000)  # 250 tokens would fit: not worth a call
    with outlay.task("t", usd=0.02, clamp=True, store=any_store) as t:
        assert t.reserve(**CALL).max_output_tokens == 1750


def test_an_unknown_model_is_never_free(any_store: str) -> None:
    with outlay.task("t", usd=1, store=any_store) as t:
        with pytest.raises(Unpriced, match="no-such-model"):
            t.reserve(model="no-such-model", input_tokens=1, max_output_tokens=1)
        call = t.reserve(model="no-such-model", max_usd="0.25", max_output_tokens=9)
        assert call.reserved == Money("0.25")
        assert call.settle(Usage(5, 5)).charge == Money("0.25")
    with outlay.task("t", usd=1, enforce=False, store=any_store) as t:
        t.reserve(model="no-such-model", input_tokens=1, max_output_tokens=1).settle(Usage(1, 1))
        assert t.summary().unpriced_calls == 1


def test_observing_denies_nothing_and_notes_what_it_would_have(any_store: str) -> None:
    with outlay.task("t", usd=0.01, enforce=False, store=any_store) as t:
        call = t.reserve(**CALL)
        assert call.would_deny is not None
        assert "0.01 USD" in call.would_deny
        call.settle(Usage(1000, 4000))
    assert t.spent == Money("0.0425")


def test_a_task_goes_on_under_its_id(any_store: str) -> None:
    for attempt in (1, 2):
        with outlay.task("refund", id="refund-4711", usd=0.10, store=any_store) as t:
            assert t.attempt == attempt
            t.reserve(**CALL).settle(Usage(1000, 4000))
    assert t.spent == Money("0.085")
    with outlay.task("refund", id="refund-4711", usd=0.10, store=any_store) as t:
        with pytest.raises(BudgetExceeded):
            t.reserve(**CALL)
        with (
            pytest.raises(Conflict),
            outlay.task("refund", id="refund-4711", usd=0.10, store=any_store),
        ):
            pass
    with (
        pytest.raises(Conflict),
        outlay.task("refund", id="refund-4711", usd=0.05, store=any_store),
    ):
        pass
    with outlay.task("refund", id="refund-4711", usd=0.20, store=any_store, by="ada") as t:
        t.reserve(**CALL).settle(Usage(1000, 4000))
    assert t.spent == Money("0.1275")


def test_a_task_inside_another_spends_from_both(any_store: str) -> None:
    with outlay.task("outer", usd=0.10, tags={"tenant": "acme"}, store=any_store) as outer:
        with outlay.task("inner", usd=0.05) as inner:
            assert inner.tags == {"tenant": "acme"}
            assert outlay.current() is inner
            inner.reserve(**CALL).settle(Usage(1000, 4000))
            with pytest.raises(BudgetExceeded, match="task `inner`"):
                inner.reserve(**CALL)
        assert outlay.current() is outer
        assert outer.spent == Money("0.0425")
        with outlay.task("second", usd=1.00) as second:
            second.reserve(**CALL).settle(Usage(1000, 4000))
            with pytest.raises(BudgetExceeded, match="task `outer`"):
                second.reserve(**CALL)


def test_a_shared_budget_binds_every_task_with_its_tags(any_store: str) -> None:
    for _ in range(2):  # declaring it again changes nothing
        outlay.budget(
            tags={"tenant": "acme"}, usd=0.05, window="month", tz="Europe/Berlin", store=any_store
        )
    outlay.budget(per="user", llm_calls=1, store=any_store)
    tags = {"tenant": "acme", "user": "ada"}
    with outlay.task("a", tags=tags, store=any_store) as a:
        a.reserve(**CALL).settle(Usage(1000, 4000))
        with pytest.raises(BudgetExceeded, match="tenant=acme") as caught:
            a.reserve(**CALL)
        assert caught.value.window == "month"
        assert caught.value.resets_at.endswith("Z")
        with pytest.raises(BudgetExceeded, match="user=ada"):
            a.reserve(model="gpt-4o", input_tokens=0, max_output_tokens=0)
    with outlay.task("b", tags={"user": "bob"}, store=any_store) as b:
        b.reserve(**CALL).void()
    with pytest.raises(Conflict):
        outlay.budget(
            tags={"tenant": "acme"}, usd=0.04, window="month", tz="Europe/Berlin", store=any_store
        )
    outlay.budget(
        tags={"tenant": "acme"}, usd=1, window="month", tz="Europe/Berlin", store=any_store
    )
    with outlay.task("c", tags={"tenant": "acme"}, store=any_store) as c:
        c.reserve(**CALL).void()
        with (
            pytest.raises(Conflict, match="tenant"),
            outlay.task("d", tags={"tenant": "other"}),
        ):
            pass


def test_soft_limits_are_told_not_enforced(any_store: str) -> None:
    with outlay.task("t", usd=[Limit(0.01, soft=True), Limit(1.00)], store=any_store) as t:
        call = t.reserve(**CALL)
        assert call.over_soft
        call.void()


def test_tokens_calls_and_tools_are_limited(any_store: str) -> None:
    with outlay.task("t", tokens=6000, llm_calls=2, tool_calls=1, store=any_store) as t:
        t.reserve(**CALL).settle(Usage(1000, 500))
        t.reserve(model="gpt-4o", input_tokens=1000, max_output_tokens=3500).settle(Usage(10, 10))
        with pytest.raises(BudgetExceeded, match="llm calls"):
            t.reserve(model="gpt-4o", input_tokens=1, max_output_tokens=1)
        t.tool_call("search")
        with pytest.raises(BudgetExceeded, match="tool calls"):
            t.tool_call("search")


def test_a_named_call_is_made_once(any_store: str) -> None:
    with outlay.task("t", usd=1, store=any_store) as t:
        first = t.reserve(id="c1", **CALL)
        second = t.reserve(id="c1", **CALL)
        assert (first.created, second.created, first.id) == (True, False, second.id)
        assert t.pending == Money("0.0425")
        with pytest.raises(Conflict):
            t.reserve(id="c1", model="gpt-4o", input_tokens=9, max_output_tokens=9)
        first.settle(Usage(1000, 500))
        first.settle(Usage(1000, 500))
        with pytest.raises(Conflict):
            first.settle(Usage(1000, 501))
        with pytest.raises(Conflict):
            first.void()


def test_a_call_left_open_is_in_doubt_until_resolved(any_store: str) -> None:
    with outlay.task("t", usd=1, store=any_store) as t:
        call = t.reserve(**CALL)
        call_id = call.id
    assert (str(t.in_doubt), str(t.spent), str(t.pending)) == (
        "0.0425 USD",
        "0.0425 USD",
        "0.00 USD",
    )
    assert outlay.ledger(any_store).in_doubt() == [(call_id, Money("0.0425"))]
    paid = outlay.resolve(call_id, Usage(1000, 100), by="ada", store=any_store)
    assert (paid, t.spent, t.in_doubt) == (Money("0.0035"), Money("0.0035"), Money(0))
    with pytest.raises(outlay.NotFound):
        outlay.resolve("01a200c2-e2f2-7000-9145-65d980000000", by="ada", store=any_store)


def test_what_overruns_is_accepted_and_told(any_store: str) -> None:
    with outlay.task("t", usd=0.05, store=any_store) as t:
        settled = t.reserve(**CALL).settle(Usage(1000, 8000))
        assert (settled.charge, settled.overrun) == (Money("0.0825"), Money("0.04"))
        with pytest.raises(BudgetExceeded):
            t.reserve(model="gpt-4o", input_tokens=1, max_output_tokens=1)


def test_the_outcome_of_an_attempt_is_recorded(any_store: str) -> None:
    outcomes = []

    def attempt(act: str) -> None:
        with outlay.task("t", id="x", usd=0.05, store=any_store) as t:
            if act == "fail":
                t.fail("not good enough")
            elif act == "raise":
                raise KeyError("secret words of a prompt")
            elif act == "stop":
                t.reserve(model="gpt-4o", input_tokens=10**6, max_output_tokens=1)
            elif act == "succeed":
                t.succeed()
                raise RuntimeError("after all was done")

    for act in ("none", "fail", "raise", "stop", "succeed"):
        try:
            attempt(act)
        except (KeyError, RuntimeError, BudgetExceeded) as error:
            outcomes.append(type(error).__name__)
    assert outcomes == ["KeyError", "BudgetExceeded", "RuntimeError"]
    with outlay.task("t", id="x", usd=0.05, store=any_store) as t:
        attempts = t.summary().attempts
    assert [(a.outcome, a.reason) for a in attempts[:5]] == [
        ("succeeded", None),
        ("failed", "not good enough"),
        ("failed", "KeyError"),
        ("stopped", "budget_exceeded"),
        ("succeeded", None),
    ]


def test_our_verdict_comes_out_of_somebody_elses_wrapping(any_store: str) -> None:
    class Theirs(Exception):
        pass

    with (
        pytest.raises(BudgetExceeded) as caught,
        outlay.task("t", usd=0.01, store=any_store) as t,
    ):
        try:
            t.reserve(**CALL)
        except BudgetExceeded as error:
            raise Theirs("agent failed") from error
    assert isinstance(caught.value.__cause__, Theirs)

    with outlay.task("t", usd=0.01, store=any_store) as t:
        try:
            t.reserve(**CALL)
        except BudgetExceeded:
            pass  # swallowed
        assert isinstance(t.stopped, BudgetExceeded)
        with pytest.raises(BudgetExceeded):
            t.raise_if_stopped()

    # An error that has nothing to do with ours stays what it is.
    with pytest.raises(Theirs), outlay.task("t", usd=0.01, store=any_store) as t:
        try:
            t.reserve(**CALL)
        except BudgetExceeded:
            pass
        raise Theirs("something else")


def test_a_decorated_function_is_a_task_each_time(any_store: str) -> None:
    @outlay.task("deco", usd=0.05, store=any_store)
    def plain(x: int) -> int:
        task = outlay.current()
        assert task is not None
        task.reserve(**CALL).settle(Usage(1000, 4000))
        return x + (plain(x - 1) if x > 1 else 0)

    @outlay.task("deco", usd=0.05, store=any_store)
    async def later() -> str:
        await asyncio.sleep(0)
        task = outlay.current()
        assert task is not None
        return task.name

    with pytest.raises(BudgetExceeded):
        plain(2)  # the inner task lies in the outer one
    assert plain(1) == 1
    assert asyncio.run(later()) == "deco"
    with pytest.raises(InvalidInput):

        @outlay.task("deco")
        def generator() -> object:
            yield 1


def test_async_tasks_do_not_mix(any_store: str) -> None:
    async def one(name: str) -> Money:
        async with outlay.task(name, usd=1, store=any_store) as t:
            for _ in range(5):
                await asyncio.sleep(0)
                assert outlay.current() is t
                t.reserve(**CALL).settle(Usage(1000, 400))
            return t.spent

    async def every() -> list[Money]:
        return await asyncio.gather(*(one(f"t{n}") for n in range(10)))

    assert asyncio.run(every()) == [Money("0.0325")] * 10


def test_waiting_gets_what_others_give_back(any_store: str) -> None:
    import threading
    import time

    with outlay.task("t", usd=0.05, store=any_store) as t:
        first = t.reserve(**CALL)
        with pytest.raises(BudgetExceeded) as caught:
            t.reserve(**CALL)
        assert caught.value.contended
        threading.Timer(0.1, first.void).start()
        start = time.monotonic()
        t.reserve(wait_ms=10_000, **CALL).void()
        assert time.monotonic() - start >= 0.05
        blocker = t.reserve(**CALL)
        with pytest.raises(BudgetExceeded):
            t.reserve(wait_ms=50, **CALL)
        blocker.void()


def test_forgetting_erases_a_value_and_keeps_the_sums(any_store: str) -> None:
    with outlay.task("t", tags={"user": "ada@example.org"}, store=any_store) as t:
        t.reserve(**CALL).settle(Usage(1000, 500))
    outlay.forget("user", "ada@example.org", store=any_store)
    rows = outlay.report("tag:user", store=any_store).rows
    assert [(row.key, row.spent) for row in rows] == [("erased", Money("0.0075"))]
    with pytest.raises(outlay.NotFound):
        outlay.forget("user", "ada@example.org", store=any_store)
    if any_store.startswith("sqlite:"):
        for file in Path(any_store[7:]).parent.glob("ledger.db"):
            outlay._native.close_all()
            assert b"ada@example" not in file.read_bytes()


def test_no_prompt_or_reason_of_an_exception_reaches_the_file(store: str) -> None:
    with (
        pytest.raises(ValueError, match="BANANA"),
        outlay.task("t", usd=1, store=store) as t,
    ):
        t.reserve(**CALL)
        raise ValueError("BANANA")
    outlay._native.close_all()
    for file in Path(store[7:]).parent.rglob("*"):
        if file.is_file():
            assert b"BANANA" not in file.read_bytes()
            assert file.stat().st_mode & 0o077 == 0


def test_money_is_exact() -> None:
    assert Money(0.1) + Money("0.2") == Money(Decimal("0.3"))
    assert (str(Money(1)), str(Money("0.045")), str(Money(0.0075))) == (
        "1.00 USD",
        "0.045 USD",
        "0.0075 USD",
    )
    assert (Money("0.0075").usd, Money("0.0075").nanos) == (Decimal("0.0075"), 7_500_000)
    assert Money(1) - Money(2) < Money(0) < Money(3)
    assert len({Money(1), Money("1.00")}) == 1
    with pytest.raises(InvalidInput):
        Money(math.nan)
    with pytest.raises(InvalidInput):
        Money("9000000000") + Money("9000000000")


def test_calls_under_no_task_are_told_once_or_refused() -> None:
    with pytest.warns(RuntimeWarning, match="under no task"):
        default = current_or_default()
    assert default.name == "default"
    current_or_default()  # said once
    outlay.configure(unbound="refuse")
    with pytest.raises(outlay.Unsupported, match="no task"):
        current_or_default()


@pytest.mark.parametrize("store", ["memory:", "sqlite"])
def test_ctrl_c_ends_the_wait_for_money(store: str, tmp_path: Path) -> None:
    where = store if store == "memory:" else f"sqlite:{tmp_path / 'ledger.db'}"
    # A shell that starts this in the background has told it to ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with outlay.task("t", usd="0.05", store=where) as t:
        held = t.reserve(model="gpt-4o", input_tokens=0, max_output_tokens=4_000)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            t.reserve(model="gpt-4o", input_tokens=0, max_output_tokens=4_000, wait_ms=600_000)
        held.void()
        assert t.reserve(model="gpt-4o", input_tokens=0, max_output_tokens=4_000).created
