"""A fork in the middle of a run: parent and child go on under one limit."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

import outlay
import pytest
from outlay import BudgetExceeded, Money, Usage

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
pytestmark = [
    pytestmark,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
CALL = {"model": "gpt-4o", "input_tokens": 0, "max_output_tokens": 1000}  # 0.01 USD


def forked(child: Callable[[], None]) -> int:
    """Runs `child` in a forked process; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child()
        code = 0
    except BaseException as error:
        print(f"child: {type(error).__name__}: {error}", flush=True)
    finally:
        outlay._native.close_all()
        os._exit(code)


def ended_well(pid: int, within_s: float = 60) -> bool:
    """Did the process end by itself, with 0? A deadlocked one is killed."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def spend_until_refused(task: outlay.Task) -> None:
    while True:
        try:
            task.reserve(**CALL).settle(Usage(0, 1000))
        except BudgetExceeded as refused:
            if not refused.contended:
                return
            time.sleep(0.001)


@pytest.mark.parametrize("round", range(5))
def test_parent_and_child_spend_one_limit_with_threads_running(round: int, store: str) -> None:
    with outlay.task("forked", usd=1.00, store=store) as task:
        threads = [threading.Thread(target=spend_until_refused, args=(task,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.002 * round)
        pid = forked(lambda: spend_until_refused(task))
        for thread in threads:
            thread.join()
        assert ended_well(pid)
        assert (task.spent, task.pending) == (Money(1), Money(0))
    outlay.ledger(store).check_balances()


def test_a_call_in_flight_belongs_to_the_parent(store: str) -> None:
    with outlay.task("forked", usd=1.00, store=store) as task:
        call = task.reserve(**CALL)

        def child() -> None:
            assert task.pending == Money("0.01")
            task.reserve(**CALL).settle(Usage(0, 500))

        assert ended_well(forked(child))
        # The child let go of its copy of the handle; that must not have ended the call.
        assert (call.state, task.pending) == ("open", Money("0.01"))
        call.settle(Usage(0, 1000))
        assert (task.spent, task.in_doubt) == (Money("0.015"), Money(0))


def test_the_child_does_not_end_the_attempt_of_its_parent(store: str) -> None:
    pid = 0
    with outlay.task("forked", usd=1.00, store=store) as task:
        pid = os.fork()
        if pid == 0:
            # The parent may have ended the attempt already; whatever happens, this stays here.
            with contextlib.suppress(outlay.Conflict):
                task.reserve(**CALL).settle(Usage(0, 1000))
    if pid == 0:
        outlay._native.close_all()
        os._exit(0)
    assert ended_well(pid)
    assert task.spent <= Money("0.01")
    outlay.ledger(store).check_balances()


def test_a_forked_ledger_in_memory_refuses() -> None:
    with outlay.task("forked", usd=1.00, store="memory:") as task:

        def child() -> None:
            with pytest.raises(outlay.Unsupported, match="memory"):
                task.reserve(**CALL)
            with (
                pytest.raises(outlay.Unsupported, match="memory"),
                outlay.task("below", store="memory:"),
            ):
                pass
            with outlay.task("own", usd=1, store="memory:other") as own:
                own.reserve(**CALL).settle(Usage(0, 1000))

        assert ended_well(forked(child))
        task.reserve(**CALL).settle(Usage(0, 1000))


def test_forks_of_forks_and_many_forks(store: str) -> None:
    with outlay.task("forked", usd=0.50, store=store) as task:

        def child() -> None:
            task.reserve(**CALL).settle(Usage(0, 1000))
            assert ended_well(forked(lambda: task.reserve(**CALL).settle(Usage(0, 1000))))

        assert all([ended_well(pid) for pid in [forked(child) for _ in range(10)]])
        assert task.spent == Money("0.20")
    outlay.ledger(store).check_balances()
