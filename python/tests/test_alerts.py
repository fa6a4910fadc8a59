"""Is everybody told once, at least once, and by the same id, whatever dies in between?"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import outlay
import pytest

PRICES = {"house": {"input": 0, "output": 10}}  # a thousand output tokens cost 0.01 USD
PROCESSES, THREADS, CALLS = 8, 4, 6
TEAM = {"team": "blue"}
SHARES = [f"{share}%" for share in range(10, 101, 10)]


def _spend(task: outlay.Task, cents: int) -> None:
    tokens = cents * 1_000
    call = task.reserve(model="house", input_tokens=0, max_output_tokens=tokens)
    call.settle(outlay.Usage(0, tokens))


def _race(store: str, start: Any, told: Any) -> None:
    outlay.configure(prices=PRICES)
    heard: list[str] = []
    outlay.on_alert(lambda alert: heard.append(alert.id), name="race")

    def work() -> None:
        with outlay.task("race", tags=TEAM, store=store) as task:
            for _ in range(CALLS):
                _spend(task, 1)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    start.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.put(heard)


def test_eight_processes_record_and_deliver_each_alert_once(store: str) -> None:
    total = PROCESSES * THREADS * CALLS
    outlay.budget(tags=TEAM, usd=f"{total / 100}", alerts=SHARES, store=store)
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(PROCESSES), context.Queue()
    arguments = (store, start, told)
    workers = [context.Process(target=_race, args=arguments) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    heard = [told.get() for _ in workers]
    for worker in workers:
        worker.join()
    recorded = outlay.alerts(store=store)
    assert sorted(alert.threshold for alert in recorded) == sorted(SHARES)
    delivered = [id for ids in heard for id in ids]
    assert sorted(delivered) == sorted(alert.id for alert in recorded)
    outlay.ledger(store).check_balances()


_VICTIM = """
import os, signal, sys
import outlay
outlay.configure(prices={"house": {"input": 0, "output": 10}})

def die(alert):
    print(alert.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

outlay.on_alert(die, name="pager")
outlay.budget(usd=1, store=sys.argv[1])
with outlay.task("t", store=sys.argv[1]) as task:
    call = task.reserve(model="house", input_tokens=0, max_output_tokens=60_000)
    call.settle(outlay.Usage(0, 60_000))
print("it goes on", flush=True)
"""


def test_what_a_killed_process_did_not_deliver_the_next_one_does(store: str) -> None:
    ids: list[str] = []
    for _ in range(2):
        victim = [sys.executable, "-c", _VICTIM, store]
        done = subprocess.run(victim, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
        ids.append(done.stdout.strip())
    outlay.ledger(store)
    heard: list[str] = []
    outlay.on_alert(lambda alert: heard.append(alert.id), name="pager")
    [alert] = outlay.alerts(store=store)
    # Ledgers of other tests may tell this process of theirs.
    assert [*ids, *(id for id in heard if id == alert.id)] == [alert.id] * 3
    outlay.on_alert(lambda alert: heard.append(alert.id), name="pager")
    assert heard.count(alert.id) == 1, "it was delivered"


def test_a_process_that_was_open_is_told_too_when_it_registers(store: str) -> None:
    outlay.ledger(store)
    victim = [sys.executable, "-c", _VICTIM, store]
    done = subprocess.run(victim, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    heard: list[str] = []
    outlay.on_alert(lambda alert: heard.append(alert.id), name="pager")
    assert heard.count(done.stdout.strip()) == 1


def test_an_alert_says_what_was_spent_of_what(any_store: str) -> None:
    outlay.configure(prices=PRICES)
    told: list[outlay.Alert] = []
    outlay.on_alert(told.append, name="fields")
    limits: Any = {"usd": 1, "llm_calls": 1, "window": "day", "tz": "Europe/Berlin"}
    outlay.budget(tags=TEAM, alerts=[0.6], store=any_store, **limits)
    with outlay.task("refund", tags=TEAM, store=any_store) as task:
        # One call passes both: midnight cannot come between.
        _spend(task, 60)
    recorded = [alert.id for alert in outlay.alerts(since="1h", store=any_store)]
    usd, calls = (alert for alert in told if alert.id in recorded)
    assert (
        str(usd)
        == "budget `team=blue` has spent 0.60 of 1.00 USD in its window `day`, 60% of the limit"
    )
    assert (usd.unit, usd.limit, usd.spent) == ("usd", outlay.Money(1), outlay.Money("0.60"))
    assert (calls.unit, calls.limit, calls.spent) == ("llm_calls", 1, 1)
    assert (usd.task, usd.window, usd.threshold) == ("refund", "day", "60%")
    assert usd.window_start is not None and usd.window_start <= usd.at
    assert recorded == [usd.id, calls.id]


def test_a_callback_that_fails_is_logged_and_spoils_nothing(
    any_store: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(alert: outlay.Alert) -> None:
        raise RuntimeError("the pager is broken")

    outlay.on_alert(fail, name="broken")
    block = outlay.task("t", tool_calls=2, alerts=["50%"], store=any_store)
    with caplog.at_level(logging.WARNING, logger="outlay"), block as task:
        task.tool_call("web")
    [alert] = outlay.alerts(store=any_store)
    said = [record.getMessage() for record in caplog.records]
    assert str(alert) in said, "every alert is logged"
    assert f"the callback `broken` failed with alert {alert.id}" in said
    outlay.on_alert(lambda alert: None, name="broken")


def test_options_without_meaning_are_refused(any_store: str) -> None:
    for alerts in ("80%", [80], ["often"], [True], 0.5, [0.0001]):
        with pytest.raises(outlay.InvalidInput):
            outlay.budget(usd=1, alerts=alerts, store=any_store)  # type: ignore[arg-type]
        with pytest.raises(outlay.InvalidInput):
            outlay.task("t", usd=1, alerts=alerts, store=any_store).__enter__()  # type: ignore[arg-type]
        with pytest.raises(outlay.InvalidInput):
            outlay.configure(alerts=alerts)  # type: ignore[arg-type]
    with pytest.raises(outlay.InvalidInput):
        outlay.on_alert("print")  # type: ignore[type-var]
    with pytest.raises(outlay.InvalidInput):
        outlay.on_alert(print, name="")


def test_the_usual_shares_are_configured(any_store: str) -> None:
    outlay.configure(alerts=[0.5], prices=PRICES)
    outlay.budget(usd=1, store=any_store)
    with outlay.task("t", store=any_store) as task:
        _spend(task, 100)
    assert [alert.threshold for alert in outlay.alerts(store=any_store)] == ["50%"]


def test_open_telemetry_gets_an_event_of_the_running_span_and_a_count(
    any_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry import metrics, trace

    events: list[tuple[str, Any]] = []
    counts: list[tuple[str, int, Any]] = []

    class Span(trace.NonRecordingSpan):
        def is_recording(self) -> bool:
            return True

        def add_event(self, name: str, attributes: Any = None, timestamp: Any = None) -> None:
            events.append((name, attributes))

    class Counter(metrics.NoOpCounter):
        told = ""

        def add(self, amount: float, attributes: Any = None, context: Any = None) -> None:
            counts.append((self.told, int(amount), attributes))

    class Meter(metrics.NoOpMeter):
        def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
            counter = Counter(name, unit, description)
            counter.told = name
            return counter

    monkeypatch.setattr(metrics, "get_meter", lambda name: Meter(name))
    block = outlay.task("t", tool_calls=2, alerts=["50%"], store=any_store)
    with trace.use_span(Span(trace.INVALID_SPAN_CONTEXT)), block as task:
        task.tool_call("web")
    [alert] = outlay.alerts(store=any_store)
    [(event, attributes)] = events
    told = {"outlay.budget": "task `t`", "outlay.unit": "tool_calls", "outlay.threshold": "50%"}
    assert event == "outlay.alert"
    assert attributes["outlay.alert.id"] == alert.id
    assert (attributes["outlay.spent"], attributes["outlay.limit"]) == ("1", "2")
    assert told.items() <= attributes.items()
    assert counts == [("outlay.alerts", 1, told)]


SECRET = "a secret of this test"
DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"


class _Receiver(HTTPServer):
    """Refuses the first two requests, then takes what comes; keeps all of it."""

    def __init__(self) -> None:
        self.got: list[tuple[Any, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: _Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers, body))
        self.send_response(500 if len(self.server.got) <= 2 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_webhook_is_signed_and_sent_until_it_is_taken(store: str) -> None:
    outlay.budget(tool_calls=2, alerts=["50%"], store=store)
    with outlay.task("search", store=store) as task:
        task.tool_call("web")
    [alert] = outlay.alerts(store=store)
    receiver = _Receiver()
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{receiver.server_port}/outlay"
        words = ["--store", store, "watch", "--once", "--url", url, "--secret-env", "HOOK_SECRET"]
        run = [sys.executable, "-m", "outlay", *words]
        # A proxy between would read what is sent to this machine in the clear; this one is none.
        environment = {**os.environ, "HOOK_SECRET": SECRET, "http_proxy": "http://127.0.0.1:0"}
        for name in ("no_proxy", "NO_PROXY"):
            environment.pop(name, None)
        for _ in range(2):
            done = subprocess.run(
                run, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr
            assert len(receiver.got) == 3, "twice refused, once taken, and never again"
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()

    checks: dict[str, Any] = {}
    [block] = re.findall(r"```python\n(import hashlib.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    exec(block, checks)
    is_ours = checks["is_ours"]
    for headers, body in receiver.got:
        told = json.loads(body)
        assert (told["id"], headers["Outlay-Id"]) == (alert.id, alert.id)
        assert (told["spent"], told["limit"], told["threshold"]) == ("1", "2", "50%")
        assert is_ours(SECRET, headers, body)
        assert not is_ours("another secret", headers, body)
        assert not is_ours(SECRET, headers, body.replace(b"50%", b"80%"))
        assert not is_ours(SECRET, headers, body, tolerance_s=-1), "too old"
        assert not is_ours(SECRET, {}, body)
