"""How does a LangChain agent answer once its budget is spent?

Under `on_limit="finish"` by one last call, paid from what its task has put by: the model is told
that the budget is spent, and no tool can be called. A call of a tool that a limit refuses is
answered instead of made, and the next question to the model is the last.

An agent that runs inside a tool of another does not finish so: the limit is the outer one's, which
may then answer. A limit that only a task inside the tool has ends no agent: it is raised.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage, ToolMessage

from .._call_options import call
from .._context import current_options, current_task
from ..errors import BudgetExceeded
from ._langchain_status import standing

if TYPE_CHECKING:
    from ..task import Task

# The call of a tool that this code runs in.
_inside: ContextVar[Any] = ContextVar("outlay_tool_call", default=None)

# How a model is told to call none of its tools. They stay where they are: what is cached begins
# with them, and Anthropic refuses a conversation with calls of tools that it does not know.
_NO_TOOL: dict[str, Any] = {
    "langchain_openai": "none",
    "langchain_anthropic": {"type": "none"},
    "langchain_google_genai": "none",
}


def is_due() -> bool:
    """Has a limit refused a call, so that the next one of this agent is the last?"""
    task = _finishing()
    return task is not None and task._is_finishing


def after(error: BudgetExceeded) -> None:
    """Notes that a limit was met.

    Raises:
        BudgetExceeded: the same, where the agent may not finish.
    """
    task = _finishing()
    if task is None:
        raise error
    task._is_finishing = True


def not_called(request: Any, error: BudgetExceeded) -> ToolMessage:
    """What the agent hears of a call of a tool that a limit refused.

    Raises:
        BudgetExceeded: as `after`.
    """
    after(error)
    return _refusal(request, f"{error}. This call was not made.")


def cut_short(request: Any, error: BudgetExceeded) -> ToolMessage:
    """What the agent hears of a tool in which a limit of its own task refused something.

    Raises:
        BudgetExceeded: as `after`, or the limit is not over the task of the agent.
    """
    task = _finishing()
    if task is None or not task._is_under(error):
        raise error
    after(error)
    return _refusal(request, f"{error}. This call was cut short.")


@contextmanager
def asking() -> Generator[None, None, None]:
    """Asks for the last answer."""
    task = current_task.get()
    try:
        with call(final=True):
            yield
    except BudgetExceeded:
        # The next question may be of a turn that has money left.
        if task is not None:
            task._is_finishing = False
        raise


@contextmanager
def within(request: Any) -> Generator[None, None, None]:
    """Runs a tool."""
    token = _inside.set(request.tool_call["id"])
    try:
        yield
    finally:
        _inside.reset(token)


def is_inside(request: Any) -> bool:
    """Does this code run in this very call of a tool already?"""
    called = request.tool_call["id"]
    return called is not None and called == _inside.get()


def last_request(request: Any) -> Any:
    """The request that asks for the last answer."""
    task = current_task.get()
    left = f"{text}. " if task is not None and (text := standing(task)[0]) else ""
    said = f"[Budget: {left}It is spent: answer now from what you have, no tool can be called.]"
    request = request.override(messages=[*request.messages, HumanMessage(said)])
    if not request.tools:
        return request
    packages = [kind.__module__.partition(".")[0] for kind in type(request.model).__mro__]
    none = next((_NO_TOOL[package] for package in packages if package in _NO_TOOL), None)
    if none is None or request.response_format is not None:
        return request.override(tools=[], tool_choice=None)
    return request.override(tool_choice=none)


def _refusal(request: Any, why: str) -> ToolMessage:
    called = request.tool_call
    said = f"[Budget: {why}]"
    return ToolMessage(said, tool_call_id=called["id"], name=called["name"], status="error")


def _finishing() -> Task | None:
    """The task this agent may finish by a last call, if it may."""
    task = current_task.get()
    # Two of these hooks may be stacked: what asks for the last answer already, does not ask again.
    may = _inside.get() is None and not current_options.get().final
    return task if may and task is not None and task._native.on_limit == "finish" else None
