"""Does the current task follow the work into threads and pools, and stay nowhere else?"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from outlay import _context
from outlay._context import current_task


@pytest.fixture(autouse=True)
def _carried() -> Iterator[None]:
    _context.carry()
    _context.carry()
    yield
    _context.uncarry()


@contextmanager
def under(task: Any) -> Iterator[None]:
    token = current_task.set(task)
    try:
        yield
    finally:
        current_task.reset(token)


def in_thread(look: Callable[[], Any]) -> Any:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(look()))
    thread.start()
    thread.join()
    return seen[0]


def test_a_thread_runs_under_the_task_it_was_started_in() -> None:
    with under("a"):
        assert in_thread(current_task.get) == "a"
        assert in_thread(lambda: in_thread(current_task.get)) == "a"
    assert in_thread(current_task.get) is None


def test_timers_and_subclasses_do_too_and_keep_no_trace() -> None:
    seen: list[Any] = []

    class Own(threading.Thread):
        def run(self) -> None:
            seen.append(current_task.get())

    threads = [threading.Timer(0, lambda: seen.append(current_task.get())), Own()]
    with under("a"):
        for thread in threads:
            thread.start()
            thread.join()
    assert seen == ["a", "a"]
    assert all("run" not in vars(thread) for thread in threads)


def test_a_pool_runs_each_piece_of_work_under_its_own_task() -> None:
    with ThreadPoolExecutor(1) as pool:
        for task in ("a", None, "b", None):
            with under(task):
                assert pool.submit(current_task.get).result() == task
        with under("c"):
            assert list(pool.map(lambda _: current_task.get(), range(4))) == ["c"] * 4


def test_work_that_sets_a_task_leaves_the_next_its_own() -> None:
    with under("a"), ThreadPoolExecutor(1) as pool:
        pool.submit(current_task.set, "x").result()
        assert pool.submit(current_task.get).result() == "a"


def test_a_context_somebody_else_copied_wins() -> None:
    with under("b"):
        copied = contextvars.copy_context()
    with under("a"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(copied.run, current_task.get).result() == "b"


def test_asyncio_carries_it_everywhere() -> None:
    async def look() -> list[Any]:
        loop = asyncio.get_running_loop()

        async def here() -> Any:
            return current_task.get()

        with under("a"):
            return [
                await asyncio.create_task(here()),
                await asyncio.to_thread(current_task.get),
                await loop.run_in_executor(None, current_task.get),
            ]

    async def after() -> Any:
        await look()
        return await asyncio.get_running_loop().run_in_executor(None, current_task.get)

    assert asyncio.run(look()) == ["a", "a", "a"]
    assert asyncio.run(after()) is None


def test_nothing_else_of_the_context_is_carried() -> None:
    other = contextvars.ContextVar("other", default="default")
    other.set("changed")
    with under("a"):
        assert in_thread(other.get) == "default"


def test_undoing_it_spares_what_others_have_patched_on_top(monkeypatch: Any) -> None:
    ours = threading.Thread.start

    def theirs(self: threading.Thread) -> None:
        ours(self)

    monkeypatch.setattr(threading.Thread, "start", theirs)
    with under("a"):
        _context.uncarry()
        assert threading.Thread.start is theirs
        assert in_thread(current_task.get) is None
        _context.carry()
        assert in_thread(current_task.get) == "a"
    monkeypatch.undo()
    _context.uncarry()
    assert threading.Thread.start.__qualname__ == "Thread.start"
    assert not hasattr(threading.Thread.start, "__wrapped__")


def test_starting_a_thread_twice_raises_as_ever() -> None:
    with under("a"):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="started once"):
            thread.start()
    assert "run" not in vars(thread)


def test_a_finished_thread_needs_no_garbage_collector() -> None:
    gc.disable()
    try:
        with under("a"):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        gone = weakref.ref(thread)
        del thread
        assert gone() is None
    finally:
        gc.enable()
