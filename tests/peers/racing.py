"""Does the cap hold when 64 workers race for the last cent?

Every worker loops guarded calls until the guard refuses, or until it has made the most calls the
bench allows it, which bounds a guard that never refuses. What was really spent is read from the
provider's bill by the caller, never from the guard.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from adapter import Guard, Refused

WORKERS = 64


@dataclass
class Outcome:
    """How the workers ended."""

    refused: int = 0
    exhausted: int = 0
    """Workers never refused within the calls they were allowed."""

    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, refused: bool) -> None:
        """Note the end of one worker."""
        with self.lock:
            if refused:
                self.refused += 1
            else:
                self.exhausted += 1

    def fail(self, error: BaseException) -> None:
        """Note a worker that ended with an error that is not a refusal."""
        with self.lock:
            self.errors.append(f"{type(error).__name__}: {error}"[:200])


def race_threads(guard: Guard, call: Callable[[], None], calls_max: int) -> Outcome:
    """Race ``WORKERS`` threads, started together, and return how they ended."""
    outcome = Outcome()
    gate = threading.Barrier(WORKERS)

    def work() -> None:
        gate.wait()
        try:
            for _ in range(calls_max):
                call()
        except Refused:
            outcome.count(refused=True)
        except BaseException as error:  # a peer may raise anything; it becomes part of the result
            outcome.fail(error)
        else:
            outcome.count(refused=False)

    threads = []
    for _ in range(WORKERS):
        target: Callable[[], None] = work
        if guard.copy_context:
            context = contextvars.copy_context()
            target = _run_in(context, work)
        threads.append(threading.Thread(target=target))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def _run_in(context: contextvars.Context, work: Callable[[], None]) -> Callable[[], None]:
    return lambda: context.run(work)


async def race_tasks(call: Callable[[], Awaitable[None]], calls_max: int) -> Outcome:
    """Race ``WORKERS`` tasks on one event loop and return how they ended."""
    outcome = Outcome()

    async def work() -> None:
        try:
            for _ in range(calls_max):
                await call()
        except Refused:
            outcome.count(refused=True)
        except BaseException as error:
            outcome.fail(error)
        else:
            outcome.count(refused=False)

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return outcome
