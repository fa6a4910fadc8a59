"""What shall the provider do with the next request?

Invariant: a request takes exactly one :class:`Reply`, from the first of these that has one:
its own ``x-outlay-reply`` header, the queue, the seeded mix, the default.
"""

from __future__ import annotations

import json
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Behaviour = Literal[
    "plain", "drop_head", "drop_middle", "stall_head", "stall_middle", "error_middle"
]
UsageForm = Literal["true", "missing", "no_final", "null", "negative", "strings", "floats", "huge"]

# A queue that nobody empties is a mistake in the test.
QUEUE_MAX = 100_000


@dataclass(frozen=True)
class ToolCall:
    """A tool call the model makes: the tool's name and its arguments as JSON text."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Reply:
    """What the provider answers to one request.

    What is said: ``text``; or ``tokens``, a text of exactly so many of the model's tokens; or
    ``fill``, all the request's maximum (256 if it sets none); or ``echo``, the last user
    message; or ``tool_calls``, alone or after the text. Without any of them: ``Hello.``

    How it goes: a ``status`` of 400 or more refuses and costs nothing. The behaviours are
    ``drop_head`` (closes the connection before any answer), ``drop_middle`` (after half the
    body, or after ``after_chunks`` pieces of a stream), ``stall_head`` and ``stall_middle``
    (the same places, silent for ``stall_s``, then goes on if anybody is left) and
    ``error_middle`` (an error event inside the stream; without a stream, a 500).

    Attributes:
        reasoning_tokens: Hidden output before the answer; None is 64 for models that reason
            and 0 for others. It is part of the output and of the request's maximum.
        chunk_tokens: Tokens in one piece of a stream; None makes at most 50 pieces.
        chunk_ms: Silence between pieces. At 0 a whole stream can be on its way before a
            client has read its first piece, and what is on its way is billed.
        retry_after_s: Sent with a refusal as ``retry-after`` and ``retry-after-ms``.
        usage: ``true``, or a form no client should trust; the bill is true all the same.
            ``no_final`` leaves it out at the end of a stream only (Anthropic's start has it).
        billed: Whether a reply that is refused or lost costs. None: a status of 400 or more
            and ``error_middle`` outside a stream do not, everything else does.

    Example:
        >>> hasty = Reply(text="Hi", latency_ms=5)
        >>> refused = Reply(status=429, retry_after_s=0.01)
        >>> broken = Reply(fill=True, behaviour="drop_middle", after_chunks=3)
    """

    text: str | None = None
    tokens: int | None = None
    fill: bool = False
    echo: bool = False
    tool_calls: Sequence[ToolCall] = ()
    reasoning_tokens: int | None = None
    status: int = 200
    retry_after_s: float | None = None
    latency_ms: float = 0
    chunk_ms: float = 0
    chunk_tokens: int | None = None
    behaviour: Behaviour = "plain"
    after_chunks: int = 1
    stall_s: float = 3600
    usage: UsageForm = "true"
    billed: bool | None = None

    def __post_init__(self) -> None:
        if self.behaviour not in get_args(Behaviour):
            raise ValueError(f"unknown behaviour `{self.behaviour}`")
        if self.usage not in get_args(UsageForm):
            raise ValueError(f"unknown usage `{self.usage}`")
        for name in ("tokens", "reasoning_tokens", "chunk_tokens", "after_chunks", "status"):
            value = getattr(self, name)
            least = {"chunk_tokens": 1, "status": 200}.get(name, 0)
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(f"`{name}` must be a whole number from {least}: `{value}`")
        for name in ("retry_after_s", "latency_ms", "chunk_ms", "stall_s"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
            ):
                raise ValueError(f"`{name}` must be a number from 0: `{value}`")
        if self.status > 599 or 299 < self.status < 400:
            raise ValueError(f"`status` must be 200 to 299 or 400 to 599: `{self.status}`")
        # From JSON and from lists alike.
        calls = tuple(
            call if isinstance(call, ToolCall) else ToolCall(**call) for call in self.tool_calls
        )
        object.__setattr__(self, "tool_calls", calls)

    @classmethod
    def invalid_json(cls, **more: Any) -> Reply:
        """Returns a reply that looks like JSON and is not: for agents that must parse it."""
        return cls(text='{"answer": "the sum is 42", "sources": [', **more)

    @classmethod
    def tool(cls, name: str, arguments: Mapping[str, Any] | str = "{}", **more: Any) -> Reply:
        """Returns a reply that calls one tool.

        Args:
            name: The tool.
            arguments: A mapping, or JSON text (valid or not).
            more: Further fields of :class:`Reply`.
        """
        text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
        return cls(tool_calls=(ToolCall(name, text),), **more)

    @classmethod
    def from_json(cls, fields_given: object) -> Reply:
        """Reads a reply from the JSON object that :meth:`to_json` makes.

        Raises:
            ValueError: It is no such object, or a field is unknown or out of range.
        """
        if not isinstance(fields_given, dict):
            raise ValueError("a reply is a JSON object")
        unknown = set(fields_given) - {known.name for known in fields(cls)}
        if unknown:
            raise ValueError(f"a reply has no field `{min(unknown)}`")
        try:
            return cls(**fields_given)
        except TypeError as error:
            raise ValueError(str(error)) from None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields that differ from the default, as a JSON object."""
        told = {
            known.name: getattr(self, known.name)
            for known in fields(self)
            if getattr(self, known.name) != known.default
        }
        if "tool_calls" in told:
            told["tool_calls"] = [vars(call) for call in self.tool_calls]
        return told


class Script:
    """The queue, the mix and the default of one provider. Runs on the server's thread only."""

    def __init__(self) -> None:
        self.queue: deque[Reply] = deque()
        self.default = Reply()
        self._weights: list[float] = []
        self._replies: list[Reply] = []
        self._random = random.Random(0)

    def mix(self, seed: int, choices: Sequence[tuple[float, Reply]]) -> None:
        """Draws every further reply from these weights; an empty list stops it.

        Raises:
            ValueError: The weights are negative or all zero.
        """
        weights = [float(weight) for weight, _ in choices]
        if choices and (min(weights) < 0 or not 0 < sum(weights) < math.inf):
            raise ValueError("weights must be from 0 and not all 0")
        self._weights, self._replies = weights, [reply for _, reply in choices]
        self._random = random.Random(seed)

    def enqueue(self, replies: Sequence[Reply]) -> None:
        """Adds replies for the next requests.

        Raises:
            ValueError: The queue would hold more than 100,000.
        """
        if len(self.queue) + len(replies) > QUEUE_MAX:
            raise ValueError(f"the queue holds at most {QUEUE_MAX} replies")
        self.queue.extend(replies)

    def next(self, header: str | None) -> Reply:
        """Returns the reply for a request that has arrived.

        Raises:
            ValueError: The request's own header is no reply.
        """
        if header is not None:
            return Reply.from_json(json.loads(header))
        if self.queue:
            return self.queue.popleft()
        if self._replies:
            return self._random.choices(self._replies, self._weights)[0]
        return self.default

    def apply(self, order: Mapping[str, Any]) -> None:
        """Carries out the script part of a control message (``docs`` of ``POST /control``)."""
        if order.get("clear"):
            self.queue.clear()
        if "default" in order:
            self.default = Reply.from_json(order["default"])
        if "mix" in order:
            mix = order["mix"] or {}
            pairs = [(weight, Reply.from_json(reply)) for weight, reply in mix.get("choices", ())]
            self.mix(int(mix.get("seed", 0)), pairs)
        if "queue" in order:
            self.enqueue([Reply.from_json(reply) for reply in order["queue"]])


def as_error_500(reply: Reply) -> Reply:
    """Returns what ``error_middle`` means where there is no stream to break."""
    return replace(reply, status=500, behaviour="plain")
