"""How many tokens is a text, a chat, a tool, an image?

Invariant: text is counted by Python tiktoken and by nothing else.

A prompt is kept as one sequence of token ids, with a negative number for each token that no
text stands for (frames, images). Its length is the count and its prefixes are what a prompt
cache would hold.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .catalog import Model

if TYPE_CHECKING:
    import tiktoken

FRAME = -1
IMAGE = -2
# An image whose size we cannot read is taken as a square of this side.
_SIDE = 1024
_REMEMBERED = 8192
_PIECE = 65_536


@functools.cache
def encoding(name: str) -> tiktoken.Encoding:
    """Returns tiktoken's encoding of that name, built once without any download."""
    from .. import _tiktoken_offline

    return _tiktoken_offline.encoding(name)


def encode(name: str, text: str) -> Sequence[int]:
    """Returns the token ids of a text; special tokens in it are plain text."""
    return _encode_short(name, text) if len(text) <= _REMEMBERED else _encode(name, text)


@functools.lru_cache(maxsize=1024)
def _encode_short(name: str, text: str) -> tuple[int, ...]:
    return tuple(_encode(name, text))


def _encode(name: str, text: str) -> list[int]:
    try:
        return encoding(name).encode_ordinary(text)
    except (KeyboardInterrupt, SystemExit, GeneratorExit, UnicodeError):
        raise
    except BaseException:
        # tiktoken's engine panics (a BaseException) on very long runs of spaces.
        if len(text) <= _PIECE:
            raise
        pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        return [token for piece in pieces for token in encoding(name).encode_ordinary(piece)]


def scaled(model: Model, tokens: int) -> int:
    """Returns how many tokens of the model that many tokens of its encoding are, rounded up."""
    return tokens if model.factor == 1 else math.ceil(model.factor * tokens)


def chat(model: Model, messages: Iterable[dict[str, Any]], tools: Iterable[Any]) -> list[int]:
    """Returns the prompt of an OpenAI chat as a token sequence.

    The rule is the one of OpenAI's cookbook: three tokens a message, the role, the content,
    one and the name if there is one, three at the end; tools as ``_tool`` says. The cookbook
    is silent on tool calls in the history: each counts its name, its arguments and three.
    """
    sequence: list[int] = []
    declared = [token for tool in tools for token in _tool(model, tool)]
    if declared:
        sequence += declared + [FRAME] * 12
    for message in messages:
        # The older `function` messages take two less.
        sequence += [FRAME] * (1 if message.get("role") == "function" else 3)
        sequence += encode(model.encoding, str(message.get("role", "")))
        sequence += content(model, message.get("content"))
        if message.get("name"):
            sequence += [FRAME, *encode(model.encoding, str(message["name"]))]
        older = [{"function": message["function_call"]}] if message.get("function_call") else []
        for call in [*(message.get("tool_calls") or ()), *older]:
            function = call.get("function") or {}
            sequence += [FRAME] * 3
            sequence += encode(model.encoding, str(function.get("name", "")))
            sequence += encode(model.encoding, str(function.get("arguments", "")))
    return sequence + [FRAME] * 3


def _tool(model: Model, tool: Any) -> list[int]:
    """The cookbook's rule for a declared function; nested properties count as their JSON."""
    function = tool.get("function", tool)
    described = f"{function.get('name', '')}:{_without_stop(function.get('description'))}"
    sequence = [FRAME] * 7 + list(encode(model.encoding, described))
    schema = function.get("parameters")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not properties:
        return sequence
    sequence += [FRAME] * 3
    for key, field in properties.items():
        sequence += [FRAME] * 3
        options = field.get("enum") or ()
        # Enumerations take three away and give three and the text for each choice.
        sequence += [FRAME] * max(0, 3 * len(options) - 3)
        for option in options:
            sequence += encode(model.encoding, str(option))
        kind, about = field.get("type", "object"), _without_stop(field.get("description"))
        sequence += encode(model.encoding, f"{key}:{kind}:{about}")
        inner = {name: field[name] for name in ("items", "properties") if name in field}
        if inner:
            sequence += encode(model.encoding, json.dumps(inner))
    return sequence


def _without_stop(text: object) -> str:
    return str(text or "").removesuffix(".")


def content(model: Model, parts: object) -> list[int]:
    """Returns the tokens of a message's content: text, or a list of text and image parts.

    Raises:
        TypeError: It is something else.
    """
    if parts is None:
        return []
    if isinstance(parts, str):
        return list(encode(model.encoding, parts))
    if not isinstance(parts, list):
        raise TypeError("content must be a text or a list of parts")
    sequence: list[int] = []
    for part in parts:
        if isinstance(part, str):
            sequence += encode(model.encoding, part)
        elif part.get("type") in ("image_url", "input_image"):
            sequence += [IMAGE] * _openai_image(model, part)
        elif part.get("type") == "image":
            width, height = _size((part.get("source") or {}).get("data", ""))
            sequence += [IMAGE] * _area(model, width, height)
        elif isinstance(part.get("text"), str):
            sequence += encode(model.encoding, part["text"])
        else:
            sequence += encode(model.encoding, json.dumps(part))
    return sequence


def text_of(parts: object) -> str:
    """Returns the plain text of a message's content, without images."""
    if isinstance(parts, str):
        return parts
    if not isinstance(parts, list):
        return ""
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts)


def _openai_image(model: Model, part: dict[str, Any]) -> int:
    source = part.get("image_url")
    nested = source if isinstance(source, dict) else {"url": source, "detail": part.get("detail")}
    url = str(nested.get("url") or "")
    width, height = _size(url.partition(";base64,")[2] if url.startswith("data:") else "")
    kind, one, two = model.image
    if kind == "patches":
        patches = min(math.ceil(width / 32) * math.ceil(height / 32), int(two))
        return math.ceil(patches * one)
    if nested.get("detail") == "low":
        return int(one)
    long, short = max(width, height), min(width, height)
    scale = min(Fraction(1), Fraction(2048, long))
    scale = min(scale, Fraction(768, short))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return int(one + two * tiles)


def _area(model: Model, width: int, height: int) -> int:
    _, divisor, most = model.image
    scale = min(Fraction(1), Fraction(1568, max(width, height)))
    return min(int(most), math.ceil(width * height * scale * scale / divisor))


def _size(encoded: object) -> tuple[int, int]:
    """Reads width and height from a base64 PNG; anything else is taken as 1024 by 1024."""
    try:
        head = base64.b64decode(str(encoded)[:64], validate=True)
    except (binascii.Error, ValueError):
        return _SIDE, _SIDE
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        return _SIDE, _SIDE
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    return max(1, width), max(1, height)
