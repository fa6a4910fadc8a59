"""What does the model say, token by token, and where is it cut off?

Invariant: the tokens billed for an answer never exceed the request's maximum and equal it
exactly when the answer is cut by it.
"""

from __future__ import annotations

import codecs
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .catalog import Model
from .script import Reply
from .tokens import encode, encoding, scaled

# Each is one token of o200k_base and cl100k_base, with the space before it and, the first, alone.
_WORDS = ("one", " two", " red", " cat", " sun", " map", " big", " way", " old", " run", " new")
_FILL = 256
_REASONING = 64
_PIECES = 50


@dataclass(frozen=True)
class Chunk:
    """A piece of an answer: some ``text``, the start of tool ``call``, or its ``args``.

    ``spent`` is what the answer has used up to and including it, in the model's tokens.
    """

    kind: str
    text: str
    call: int
    spent: int


@dataclass(frozen=True)
class SpokenCall:
    """A tool call as far as it was generated."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    """One choice of the model.

    Attributes:
        text: What it said, as far as it got.
        calls: The tools it called, as far as it got.
        chunks: The same in pieces.
        reasoning: Hidden tokens, part of ``tokens``.
        tokens: All tokens to bill.
        finish: ``stop``, ``length``, ``tools`` or ``sequence``.
        sequence: The stop sequence it ran into.
    """

    text: str
    calls: Sequence[SpokenCall]
    chunks: Sequence[Chunk]
    reasoning: int
    tokens: int
    finish: str
    sequence: str | None


@functools.lru_cache(maxsize=256)
def text_of_tokens(encoding_name: str, tokens: int) -> str:
    """Returns a text of exactly that many tokens.

    Raises:
        ValueError: The encoding splits the text otherwise.
    """
    repeated = itertools.cycle((f" {_WORDS[0]}", *_WORDS[1:]))
    text = "".join(itertools.islice(repeated, tokens)).removeprefix(" ")
    if len(encode(encoding_name, text)) != tokens:
        raise ValueError(f"no text of {tokens} tokens in `{encoding_name}`")
    return text


@functools.lru_cache(maxsize=64)
def generate(
    model: Model,
    reply: Reply,
    maximum: int | None,
    stops: tuple[str, ...],
    last_user: str,
    thinks: bool,
) -> Answer:
    """Works out one answer of the model.

    Args:
        model: Who speaks.
        reply: What the script says.
        maximum: The most tokens the request allows, or None.
        stops: Texts it stops before.
        last_user: The user's last message, for ``Reply.echo``.
        thinks: Whether hidden tokens come first.
    """
    limit = model.max_output if maximum is None else maximum
    hidden = reply.reasoning_tokens
    if hidden is None:
        hidden = _REASONING if thinks else 0
    reasoning = min(hidden, limit)
    left = limit - reasoning
    text, exact = _speech(model, reply, left, maximum, last_user)
    text, sequence = _stopped(text, stops)
    room = left if exact is None else min(left, exact)
    chunks, calls, used = _spoken(model, reply, text, room, reasoning)
    whole = used <= room or (exact is not None and exact <= left)
    said = "".join(chunk.text for chunk in chunks if chunk.kind == "text")
    filled = reply.fill and maximum is not None and sequence is None
    cut = reasoning < hidden or not whole or filled
    if cut:
        finish = "length"
    elif calls:
        finish = "tools"
    else:
        finish = "stop" if sequence is None else "sequence"
    spent = reasoning + min(used, room)
    return Answer(said, calls, chunks, reasoning, spent, finish, None if cut else sequence)


def _speech(
    model: Model, reply: Reply, left: int, maximum: int | None, last_user: str
) -> tuple[str, int | None]:
    """Returns what the script lets it say and, where it asks for one, the exact count."""
    if reply.text is not None:
        return reply.text, None
    wanted = reply.tokens
    if reply.fill:
        wanted = left if maximum is not None else min(left, _FILL)
    if wanted is not None:
        # Enough of the encoding's tokens to make up the model's; what they make up beyond
        # the count asked for is not billed, so that the count is exact.
        enough = min(wanted, left + 1)
        count = math.floor(enough / model.factor)
        count += scaled(model, count) < enough
        return text_of_tokens(model.encoding, count), None if reply.tool_calls else wanted
    if reply.echo:
        return last_user, None
    return "" if reply.tool_calls else "Hello.", None


def _stopped(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _spoken(
    model: Model, reply: Reply, text: str, room: int, reasoning: int
) -> tuple[list[Chunk], list[SpokenCall], int]:
    """Cuts text and calls into chunks within ``room`` tokens; also says what all would take."""
    size = reply.chunk_tokens
    chunks: list[Chunk] = []
    calls: list[SpokenCall] = []
    done = 0

    def spend(tokens: int) -> int:
        return reasoning + min(scaled(model, tokens), room)

    def fits(tokens: int) -> bool:
        return scaled(model, tokens - 1) < room if tokens else True

    def say(kind: str, ids: Sequence[int], call: int) -> str:
        nonlocal done
        said = []
        for piece, count in _pieces(model.encoding, ids, size):
            done += count
            chunks.append(Chunk(kind, piece, call, spend(done)))
            said.append(piece)
        return "".join(said)

    def within(ids: Sequence[int]) -> Sequence[int]:
        if fits(done + len(ids)):
            return ids
        low, high = 0, len(ids)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(done + middle) else (low, middle - 1)
        return ids[:low]

    ids = encode(model.encoding, text)
    wanted = len(ids)
    say("text", within(ids), 0)
    for index, call in enumerate(reply.tool_calls):
        name, arguments = encode(model.encoding, call.name), encode(model.encoding, call.arguments)
        wanted += len(name) + len(arguments)
        if not fits(done + len(name)) or done + len(name) + len(arguments) < wanted:
            continue
        done += len(name)
        chunks.append(Chunk("call", call.name, index, spend(done)))
        calls.append(SpokenCall(call.name, say("args", within(arguments), index)))
    return chunks, calls, scaled(model, wanted)


def _pieces(name: str, ids: Sequence[int], size: int | None) -> Iterator[tuple[str, int]]:
    """Yields pieces of text with their tokens; half a character waits for its other half."""
    if not ids:
        return
    step = size or math.ceil(len(ids) / _PIECES)
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    engine = encoding(name)
    for at in range(0, len(ids), step):
        piece = ids[at : at + step]
        yield decoder.decode(engine.decode_bytes(list(piece))), len(piece)
