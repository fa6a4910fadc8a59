"""`make demo-llm`: the same agent as in `demo.py`, with a real language model on this machine.

Nothing is scripted: what the model says, counts and caches is its own. It may answer in valid
JSON at once, and then the demo says so and ends. Needs what `demo.py` needs, and the wheels that
`llm_server.py` names (350 MB).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import agent
import llm_server
import outlay
import screen

TASK = "order-4711"
LIMIT_USD = "0.003"
MAX_TOKENS = 64
# Both are far away from where the money ends.
CALLS_MAX = 24
TIME_MAX_S = 120
PRICES = {"input": "1.00", "cache_read": "0.10", "output": "4.00"}

SYSTEM_PROMPT = "You decide about refunds. Every answer is one JSON object and nothing else."
QUESTION = 'Order 4711 arrived broken. Answer with {"order": number, "refund": true or false}.'


def ask(running: Any, table: agent.CallTable, store: str) -> tuple[outlay.Task, str | None]:
    """Runs the agent once; returns its task, and its answer if the model found one."""
    screen.code(
        f'with outlay.task("refund", id="{TASK}", usd={LIMIT_USD}, llm_calls={CALLS_MAX}):',
        "    agent.invoke(question)",
    )
    table.explain()
    table.head()
    config = {"configurable": {"thread_id": TASK}, "recursion_limit": 10 * CALLS_MAX}
    block = outlay.task(
        "refund",
        id=TASK,
        usd=LIMIT_USD,
        llm_calls=CALLS_MAX,
        store=store,
    )
    try:
        with block as task:
            state = running.invoke({"messages": [("user", QUESTION)]}, config)
            answer: str = state["messages"][-1].text
            return task, answer
    except outlay.BudgetExceeded as refusal:
        print(f"\nBudgetExceeded: {refusal}")
        return task, None


def run(folder: Path, server: llm_server.Server) -> None:
    """Shows it all."""
    outlay.configure(prices={server.model: PRICES})
    table = agent.CallTable(TIME_MAX_S, quotes=True)
    running = agent.build(
        server.base_url,
        server.model,
        table,
        system_prompt=SYSTEM_PROMPT,
        max_tokens=MAX_TOKENS,
        stop=llm_server.STOP,
    )
    screen.step(f"1. The agent must answer in valid JSON. It may spend {LIMIT_USD} USD")
    task, answer = ask(running, table, f"sqlite:{folder / 'ledger.db'}")
    print()
    totals = task.summary().totals
    if answer is None:
        screen.claim("the call that does not fit was not sent", table.sent == totals.calls)
    else:
        print(f"The model did answer in valid JSON, so nothing had to stop it: {answer.strip()}\n")
        screen.claim("the answer is valid JSON", agent.json_fault(answer) is None)

    screen.step("2. What it came to: the ledger, a SQLite file, read by another process")
    screen.outlay_command(folder, "show", TASK, "--store", "sqlite:ledger.db")

    counted = (totals.input_tokens, totals.cache_read_tokens, totals.output_tokens)
    reported = (table.input_tokens, table.cached_tokens, table.output_tokens)
    screen.claim("the ledger has the tokens that the server reported", counted == reported)
    screen.claim(
        "the charge is those tokens at the price above", task.spent.nanos == price_of(*reported)
    )
    screen.claim(f"it stayed within {LIMIT_USD} USD", task.spent.usd <= outlay.Money(LIMIT_USD).usd)


def price_of(input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
    """Returns what these tokens cost in nano-USD, worked out apart from outlay."""
    # One USD per million tokens is a thousand nano-USD per token.
    return 1_000 * (input_tokens - cached_tokens) + 100 * cached_tokens + 4_000 * output_tokens


def main() -> int:
    """Returns the exit code."""
    print("Outlay: an agent that cannot overspend, with a real model\n")
    print("The agent is LangChain's create_agent with the real openai client. The model is real:")
    print("Gemma 3 with 270 million parameters in llama.cpp, on one core of this machine. It is a")
    print("base model, too small to follow instructions, and it counts its own tokens.\n")
    screen.prepare()
    outlay.instrument()
    try:
        with tempfile.TemporaryDirectory() as folder, llm_server.running() as server:
            print(f"It was loaded in {server.load_s:.1f} s.")
            print("Nobody sells this model, and what has no price is refused. So it is given one,")
            print("made up for this demo, in USD per million tokens:")
            screen.code(f"outlay.configure(prices={json.dumps({server.model: PRICES})})")
            run(Path(folder), server)
    except llm_server.NotStarted as error:
        print(f"\nmodel server: {error}\nit needs: {' '.join(llm_server.REQUIREMENTS)}")
        return 1
    return screen.verdict()


if __name__ == "__main__":
    sys.exit(main())
