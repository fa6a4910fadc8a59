"""Does a refused task ask, and go on once somebody approves, from wherever?"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import outlay
import pytest
from outlay.testing import Provider, Reply

PRICES = {"house": {"input": 0, "output": 10}}
CALL: Any = {"model": "house", "input_tokens": 0, "max_output_tokens": 5_000}


@pytest.fixture(autouse=True)
def _prices() -> None:
    outlay.configure(prices=PRICES)


def ask(store: str) -> str:
    """The id of what a task of one cent asks for that wants five."""
    with (
        pytest.raises(outlay.ApprovalRequired) as required,
        outlay.task("refund", id="refund-1", usd="0.01", on_limit="ask", store=store) as task,
    ):
        task.reserve(**CALL)
    assert (required.value.unit, required.value.limit.nanos) == ("usd", 10_000_000)
    assert task.pending.nanos == 0
    return str(required.value.id)


def go_on(store: str) -> outlay.Task:
    with outlay.task("refund", id="refund-1", usd="0.01", on_limit="ask", store=store) as task:
        task.reserve(**CALL).settle(outlay.Usage(0, 5_000))
    return task


def command(store: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    words = ("-m", "outlay", "--store", store, *words)
    settings = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=settings, check=False
    )


def test_a_later_attempt_goes_on_after_approval(any_store: str) -> None:
    id = ask(any_store)
    place = outlay.ledger(any_store)
    assert place.approvals() == [(id, "refund", "task `refund`", "usd", "0.04")]
    outlay.approve(id, add="0.04", by="maria", store=any_store)
    assert place.approvals() == []
    task = go_on(any_store)
    assert (task.attempt, task.available) == (2, outlay.Money(0))
    place.check_balances()


def test_another_process_approves_while_two_wait(store: str) -> None:
    id = ask(store)
    said: list[bool] = []
    waiting = threading.Thread(
        target=lambda: said.append(outlay.wait_approval(id, 60, store=store))
    )
    waiting.start()

    async def both() -> bool:
        ticks = 0
        done = asyncio.create_task(outlay.await_approval(id, 60, store=store))
        given = asyncio.to_thread(command, store, "approve", id, "--add", "0.50", "--by", "maria")
        assert (await given).returncode == 0
        while not done.done():
            ticks += 1
            await asyncio.sleep(0.01)
        assert ticks < 6_000
        return done.result()

    assert asyncio.run(both())
    waiting.join(60)
    assert said == [True]
    assert go_on(store).available == outlay.Money("0.46")


def test_waiting_ends_by_time_and_by_a_halt(any_store: str) -> None:
    id = ask(any_store)
    assert not outlay.wait_approval(id, 0.01, store=any_store)
    assert not asyncio.run(outlay.await_approval(id, 0.01, store=any_store))
    timer = threading.Timer(
        0.05, lambda: outlay.halt("refund", by="jo", reason="no", store=any_store)
    )
    timer.start()
    with pytest.raises(outlay.Halted):
        outlay.wait_approval(id, 60, store=any_store)
    timer.join()
    with pytest.raises(outlay.NotFound):
        outlay.wait_approval("019a2b3c-0000-7000-8000-000000000001", store=any_store)


def test_approvers_of_the_configuration_sign(store: str, tmp_path: Path) -> None:
    key, public = tmp_path / "maria.pem", tmp_path / "maria.pub"
    openssl = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)]
    try:
        subprocess.run(openssl, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a key with")
    openssl = ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)]
    subprocess.run(openssl, check=True, capture_output=True)
    config = tmp_path / "outlay.toml"
    config.write_text(f"[approvers]\nmaria = '''{public.read_text()}'''\n")
    id = ask(store)
    words = ("approve", id, "--add", "0.04", "--by", "maria")
    unsigned = command(store, *words, OUTLAY_CONFIG=str(config))
    assert (unsigned.returncode, "asks for a key" in unsigned.stderr) == (2, True)
    outlay.configure(approvers={"maria": public.read_text()})
    with pytest.raises(outlay.InvalidInput):
        outlay.approve(id, add="0.04", by="jo", key=key.read_text(), store=store)
    signed = command(store, *words, "--key", str(key), OUTLAY_CONFIG=str(config))
    assert signed.stdout == "task `refund` allows 0.05 usd now\n"
    go_on(store)


def test_what_cannot_be_is_refused(any_store: str) -> None:
    with pytest.raises(outlay.InvalidInput), outlay.task("t", on_limit="beg", store=any_store):
        pass
    with pytest.raises(outlay.InvalidInput):
        outlay.configure(approvers={"maria": "no key"})


def test_a_langgraph_agent_is_interrupted_and_resumed() -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command
    from outlay.integrations.langchain import OutlayMiddleware

    looked: list[str] = []

    @tool
    def look(query: str) -> str:
        """Looks something up."""
        looked.append(query)
        return "it rains"

    outlay.instrument()
    asked: Any = {"messages": [{"role": "user", "content": "how is the weather?"}]}
    thread: Any = {"configurable": {"thread_id": "1"}}
    with Provider() as provider:
        provider.script(Reply.tool("look", {"query": "weather"}), Reply(text="Rainy."))
        model = ChatOpenAI(
            model="gpt-4o", base_url=provider.openai_url, api_key="any", max_tokens=50
        )
        options: Any = {"tools": [look], "middleware": [OutlayMiddleware()]}
        agent = create_agent(model, checkpointer=InMemorySaver(), **options)
        limits: Any = {"llm_calls": 1, "tool_calls": 0, "on_limit": "ask", "store": "memory:"}
        with outlay.task("ask", **limits) as task:
            stopped = agent.invoke(asked, thread)
            for unit in ("tool_calls", "llm_calls"):
                value = stopped["__interrupt__"][0].value
                assert unit.replace("_", " ") in value["message"]
                # Nobody has approved: the agent is stopped as one without a checkpointer is.
                with pytest.raises(outlay.ApprovalRequired):
                    agent.invoke(Command(resume=True), thread)
                outlay.approve(value["approval"], add=1, by="maria")
                stopped = agent.invoke(Command(resume=True), thread)
            assert stopped["messages"][-1].text == "Rainy."
            assert looked == ["weather"]
            assert task.summary().totals.calls == 2
        with pytest.raises(outlay.ApprovalRequired), outlay.task("ask", **limits):
            provider.script(Reply.tool("look", {"query": "weather"}))
            create_agent(model, **options).invoke(asked)
    outlay.uninstrument()
