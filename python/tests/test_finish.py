"""What is left when a limit is reached? The last call that was put by, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import openai
import outlay
import pytest
from outlay.testing import Provider, Reply

CALL: Any = {"model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 4000}


def test_what_is_put_by_pays_for_one_last_call(store: str) -> None:
    with outlay.task("t", usd=0.10, wrap_up_usd=0.05, store=store) as task:
        assert str(task.pending) == "0.05 USD"
        assert task.status_text().endswith("; 0.05 usd of it kept for the last call")
        held = task.reserve(**CALL)
        with pytest.raises(outlay.BudgetExceeded):
            task.reserve(**CALL)
        task.reserve(**CALL, final=True).settle(outlay.Usage(1000, 4000))
        for final in (False, True):
            with pytest.raises(outlay.BudgetExceeded, match="has made its last call") as over:
                task.reserve(**CALL, final=final)
        assert (over.value.unit, over.value.limit, over.value.contended) == (
            "last_call",
            None,
            False,
        )
        held.void()
    assert str(task.spent) == "0.0425 USD"


def test_it_goes_back_when_it_was_not_needed(store: str) -> None:
    for attempt in (1, 2, 3):
        with outlay.task("t", usd=0.05, wrap_up_usd=0.05, id="t-1", store=store) as task:
            assert (task.attempt, str(task.available)) == (attempt, "0.00 USD")
        assert str(task.available) == "0.05 USD"


def test_after_a_kill_it_is_put_by_anew(tmp_path: Any) -> None:
    store = f"sqlite:{tmp_path}/ledger.db"
    options = f"usd=0.05, wrap_up_usd=0.05, id='t-1', store={store!r}"
    program = (
        "import outlay, sys\n"
        f"with outlay.task('t', {options}):\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], **pipes) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"open\n"
        os.kill(victim.pid, signal.SIGKILL)
    with outlay.task("t", usd=0.05, wrap_up_usd=0.05, id="t-1", store=store) as task:
        assert task.attempt == 2
        task.reserve(**CALL, final=True).settle(outlay.Usage(1000, 500))
    assert str(task.spent) == "0.0075 USD"
    outlay.ledger(store).check_balances()


@pytest.mark.parametrize("options", [{"on_limit": "finish"}, {"wrap_up_usd": 0}])
def test_what_cannot_be_put_by(options: dict[str, Any]) -> None:
    with pytest.raises(outlay.InvalidInput), outlay.task("t", usd=1, store="memory:", **options):
        pass
    with outlay.task("t", usd=1, store="memory:") as task, pytest.raises(outlay.InvalidInput):
        task.reserve(**CALL, final=True)


def test_a_guarded_client_makes_it(provider: Provider) -> None:
    client = openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=2)
    ask: Any = client.chat.completions.create
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    limits = {"usd": 0.02, "llm_calls": 3, "wrap_up_usd": 0.01}
    with outlay.task("t", store="memory:", **limits) as task:
        ask(**asked, max_tokens=100)
        ask(**asked, max_tokens=100)
        with pytest.raises(outlay.BudgetExceeded, match="llm calls"):
            ask(**asked, max_tokens=100)
        # What is refused by the provider was not the last; the maximum is lowered to what is left.
        provider.script(Reply(status=503), Reply(text="Well."))
        with outlay.call(final=True):
            answer = ask(**asked, max_tokens=16_000)
            with pytest.raises(outlay.BudgetExceeded, match="last call"):
                ask(**asked, max_tokens=100)
    assert answer.choices[0].message.content == "Well."
    assert task.summary().totals.calls == 3
    assert task.spent.nanos == provider.bill().cost_nanos
