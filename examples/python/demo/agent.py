"""The agent of both demos: it must answer in valid JSON, and asks again until it does.

A LangChain agent with the real openai client. What bounds it is the task its calls run under; what
is printed is read from that task.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import outlay
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, hook_config
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from outlay.integrations.langchain import OutlayMiddleware
from pydantic import SecretStr

QUOTED = 30


def json_fault(text: str) -> str | None:
    """Returns why the text is no JSON object, or None if it is one."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        what = error.msg.partition(" enclosed")[0].removesuffix(" at").lower()
        return f"line {error.lineno}: {what}"
    return None if isinstance(value, dict) else f"a {type(value).__name__}, not an object"


class AnswerInJson(AgentMiddleware[Any, Any, Any]):
    """Sends the model back to work while its answer is not a JSON object."""

    @hook_config(can_jump_to=["model"])
    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        answer = state["messages"][-1]
        if answer.tool_calls or (fault := json_fault(answer.text)) is None:
            return None
        again = f"That is not valid JSON, {fault}. Answer again, with the JSON object only."
        return {"messages": [HumanMessage(again)], "jump_to": "model"}


class CallTable(AgentMiddleware[Any, Any, Any]):
    """Prints one line for each call of the model, when it has been settled.

    Attributes:
        sent: HTTP requests that left this process.
        input_tokens, cached_tokens, output_tokens: what the server reported to the agent.
        http: the client to send with.
    """

    def __init__(self, time_max_s: float = math.inf, *, quotes: bool = False) -> None:
        """Begins.

        Args:
            time_max_s: from now on, no call is made after so many seconds.
            quotes: whether to print what the model said, or why it is no JSON.
        """
        super().__init__()
        self._quotes = quotes
        self._ends_at = time.monotonic() + time_max_s
        self.sent = 0
        self.input_tokens = self.cached_tokens = self.output_tokens = 0
        self._held = outlay.Money(0)
        # No proxy: everything is on this machine.
        self.http = httpx.Client(
            trust_env=False, timeout=60, event_hooks={"request": [self._request_leaves]}
        )

    def explain(self) -> None:
        """Prints what its lines mean."""
        print("Before a call leaves, its worst case is held; after it, what it used is charged.")
        print("Tokens, and USD rounded to a millionth:\n")

    def head(self) -> None:
        """Prints the headings."""
        print("call   input  cached  output      held   charged      left  valid JSON?")

    def _request_leaves(self, request: httpx.Request) -> None:
        self.sent += 1
        task = outlay.current()
        assert task is not None
        self._held = task.pending

    def wrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]
    ) -> ModelResponse:
        task = outlay.current()
        assert task is not None
        if time.monotonic() > self._ends_at:
            raise TimeoutError("the time of this demo is over")
        before = task.spent
        response = handler(request)
        answer = response.result[-1]
        assert isinstance(answer, AIMessage)
        assert answer.usage_metadata is not None
        usage = answer.usage_metadata
        cached = usage.get("input_token_details", {}).get("cache_read", 0)
        self.input_tokens += usage["input_tokens"]
        self.cached_tokens += cached
        self.output_tokens += usage["output_tokens"]
        left = task.available
        assert left is not None
        print(
            f"{self.sent:4}  {usage['input_tokens']:6}  {cached:6}  {usage['output_tokens']:6}"
            f"  {self._held.usd:8.6f}  {task.spent.usd - before.usd:8.6f}  {left.usd:8.6f}"
            f"  {_said(answer, self._quotes)}",
            flush=True,
        )
        return response


def _said(answer: AIMessage, quotes: bool) -> str:
    if answer.tool_calls:
        return "it calls " + ", ".join(call["name"] for call in answer.tool_calls)
    if (fault := json_fault(answer.text)) is None:
        return "yes"
    if quotes:
        said = " ".join(answer.text.split())
        return f"no: {said[:QUOTED]}{'...' if len(said) > QUOTED else ''}"
    return f"no, {fault}"


def build(
    base_url: str,
    model: str,
    table: CallTable,
    *,
    system_prompt: str,
    max_tokens: int,
    tools: Sequence[Callable[..., Any]] = (),
    stop: Sequence[str] | None = None,
) -> Any:
    """Makes the agent.

    Args:
        base_url: where the model is served.
        model: its name.
        table: what prints its calls.
        system_prompt: what it is told first.
        max_tokens: the most one answer may have.
        tools: what it can call.
        stop: texts an answer ends before.
    """
    chat = ChatOpenAI(
        base_url=base_url,
        model=model,
        api_key=SecretStr("none"),
        max_tokens=max_tokens,  # type: ignore[call-arg]
        stop_sequences=list(stop) if stop else None,
        http_client=table.http,
        use_responses_api=False,
    )
    return create_agent(
        chat,
        tools=list(tools),
        system_prompt=system_prompt,
        # Outlay's counts tools and says which agent spends; the money is held by the client.
        middleware=[AnswerInJson(), table, OutlayMiddleware()],
        name="refunds-desk",
        # Keeps the conversation, so that a second attempt goes on where the first was stopped.
        checkpointer=InMemorySaver(),
    )
