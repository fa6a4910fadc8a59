"""How does a LangChain agent (1.x) stay inside its budget, whatever model it asks?

Put `OutlayMiddleware()` last into the agent's middleware. Where the model asks through a guarded
client, that client reserves, once per HTTP attempt, and the middleware only tells it whose call it
is; else the middleware reserves, from the messages, and settles by the usage LangChain reports.

Not covered: a model class with an HTTP client of its own that repeats a request by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import convert_to_openai_messages
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.types import interrupt

from .._context import current_frame, current_options, current_task
from .._native import Usage
from .._options import read_shares
from .._usage import extract_usage
from ..errors import ApprovalRequired, BudgetExceeded, InvalidInput, OutlayError
from ..task import Task, current_or_default
from . import _langchain_finish as finish
from . import anthropic, google, openai
from ._frame import Frame
from ._hooks import Act, Handle, Reserve, Steps, run, run_async
from ._langchain_status import told
from ._langchain_watch import messages_of, model_call, tool_call
from ._stainless import Ask

_Request: TypeAlias = Any
_Handler: TypeAlias = Callable[[Any], Any]

# Packages whose chat models ask through a client that can be guarded.
_CLIENTS = {
    "langchain_openai": openai,
    "langchain_anthropic": anthropic,
    "langchain_google_genai": google,
}
# What a chat model may define to ask its model.
_ASKING = ("_generate", "_agenerate", "_stream", "_astream")
# Where classes of chat models keep the maximum of their answers.
_MAXIMA = ("max_tokens", "max_output_tokens", "max_completion_tokens", "num_predict")
_TURN_MAX = 64
# What no name of a turn may have.
_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
# Where LangGraph keeps the checkpointer of the graph that runs.
_CHECKPOINTER = "__pregel_checkpointer"


class OutlayMiddleware(AgentMiddleware[Any, Any, Any]):
    """Keeps an agent inside the budgets of the task it runs under.

    Calls of models are reserved before they are made, calls of tools are counted; what does not
    fit raises `BudgetExceeded` out of the agent. Inside a task, what an agent with a name does is
    a task of its own with the tag `agent`. Under `breaker=`, the model is told when it goes in
    circles, then refused the call, and then `ApprovalRequired` or `BreakerTripped` is raised.

    Under `on_limit="ask"` an agent with a checkpointer is interrupted where a limit is in the way,
    with ``{"approval": ID, "message": …}``. Once approved, ``Command(resume=True)`` goes on. Under
    `on_limit="finish"` nothing is raised there: the model is told that the budget is spent, and
    asked for its answer, once and without tools.

    Args:
        tell_budget: tell the model what is left when 25, 50, 75 and 90 per cent of a limit are
            used, or so many: at the end of one request, so that what is cached stays good.

    Example:
        >>> import outlay.testing
        >>> from langchain.agents import create_agent
        >>> from langchain_openai import ChatOpenAI
        >>> outlay.instrument()
        >>> with outlay.testing.Provider() as provider:
        ...     model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key="any")
        ...     agent = create_agent(model, middleware=[OutlayMiddleware()], name="support")
        ...     with outlay.task("refund", usd=0.50, tool_calls=20, store="memory:") as task:
        ...         answer = agent.invoke({"messages": [("user", "Where is my money?")]})
        ...     task.spent.nanos == provider.bill().cost_nanos
        True
        >>> outlay.uninstrument()
    """

    def __init__(self, *, tell_budget: bool | Iterable[int] = False) -> None:
        super().__init__()
        self._shares = read_shares(tell_budget)

    def wrap_model_call(self, request: _Request, handler: _Handler) -> Any:
        """Lets the model be asked if that fits; for LangChain."""
        return run(self._model_call(request), handler)

    async def awrap_model_call(self, request: _Request, handler: _Handler) -> Any:
        """The same on an event loop."""
        return await run_async(self._model_call(request), handler)

    def wrap_tool_call(self, request: _Request, handler: _Handler) -> Any:
        """Counts the call of a tool, and lets it happen if that fits; for LangChain."""
        return run(_tool_call(request), handler)

    async def awrap_tool_call(self, request: _Request, handler: _Handler) -> Any:
        """The same on an event loop."""
        return await run_async(_tool_call(request), handler)

    def _model_call(self, request: _Request) -> Steps[Any]:
        with _asking(), _under((yield Act(_task_of_agent))):
            if not finish.is_due():
                try:
                    sent = yield Act(lambda: told(request, self._shares))
                    return (yield from _asked(request, sent))
                except BudgetExceeded as error:
                    finish.after(error)
            with finish.asking():
                sent = yield Act(lambda: finish.last_request(request))
                return (yield from _asked(request, sent))


def _asked(request: _Request, sent: _Request) -> Steps[Any]:
    """Asks the model; `sent` is the request with what it is told besides."""
    with _framed(sent) as frame, model_call(request, sent) as watched:
        yield Act(watched.asked)
        if not _client_below(sent.model):
            ask = yield Act(lambda: _ask(sent))
            exchange = yield Reserve(ask)
            frame.hold(exchange)
            sent = _with_word(sent, exchange)
            watched.sends(sent)
        try:
            response = yield Handle(sent)
        except BaseException as error:
            failure = error
            yield Act(lambda: frame.failed(failure), ends=True)
            raise
        yield Act(lambda: frame.settle(_usage(response)), ends=True)
        yield Act(lambda: watched.answered(response))
        return response


def _tool_call(request: _Request) -> Steps[Any]:
    with _asking(), _under((yield Act(_task_of_agent))), tool_call(request) as watched:
        if refusal := (yield Act(watched.refusal)):
            return refusal
        try:
            running = yield Act(lambda: _count(request))
        except BudgetExceeded as error:
            return finish.not_called(request, error)
        try:
            with finish.within(request), running:
                answer = yield Handle(request)
            return (yield Act(lambda: watched.answered(answer)))
        except BudgetExceeded as error:
            return finish.cut_short(request, error)
        except OutlayError:
            raise
        except Exception as error:
            failure = error
            yield Act(lambda: watched.failed(failure))
            raise


@contextmanager
def _asking() -> Generator[None, None, None]:
    """Makes a call that needs approval an interrupt, where the agent can be resumed after one."""
    try:
        yield
    except ApprovalRequired as required:
        # The breaker asks without an id: going on is `Task.excuse`, not a grant.
        if "id" in required.fields and ensure_config().get("configurable", {}).get(_CHECKPOINTER):
            interrupt({"approval": required.id, "message": str(required)})
        raise


def _task_of_agent() -> Task | None:
    """The task of the agent that runs, if it has one."""
    task = current_task.get()
    name = ensure_config().get("metadata", {}).get("lc_agent_name")
    return task._of_agent(name) if task is not None and isinstance(name, str) else task


@contextmanager
def _under(task: Task | None) -> Generator[None, None, None]:
    """Puts what runs inside under this task."""
    token = current_task.set(task)
    try:
        yield
    finally:
        current_task.reset(token)


@contextmanager
def _framed(request: _Request) -> Generator[Frame, None, None]:
    """Says whose call it is to what lies below."""
    frame = Frame(_turn(request.messages), above=current_frame.get())
    token = current_frame.set(frame)
    try:
        yield frame
    finally:
        current_frame.reset(token)


def _with_word(request: _Request, exchange: Any) -> _Request:
    """The request with what the breaker puts behind its last message."""
    patch: dict[str, Any] = exchange.body_patch or {}
    messages: list[Any] = patch.get("messages", [])
    last = request.messages[-1] if messages and request.messages else None
    if last is None or last.type not in ("human", "tool"):
        return request
    last = last.model_copy(update={"content": messages[-1]["content"]})
    return request.override(messages=[*request.messages[:-1], last])


def _count(request: _Request) -> AbstractContextManager[None]:
    """Counts the call of a tool; gives what to run it in."""
    # Two of these hooks may be stacked.
    if finish.is_inside(request):
        return nullcontext()
    tool = getattr(request.tool, "name", None)
    state: Any = request.state
    messages = state.get("messages") if hasattr(state, "get") else None
    turn = current_options.get().turn or _turn(messages or [])
    task = current_or_default()
    if task._trace is not None:
        return task._trace.tool(task._native.tool_call, tool or "unknown", turn)
    task.tool_call(tool or "unknown", turn=turn)
    return nullcontext()


def _turn(messages: Any) -> str | None:
    """The user's message that is being answered."""
    # A message without an id is no user's: it was put in on the way, as what is left of the budget.
    human = (each.id for each in reversed(messages) if each.type == "human" and each.id)
    turn = next(human, None)
    return str(turn).translate(_ESCAPED)[:_TURN_MAX] if turn else None


def _client_below(model: Any) -> bool:
    """Does every way this model is asked lead through a guarded client?"""
    kinds = type(model).__mro__
    owners = {next((kind for kind in kinds if name in vars(kind)), object) for name in _ASKING}
    packages = {owner.__module__.partition(".")[0] for owner in owners} - {"langchain_core"}
    guards = [_CLIENTS.get(package) for package in packages]
    return bool(guards) and all(guard is not None and guard._patches.on for guard in guards)


def _ask(request: _Request) -> Ask:
    model, settings = request.model, request.model_settings
    said = model._get_ls_params(**settings)
    name = said.get("ls_model_name") or type(model).__name__
    maxima = [settings.get(key) or getattr(model, key, None) for key in _MAXIMA]
    most = said.get("ls_max_tokens") or next((each for each in maxima if each), None)
    if most is None and current_options.get().max_usd is None:
        kind = type(model).__name__
        current_or_default()._native.unmetered(f"langchain {kind} without a maximum of output")
    messages = [*([request.system_message] if request.system_message else []), *request.messages]
    schema = getattr(request.response_format, "schema", None)
    tools = [*request.tools, *([schema] if schema is not None else [])]
    body: dict[str, Any] = {"model": name, "messages": convert_to_openai_messages(messages)}
    if tools:
        body["tools"] = [convert_to_openai_tool(tool) for tool in tools]
    body = body if most is None else {**body, "max_tokens": most}
    return Ask("openai.chat", body, own_model=True)


def _usage(response: Any) -> Usage | None:
    """What LangChain says was used; None if it does not say, or what cannot be."""
    messages = messages_of(response)
    told = [each.usage_metadata for each in messages if getattr(each, "usage_metadata", None)]
    if len(told) != 1:
        return None
    try:
        return extract_usage(told[0], provider="langchain")
    except InvalidInput:
        return None
