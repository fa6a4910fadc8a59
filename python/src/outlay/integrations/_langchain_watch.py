"""What does the breaker of a task see of a LangChain agent, and what does the agent hear?"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.messages import ToolMessage

from .._context import current_task
from .._watch import Watch

# Two of these hooks may be stacked: the outer one watches.
_asked: ContextVar[Any] = ContextVar("outlay_watched_request", default=None)
_called: ContextVar[Any] = ContextVar("outlay_watched_tool_call", default=None)


def _watch() -> Watch | None:
    task = current_task.get()
    return task._watch if task is not None else None


def messages_of(response: Any) -> list[Any]:
    """The messages of a response, in whichever form a hook gets it."""
    response = getattr(response, "model_response", response)
    messages: list[Any] = getattr(response, "result", [response])
    return messages


def _conversation(watch: Watch | None, state: Any, messages: Any) -> dict[str, Any]:
    """Which conversation of the task it is, by the first words of the user, if somebody watches."""
    if watch is None:
        return {}
    said: list[Any] = (hasattr(state, "get") and state.get("messages")) or messages or []
    task = current_task.get()
    first = next((each.text for each in said if each.type == "human"), None)
    return {} if task is None or first is None else {"conversation": f"{task.id} {first}"}


def _gave(message: Any) -> dict[str, Any]:
    """The text of a message, and what stands beside it, as an image."""
    content = message.content
    parts = [] if isinstance(content, str) else [each for each in content if _is_other(each)]
    return {"result": message.text, "parts": parts}


def _is_other(part: Any) -> bool:
    return not isinstance(part, str) and part.get("type") != "text"


class Asked:
    """One call of a model, as the breaker sees it."""

    def __init__(self, request: Any, watch: Watch | None) -> None:
        self._messages = request.messages
        self._watch = watch
        self._conversation = _conversation(watch, request.state, request.messages)

    def asked(self) -> None:
        """The model is about to be asked."""
        if self._watch is None:
            return
        self._watch.go_on()
        if self._messages and self._messages[-1].type == "human":
            said: dict[str, Any] = {"kind": "user", **_gave(self._messages[-1])}
            self._watch.tell({**said, **self._conversation})

    def sends(self, request: Any) -> None:
        """This goes on to the next hook."""
        _asked.set(request.messages)

    def answered(self, response: Any) -> None:
        """The model has answered."""
        if self._watch is None:
            return
        for message in messages_of(response):
            if getattr(message, "type", None) == "ai":
                malformed = bool(message.invalid_tool_calls)
                said: dict[str, Any] = {"kind": "llm", "result": message.text}
                self._watch.tell({**said, "malformed": malformed, **self._conversation})


@contextmanager
def model_call(request: Any, sent: Any) -> Generator[Asked, None, None]:
    """Lets the breaker see what a model is asked.

    `sent` is what goes on to the next hook, with what the agent is told besides.
    """
    messages = request.messages
    watch = _watch() if _asked.get() is None or _asked.get() is not messages else None
    token = _asked.set(sent.messages)
    try:
        yield Asked(request, watch)
    finally:
        _asked.reset(token)


class Watched:
    """One call of a tool, as the breaker sees it."""

    def __init__(self, request: Any, watch: Watch | None) -> None:
        called = request.tool_call
        self._called = called
        self._watch = watch
        self._step: dict[str, Any] = {
            "kind": "tool",
            "name": called["name"],
            "args": called["args"],
        }
        state: Any = request.state
        messages: Any = state.get("messages") if hasattr(state, "get") else None
        self._step |= _conversation(watch, state, messages)
        together: Any = getattr(messages[-1], "tool_calls", None) if messages else None
        if together and len(together) > 1:
            # The calls of one answer run side by side: they count as one.
            self._step["batch"] = str(together[0]["id"])

    def refusal(self) -> ToolMessage | None:
        """What to answer instead of making the call, if it is refused."""
        said = self._watch.ask(self._step) if self._watch is not None else None
        called = self._called
        return (
            ToolMessage(said, tool_call_id=called["id"], name=called["name"], status="error")
            if said
            else None
        )

    def answered(self, answer: Any) -> Any:
        """The answer of the tool, with what the breaker says to it."""
        if self._watch is None or not isinstance(answer, ToolMessage):
            return answer
        failed = answer.status == "error"
        said = self._watch.tell({**self._step, **_gave(answer), "error": failed})
        if said is None:
            return answer
        content = answer.content
        if isinstance(content, str):
            added: Any = f"{content}\n\n{said}"
        else:
            added = [*content, {"type": "text", "text": said}]
        return answer.model_copy(update={"content": added})

    def failed(self, error: Exception) -> None:
        """The tool raised."""
        if self._watch is not None:
            said = f"{type(error).__name__}: {error}"
            self._watch.tell({**self._step, "result": said, "error": True})


@contextmanager
def tool_call(request: Any) -> Generator[Watched, None, None]:
    """Lets the breaker see the call of a tool."""
    called = request.tool_call["id"]
    watch = None if called and called == _called.get() else _watch()
    token = _called.set(called)
    try:
        yield Watched(request, watch)
    finally:
        _called.reset(token)
