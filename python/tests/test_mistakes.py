"""What a mistake in the explicit form gets: an error that names it, and nothing held."""

from __future__ import annotations

import math

import outlay
import pytest
from outlay import InvalidInput, Limit, Money, Usage

CALL = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}


@pytest.mark.parametrize(
    "options",
    [
        {"usd": -1},
        {"usd": math.nan},
        {"usd": math.inf},
        {"usd": "a lot"},
        {"usd": 1e30},
        {"usd": 1e-10},
        {"usd": True},
        {"usd": object()},
        {"usd": [Limit(1), Limit(2)]},
        {"llm_calls": 1.5},
        {"llm_calls": -1},
        {"tokens": 2**70},
        {"tags": {"Tenant": "acme"}},
        {"tags": {"tenant": ""}},
        {"tags": {"tenant": "x" * 300}},
        {"tags": {"tenant": 7}},
        {"tags": {f"k{n}": "v" for n in range(17)}},
        {"id": ""},
        {"id": "a\nb"},
        {"store": "sqlite:"},
        {"store": "sqlite:../up.db"},
        {"store": "sqlite:/tmp/../up.db"},
        {"store": "memory:/etc"},
        {"wait_ms": -1},
        {"wait_ms": 0.5},
    ],
)
def test_odd_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught, outlay.task("t", **{"store": "memory:", **options}):
        pass
    assert caught.value.code == "invalid_input"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens": -1},
        {"input_tokens": 1.0},
        {"input_tokens": "1"},
        {"input_tokens": True},
        {"input_tokens": 2**64},
        {"input_tokens": 10**13},
        {"max_output_tokens": 2**63},
        {"max_output_tokens": -5},
        {"choices": 0},
        {"choices": 10**6},
        {"model": ""},
        {"model": 5},
        {"model": None},
        {"max_usd": "x"},
        {"max_usd": -1},
        {"id": "\0"},
    ],
)
def test_odd_requests_are_refused_and_hold_nothing(change: dict[str, object]) -> None:
    with outlay.task("t", usd=1, store="memory:") as t:
        with pytest.raises(InvalidInput):
            t.reserve(**{**CALL, **change})
        assert t.pending == Money(0)


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": -1},
        {"output_tokens": 1.5},
        {"input_tokens": 1, "cache_read_input_tokens": 2},
        {"output_tokens": 1, "reasoning_output_tokens": 2},
        {"input_tokens": 10**13},
        {"input_tokens": "7"},
    ],
)
def test_odd_usage_is_refused(usage: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Usage(**usage)


@pytest.mark.parametrize("name", ["reserve", "spent", "tool_call", "succeed"])
def test_a_task_that_was_not_entered_says_so(name: str) -> None:
    with pytest.raises(AttributeError, match=f"no attribute `{name}` until it is entered: `with"):
        getattr(outlay.task("t", usd=1, store="memory:"), name)
    with pytest.raises(AttributeError, match=r"no attribute `budget`$"):
        _ = outlay.task("t", usd=1, store="memory:").budget  # type: ignore[attr-defined]


def test_unknown_stores_and_options_are_refused() -> None:
    with pytest.raises(outlay.Unsupported), outlay.task("t", store="mysql://x"):
        pass
    with pytest.raises(InvalidInput):
        outlay.configure(unbound="whatever")
    with pytest.raises(InvalidInput):
        outlay.configure(prices={"m": {"inputt": 1}})
    with pytest.raises(InvalidInput):
        outlay.configure(prices={"m": {"input": -1, "output": 1}})
    with pytest.raises(InvalidInput):
        outlay.configure(durability="sometimes")
