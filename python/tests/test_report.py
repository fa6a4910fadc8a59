"""Summaries, reports and the command: what Python makes of the core's figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import outlay
import pytest


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'ledger.db'}"


def spend(task: outlay.Task, output_tokens: int, model: str = "gpt-4o") -> None:
    call = task.reserve(model=model, input_tokens=1000, max_output_tokens=1000)
    call.settle(outlay.Usage(1000, output_tokens, cache_read_input_tokens=400))


def test_a_summary_tells_what_bought_nothing(store: str) -> None:
    with outlay.task("refund", usd=0.5, id="refund-4711", store=store) as task:
        spend(task, 500)
        task.fail("no JSON")
    with outlay.task("refund", usd=0.5, id="refund-4711", store=store) as task:
        spend(task, 100)
        task.tool_call("search")
        task.reserve(model="gpt-4o-mini", input_tokens=1000, max_output_tokens=1000).doubt()
        summary = task.summary()
    first, second = summary.attempts
    assert (first.number, first.outcome, first.reason) == (1, "failed", "no JSON")
    assert (second.outcome, second.calls, second.tool_calls) == ("running", 2, 1)
    assert first.spent + second.spent == summary.spent == summary.totals.spent
    assert summary.in_doubt == outlay.Money("0.00075")
    assert summary.available == outlay.Money("0.5") - summary.spent
    by_model = {row.key: row.calls for row in summary.by_model}
    assert by_model == {"gpt-4o": 2, "gpt-4o-mini": 1, None: 0}
    losses = {loss.what: (loss.spent, loss.calls) for loss in summary.bought_nothing}
    assert losses == {
        "failed attempts": (first.spent, 1),
        "calls in doubt": (outlay.Money("0.00075"), 1),
    }
    assert str(summary).startswith("task refund (refund-4711): running\n")


def test_a_page_has_the_rows_of_the_report(store: str) -> None:
    for tenant, output_tokens in (("acme", 500), ("<b>", 100)):
        with outlay.task("refund", tags={"tenant": tenant}, store=store) as task:
            spend(task, output_tokens)
    page = outlay.report_html("tag:tenant", since="1h", store=store)
    for row in outlay.report("tag:tenant", store=store).rows:
        name = str(row.key).replace("<", "&lt;").replace(">", "&gt;")
        assert f'<tr><th scope="row">{name}</th><td>1</td>' in page
        assert f"<td>{row.spent.usd}</td>" in page
    assert "<b>" not in page
    with pytest.raises(outlay.InvalidInput):
        outlay.report_html("colour", store=store)


def test_a_report_adds_up(store: str) -> None:
    for tenant, output_tokens in (("acme", 500), ("umbrella", 100), ("acme", 0)):
        with outlay.task("refund", tags={"tenant": tenant}, store=store) as task:
            spend(task, output_tokens)
    report = outlay.report("tag:tenant", store=store)
    assert [(row.key, row.calls) for row in report.rows] == [("acme", 2), ("umbrella", 1)]
    assert report.rows[0].spent + report.rows[1].spent == report.totals.spent
    assert (report.totals.input_tokens, report.totals.cache_read_tokens) == (3000, 1200)
    assert sum(row.share_per_mille for row in report.rows) == 1000
    assert str(report).splitlines()[-1].startswith("total ")
    assert outlay.report(since="1h", store=store).totals.calls == 3
    by_task = outlay.report("task", store=store).rows
    assert len({row.task_id for row in by_task}) == 3
    assert all(row.attempt is None for row in by_task)


def test_what_bought_nothing_what_failure_cost_and_what_was_worth_it(store: str) -> None:
    for reason in ("no JSON", None):
        with outlay.task("refund", id="refund-4711", store=store) as task:
            spend(task, 500)
            if reason:
                task.fail(reason)
            else:
                task.succeed(value=2)
    once = outlay.Money("0.007")  # 600 new and 400 cached tokens, 500 of output
    report = outlay.waste(store=store)
    assert (report.wasted, report.settled, report.dropped_entries) == (once, once + once, 0)
    (kind,) = report.kinds
    assert (kind.kind, kind.usd, kind.redone, kind.calls) == ("failed attempts", once, once, 1)
    (item,) = kind.items
    assert (item.task, item.attempt, item.usd, item.call_id) == ("refund-4711", 1, once, None)
    tax = outlay.tax(store=store)
    (row,) = tax.rows
    assert (row.task, row.first_runs, row.first_lost, row.runs) == ("refund", 1, 1, 2)
    assert (row.useful, row.lost, row.open) == (once, once, outlay.Money(0))
    assert (tax.totals.tax_per_mille, tax.totals.runs_per_success_per_mille) == (1000, 2000)
    value = outlay.value(store=store)
    assert [(row.by, row.key, row.value) for row in value.rows] == [
        ("kind", "refund", "2.00"),
        ("agent", None, "2.00"),
        ("model", "gpt-4o", "2.00"),
    ]
    first = value.runs[0]
    assert (first.by, first.attempt, first.per_usd) == ("run", 1, 0.0)
    assert value.totals.settled == once + once and value.totals.tokens == 3000
    assert "failed attempts" in str(report) and "refund" in str(tax) and "refund" in str(value)
    later = "2999-01-01"
    assert not outlay.waste(since=later, store=store).kinds
    assert not outlay.tax(since=later, store=store).rows
    assert not outlay.value(since=later, store=store).rows


def test_what_runs_of_a_kind_cost(store: str) -> None:
    for name, fails in (("refund", False), ("refund", True), ("payout", False)):
        with outlay.task(name, store=store) as task:
            spend(task, 500)
            if fails:
                task.fail()
    report = outlay.kinds(store=store)
    once = outlay.Money("0.007")  # 600 new and 400 cached tokens, 500 of output
    assert [(row.kind, row.model, row.runs, row.succeeded, row.lost) for row in report.rows] == [
        ("refund", None, 2, 1, 1),
        ("payout", None, 1, 1, 0),
    ]
    refund, payout = report.models
    assert (refund.model, refund.usd_per_success) == ("gpt-4o", once + once)
    assert refund.spent == once + once
    assert refund.p50 == refund.p95 == refund.p99 == refund.max == once
    assert (refund.success_per_mille, refund.mixed, refund.is_few) == (500, 0, True)
    assert payout.success_interval and payout.success_interval[0] < 0.3
    assert (report.totals.runs, report.dropped_entries) == (3, 0)
    assert "too few" in report.notes[0] and report.notes[0] in str(report)
    assert not outlay.kinds(since="2999-01-01", store=store).rows


def test_what_runs_may_cost_and_what_they_cost_beside_models(store: str) -> None:
    with outlay.task("refund", store=store) as task:
        spend(task, 500)
    assert outlay.slo(store=store).rows == []
    outlay.configure(
        slo={"refund": {"target": 0.005, "month": "0.01"}},
        compute_usd_per_hour=0,
        orchestration_usd_per_entry="0.000025",
    )
    target, month = outlay.slo(store=store).rows
    (row,) = outlay.kinds(store=store).rows
    with pytest.raises(outlay.InvalidInput, match=r"slo\.refund\.cap"):
        outlay.configure(slo={"refund": {"cap": "cheap"}})
    assert (target.kind, target.what, target.runs) == ("refund", "target", 1)
    assert (target.allowed, target.actual) == (outlay.Money("0.005"), outlay.Money("0.007"))
    assert (target.over, target.is_met) == (outlay.Money("0.002"), False)
    assert (month.what, month.runs, month.over) == ("month", None, outlay.Money("-0.003"))
    assert (month.is_met, month.will_be_over, month.month_end) == (True, False, None)
    assert (row.entries, row.compute, row.orchestration) == (
        2,
        outlay.Money(0),
        outlay.Money("0.00005"),
    )


def test_what_is_left_of_what_was_earned(store: str) -> None:
    for tenant in ("acme", "umbrella", "globex"):
        with outlay.task("refund", tags={"tenant": tenant}, store=store) as task:
            spend(task, 500)
    earned = {"acme": Decimal("0.01"), "umbrella": "0.005"}
    report = outlay.margin("tag:tenant", earned, store=store)
    assert [(row.key, row.margin_per_mille) for row in report.rows] == [
        ("umbrella", -400),
        ("acme", 300),
        ("globex", None),
    ]
    assert report.rows[0].margin == outlay.Money("-0.002") and report.rows[2].margin is None
    assert (report.totals.revenue, report.totals.spent) == (
        outlay.Money("0.015"),
        outlay.Money("0.014"),
    )
    assert (report.by, report.unearned) == ("tag:tenant", outlay.Money("0.007"))
    assert len(report.notes) == 2 and report.notes[0] in str(report)
    for wrong in ({"acme": "much"}, ["acme"], {"acme": None}):
        with pytest.raises(outlay.InvalidInput):
            outlay.margin("tag:tenant", wrong, store=store)  # type: ignore[arg-type]


def test_what_if_it_had_been_another_model(store: str) -> None:
    with outlay.task("refund", store=store) as task:
        spend(task, 500)
    mini = outlay.what_if("gpt-4o-mini", store=store)
    (row,) = mini.rows
    assert (row.task, row.model, row.target) == ("refund", "gpt-4o", "openai/gpt-4o-mini")
    assert row.recorded == outlay.Money("0.007") and row.ratio_source == "same tokenizer"
    assert row.least == row.most == mini.totals.most == outlay.Money("0.00042")
    assert (row.left_out_calls, row.missing, mini.dropped_entries) == (0, [], 0)
    claude = outlay.what_if("claude-haiku-4-5", service_tier="batch", since="1h", store=store)
    assert claude.totals.least < claude.totals.most
    assert claude.rows[0].tokens_low_per_mille and "nobody can know" in claude.notes[0]
    with pytest.raises(outlay.Unpriced):
        outlay.what_if("nonesuch", store=store)


def test_a_forecast_says_what_it_cannot(store: str) -> None:
    outlay.budget(tags={"tenant": "acme"}, usd=1, window="month", store=store)
    with outlay.task("refund", tags={"tenant": "acme"}, store=store) as task:
        spend(task, 500)
    forecast = outlay.forecast("tag:tenant", store=store)
    assert [(row.key, row.spent) for row in forecast.rows] == [("acme", outlay.Money("0.007"))]
    total = forecast.total
    assert total.spent == outlay.Money("0.007") and not total.follows_weekdays
    assert (total.expected, total.interval, total.cuts, total.mean_error) == (None, None, 0, None)
    (budget,) = forecast.budgets
    assert (budget.name, budget.window, budget.hard) == ("tenant=acme", "month", True)
    assert (budget.limit, budget.spent) == (outlay.Money(1), outlay.Money("0.007"))
    assert budget.resets_at == forecast.month_ends_at and budget.used_up_at is None
    assert "less than a week" in forecast.notes[1] and "tenant=acme" in str(forecast)
    assert outlay.forecast(store=store).rows == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: outlay.report("colour", store=store),
        lambda store: outlay.report("tag:", store=store),
        lambda store: outlay.report(since="yesterday", store=store),
        lambda store: outlay.what_if(store=store),
        lambda store: outlay.forecast("attempt", store=store),
        lambda store: outlay.what_if("gpt-4o", service_tier="slow", store=store),
    ],
)
def test_what_is_not_understood_is_said(ask: Callable[[str], object], store: str) -> None:
    with pytest.raises(outlay.InvalidInput):
        ask(store)


def test_the_command_reads_the_same_ledger(store: str) -> None:
    with outlay.task("refund", id="refund-4711", store=store) as task:
        spend(task, 500)

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "outlay", "--store", store, *words]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    shown = command("show", "refund-4711", "--json")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["spent_usd"] == str(task.spent).removesuffix(" USD")
    missing = command("show", "nothing")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "outlay: task `nothing` is not in the ledger (not_found)\n"
    assert command("speed").returncode == 2


def test_the_meter_tells_how_far_bounds_were_from_the_truth(store: str) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]}
    answer = {"model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    with outlay.task("t", usd=1, store=store) as task:
        outgoing = task._native.outgoing("openai.chat", json.dumps(body))
        outgoing.reserve().settle_http(200, json.dumps(answer))
        spend(task, 10)  # with counts of its own: nothing to learn
    report = outlay.meter_report(store=store)
    (row,) = report.rows
    assert (row.provider, row.model, row.has_tools, row.method) == (
        "openai",
        "gpt-4o",
        False,
        "exact",
    )
    assert (row.calls, row.overruns, report.dropped_entries) == (1, 0, 0)
    assert row.truth_over_count(500) == row.bound_over_truth(1000) == 1000
    assert "gpt-4o" in str(report)
    with pytest.raises(outlay.InvalidInput):
        outlay.meter_report(since="tomorrow", store=store)
