"""What does a call of a guarded client come to, stream aside, however it ends?"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import outlay
import pytest
from endpoints import (
    ENDPOINTS,
    OUTPUT_NANOS,
    Chat,
    Endpoint,
    Responses,
    agrees,
    covers,
    fresh_provider,
    task,
)
from outlay.testing import Provider, Reply

SOON = {"retry_after_s": 0.001}


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture(params=ENDPOINTS, ids=lambda endpoint: str(endpoint.name))
def api(request: pytest.FixtureRequest, provider: Provider) -> Endpoint:
    made: Endpoint = request.param(provider)
    return made


def test_a_call_costs_what_the_provider_bills(api: Endpoint, provider: Provider) -> None:
    with task() as t:
        assert api.answer(api.create())
    bill = agrees(t, provider)
    assert (bill.served, bill.entries[0].max_tokens) == (1, 100)


def test_a_call_in_asyncio_does_too(api: Endpoint, provider: Provider) -> None:
    with task() as t:
        assert api.answer(asyncio.run(api.create(api.aio)))
    assert agrees(t, provider).served == 1


@pytest.mark.parametrize("api", [Chat, Responses], indirect=True)  # Anthropic requires a maximum
def test_a_missing_maximum_is_set_in_the_request(api: Endpoint, provider: Provider) -> None:
    with task() as t:
        api.create(**{api.maximum: None})
    assert agrees(t, provider).entries[0].max_tokens == 4_096


def test_a_maximum_in_extra_body_is_seen(api: Endpoint, provider: Provider) -> None:
    provider.default(Reply(fill=True))
    with task() as t:
        api.create(extra_body={api.maximum: 7})
    bill = agrees(t, provider)
    assert (bill.entries[0].max_tokens, bill.usage.output_tokens) == (7, 7)


def test_a_refusal_reaches_the_caller_as_it_is_and_nothing_is_sent(
    api: Endpoint, provider: Provider
) -> None:
    patient = type(api)(provider, max_retries=2)
    with task(0.000_1) as t:
        with pytest.raises(outlay.BudgetExceeded) as refused:
            patient.create()
        with pytest.raises(outlay.BudgetExceeded):
            asyncio.run(patient.create(patient.aio))
        assert t.stopped is not None
    assert type(refused.value) is outlay.BudgetExceeded
    assert refused.value.__cause__ is None
    assert agrees(t, provider).count == 0


def test_a_swallowed_refusal_sends_nothing_and_a_smaller_call_still_fits(
    api: Endpoint, provider: Provider
) -> None:
    with task(0.000_8) as t:
        for _ in range(10):
            with pytest.raises(outlay.BudgetExceeded):
                api.create()
        api.create(**{api.maximum: 20})
    assert agrees(t, provider).served == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_each_repetition_is_reserved_for_and_a_refused_one_is_free(
    api: Endpoint, provider: Provider, status: int
) -> None:
    patient = type(api)(provider, max_retries=2)
    provider.script(*[Reply(status=status, **SOON)] * 2)
    with task() as t:
        patient.create()
    assert [entry.attempt for entry in agrees(t, provider).entries] == [0, 1, 2]
    assert t.summary().totals.voided_calls == 2


def test_repetitions_in_asyncio_are_reserved_for_too(api: Endpoint, provider: Provider) -> None:
    patient = type(api)(provider, max_retries=2)
    provider.script(*[Reply(status=500, **SOON)] * 2)
    with task() as t:
        asyncio.run(patient.create(patient.aio))
    assert [entry.attempt for entry in agrees(t, provider).entries] == [0, 1, 2]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_repetition_that_does_not_fit_is_refused_as_it_is(
    api: Endpoint, provider: Provider, asynchronous: bool
) -> None:
    patient = type(api)(provider, max_retries=2)
    provider.script(Reply(status=504, billed=True, tokens=100, **SOON))
    worst = 100 * OUTPUT_NANOS[api.model]
    with task(1.5 * worst / 1e9) as t:
        with pytest.raises(outlay.BudgetExceeded) as refused:
            patient.ask(asynchronous)
        assert type(refused.value) is outlay.BudgetExceeded
    assert covers(t, provider).count == 1
    assert t.in_doubt.nanos >= worst


@pytest.mark.parametrize(
    ("status", "in_doubt"),
    [
        (400, False),
        (401, False),
        (408, True),
        (409, False),
        (429, False),
        (500, False),
        (502, True),
        (503, False),
        (504, True),
        (524, True),
        (529, False),
    ],
)
def test_a_status_says_whether_the_call_may_have_been_billed(
    api: Endpoint, provider: Provider, status: int, in_doubt: bool
) -> None:
    provider.script(Reply(status=status, billed=in_doubt, tokens=20))
    with task() as t, pytest.raises(api.package.APIStatusError) as error:
        api.create()
    assert error.value.status_code == status
    assert covers(t, provider).count == 1
    assert bool(t.in_doubt) is in_doubt


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("behaviour", ["stall_head", "stall_middle"])
def test_a_timeout_leaves_each_attempt_in_doubt(
    api: Endpoint, provider: Provider, behaviour: Any, asynchronous: bool
) -> None:
    provider.default(Reply(tokens=20, behaviour=behaviour))
    hasty = type(api)(provider, max_retries=1, timeout=0.15)
    with task() as t, pytest.raises(api.package.APITimeoutError):
        hasty.ask(asynchronous)
    assert covers(t, provider).count == 2
    assert t.in_doubt == t.spent
    assert t.summary().totals.calls == 2


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("behaviour", ["drop_head", "drop_middle"])
def test_a_lost_connection_leaves_the_call_in_doubt(
    api: Endpoint, provider: Provider, behaviour: Any, asynchronous: bool
) -> None:
    provider.default(Reply(tokens=20, behaviour=behaviour))
    with task() as t, pytest.raises(api.package.APIConnectionError):
        api.ask(asynchronous)
    assert covers(t, provider).count == 1
    assert t.in_doubt == t.spent


def test_a_connection_nobody_accepts_costs_nothing(api: Endpoint, provider: Provider) -> None:
    nowhere = api.sync.with_options(base_url="http://127.0.0.1:9/v1")
    with task() as t, pytest.raises(api.package.APIConnectionError):
        api.create(nowhere)
    totals = t.summary().totals
    assert (totals.calls, totals.voided_calls, t.spent.nanos) == (0, 1, 0)


def test_a_call_cancelled_before_its_answer_is_in_doubt(api: Endpoint, provider: Provider) -> None:
    provider.default(Reply(tokens=20, behaviour="stall_head"))

    async def cancelled() -> None:
        asking = asyncio.create_task(api.create(api.aio))
        while not provider.requests():
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    with task() as t:
        asyncio.run(cancelled())
        assert t.pending.nanos == 0
    assert covers(t, provider).count == 1
    assert t.in_doubt == t.spent


@pytest.mark.parametrize("usage", ["missing", "null", "negative", "strings", "floats", "huge"])
def test_an_answer_whose_usage_cannot_be_costs_its_reservation_and_is_not_lost(
    api: Endpoint, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(tokens=20, usage=usage))
    with task() as t:
        assert api.raw().status_code == 200
    covers(t, provider)
    assert t.summary().totals.estimated_calls == 1
    assert t.spent.nanos >= 100 * OUTPUT_NANOS[api.model]


def test_a_raw_response_is_metered(api: Endpoint, provider: Provider) -> None:
    async def asynchronous() -> Any:
        return await api.parsed(await api.raw(api.aio))

    with task() as t:
        assert api.answer(api.raw().parse())
        assert api.answer(asyncio.run(asynchronous()))
    assert agrees(t, provider).served == 2


def test_a_body_read_as_bytes_is_metered(api: Endpoint, provider: Provider) -> None:
    async def asynchronous() -> None:
        async with api.streaming(api.aio) as response:
            assert api.answer(await response.parse())

    with task() as t:
        with api.streaming() as response:
            assert json.loads(b"".join(response.iter_bytes()))
        asyncio.run(asynchronous())
    assert agrees(t, provider).served == 2


def test_a_body_nobody_reads_is_in_doubt(api: Endpoint, provider: Provider) -> None:
    with task() as t, api.streaming():
        pass
    assert covers(t, provider).count == 1
    assert t.in_doubt == t.spent


def test_a_body_read_past_the_guard_is_in_doubt(api: Endpoint, provider: Provider) -> None:
    with task() as t, api.streaming(stream=True) as response:
        assert list(response.http_response.iter_raw())
    assert covers(t, provider).count == 1
    assert t.in_doubt == t.spent


def test_a_call_under_no_task_is_charged_to_the_default_task(
    api: Endpoint, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["outlay.task"], "_warned", False)
    before = outlay._native.ledger(None).default_task().used()["usd"]
    with pytest.warns(RuntimeWarning, match="under no task") as said:
        api.create()
    # Shown where the call was written, not where the guard sits.
    ours = [warning for warning in said if "under no task" in str(warning.message)]
    assert [Path(warning.filename).name for warning in ours] == ["endpoints.py"]
    after = outlay._native.ledger(None).default_task().used()["usd"]
    assert after - before == provider.bill().cost_nanos > 0


def test_taking_the_guard_out_lets_calls_through(api: Endpoint, provider: Provider) -> None:
    outlay.uninstrument()
    with task() as t:
        api.create()
        assert t.summary().totals.calls == 0
        outlay.instrument()
        outlay.instrument()
        api.create()
        assert t.summary().totals.calls == 1
