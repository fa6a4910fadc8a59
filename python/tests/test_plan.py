"""Plans: what Python makes of the core's figures."""

from __future__ import annotations

import math
from pathlib import Path

import outlay
import pytest

STEP = {"name": "refund", "usd": 1, "success": 0.9}


def test_a_plan_is_the_same_from_a_file_and_from_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "flow.toml"
    file.write_text(
        "tasks = 10\nretries = 1\nstep = [{ name = 'refund', usd = 1, success = 0.9 }]",
        encoding="utf-8",
    )
    plan = outlay.plan({"tasks": 10, "retries": 1, "step": [STEP], "resume_cost": None})
    assert str(plan) == str(outlay.plan(file)) == str(outlay.plan(str(file)))
    restart = plan.rows[0]
    assert restart.policy == "restart" and restart.usd_interval is None
    assert math.isclose(restart.usd, 1.1) and math.isclose(restart.success, 0.99)
    assert math.isclose(restart.usd_per_success, 1.1 / 0.99)
    assert restart.usd_quantiles == (1.0, 2.0, 2.0)
    assert (plan.tasks, plan.ideal_usd, plan.run_success) == (10, 1.0, 0.9)


def test_what_has_no_formula_has_an_interval() -> None:
    step = {**STEP, "fan_out": 3, "need": 2}
    checkpoint = outlay.plan({"step": [step], "seed": 7}).rows[1]
    assert checkpoint.usd_interval is not None
    low, high = checkpoint.usd_interval
    assert low < checkpoint.usd < high


def test_break_even() -> None:
    flow = {"step": [STEP], "failed_run_cost": "full"}
    assert outlay.plan(flow).checkpoint_gain_usd is None
    plan = outlay.plan({**flow, "resume_cost": 0.3, "checkpoint_cost": 0.05})
    assert plan.checkpoint_gain_usd is not None
    assert math.isclose(plan.checkpoint_gain_usd, 1 / 0.9 - 1.05 - 0.3 / 9)
    assert plan.checkpoint_failure_rate is not None
    assert math.isclose(plan.checkpoint_failure_rate, 0.05 / 0.75)


def test_what_cannot_be_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(outlay.InvalidInput):
        outlay.plan({"step": [STEP], "speed": 3})
    with pytest.raises(outlay.Unpriced):
        outlay.plan({"step": [{"name": "s", "model": "nobody-knows-it", "input_tokens": 1}]})
    with pytest.raises(OSError):
        outlay.plan(tmp_path / "flow.toml")
