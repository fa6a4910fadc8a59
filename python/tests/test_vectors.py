"""The cases of `tests/vectors`, which Rust and TypeScript read too: same values, same verdicts."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import outlay
import pytest
from outlay import Limit, Money, OutlayError, Usage

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"


def cases(name: str) -> list[Any]:
    found: list[Any] = json.loads((VECTORS / f"{name}.json").read_text())
    assert found
    return found


def refused(case: Any, act: Any) -> bool:
    """Did it fail as the case says? False if it is to succeed."""
    if "error" not in case:
        return False
    with pytest.raises(OutlayError) as caught:
        act()
    error = caught.value
    assert error.code == case["error"]
    assert str(error) == case.get("message", str(error))
    for name, wanted in case.get("fields", {}).items():
        value = getattr(error, name)
        assert (f"{value.usd}" if isinstance(value, Money) else value) == wanted, name
    return True


def decimal(money: Money | None) -> str | None:
    return None if money is None else str(money).removesuffix(" USD")


@pytest.mark.parametrize("case", cases("money"), ids=lambda case: case["text"])
def test_money(case: Any) -> None:
    if not refused(case, lambda: Money(case["text"])):
        money = Money(case["text"])
        assert (money.nanos, decimal(money)) == (int(case["nanos"]), case["usd"])


@pytest.mark.parametrize("case", cases("usage"), ids=lambda case: case["provider"])
def test_usage(case: Any) -> None:
    def read() -> Usage:
        return outlay.extract_usage(case["body"], provider=case["provider"], api=case["api"])

    if not refused(case, read):
        used = read()
        assert used == Usage(**case["usage"], cost=case.get("cost"))
        assert (used.model, used.service_tier) == (case.get("model"), case.get("service_tier"))
        assert used.unknown_fields == case.get("unknown_fields", [])


@pytest.mark.parametrize("case", cases("price"), ids=lambda case: case["model"])
def test_price(case: Any) -> None:
    at = datetime.datetime.fromtimestamp(case["at_ms"] / 1000, datetime.timezone.utc)
    tier = case.get("service_tier")

    def ask() -> outlay.Charge:
        return outlay.price(case["model"], Usage(**case["usage"]), at=at, service_tier=tier)

    if not refused(case, ask):
        charge = ask()
        parts = (charge.total.nanos, charge.input.nanos, charge.output.nanos)
        assert parts == tuple(int(case[f"{name}nanos"]) for name in ("", "input_", "output_"))


@pytest.mark.parametrize("case", cases("count"), ids=lambda case: case["model"])
def test_count(case: Any) -> None:
    what = {name: case[name] for name in ("text", "messages") if name in case}
    if not refused(case, lambda: outlay.count(case["model"], **what)):
        counted = outlay.count(case["model"], **what)
        assert counted.tokens == case["tokens"]
        assert (counted.bound, counted.method) == (case["bound"], case["method"])


@pytest.mark.parametrize("case", cases("decisions"), ids=lambda case: case["name"])
def test_decisions(case: Any) -> None:
    limits: Any = {
        unit: [Limit(**each) for each in each_limit] for unit, each_limit in case["limits"].items()
    }
    how = {"clamp": case.get("clamp", False), "enforce": not case.get("observe", False)}
    store = "memory:" + re.sub(r"\W", "-", case["name"])
    with outlay.task("t", store=store, **limits, **how) as task:
        calls: list[outlay.Call] = []
        for step in case["steps"]:
            follow(task, calls, step)
        assert decimal(task.spent) == case["spent"]
        assert decimal(task.pending) == case["pending"]
        assert decimal(task.available) == case["available"]


def follow(task: outlay.Task, calls: list[outlay.Call], step: Any) -> None:
    if "reserve" in step:
        if refused(step, lambda: task.reserve(**step["reserve"])):
            return
        call = task.reserve(**step["reserve"])
        calls.append(call)
        assert decimal(call.reserved) == step.get("reserved", decimal(call.reserved))
        assert call.max_output_tokens == step.get("max_output_tokens", call.max_output_tokens)
        assert call.over_soft == step.get("over_soft", call.over_soft)
        assert (call.would_deny is not None) == step.get("would_deny", False)
    elif "settle" in step:
        call, usage = calls[step["settle"]], Usage(**step["usage"])
        if not refused(step, lambda: call.settle(usage)):
            settled = call.settle(usage)
            assert decimal(settled.charge) == step.get("charge", decimal(settled.charge))
            assert decimal(settled.overrun) == step.get("overrun", decimal(settled.overrun))
    elif "tool_call" in step:
        if not refused(step, lambda: task.tool_call(step["tool_call"])):
            task.tool_call(step["tool_call"])
    else:
        [(end, index)] = ((name, step[name]) for name in ("void", "doubt") if name in step)
        if not refused(step, lambda: getattr(calls[index], end)()):
            getattr(calls[index], end)()
