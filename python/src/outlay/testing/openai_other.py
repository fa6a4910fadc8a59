"""How do OpenAI's embeddings, image generations and list of models answer?"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Sequence

from .bill import Usage
from .catalog import Model
from .tokens import encode
from .work import Call, Json, Refusal, State, Work, now_s, put_usage

_DIMENSIONS = 1536
# OpenAI's published output tokens of one image by quality and size.
_IMAGE_TOKENS = {
    ("low", "1024x1024"): 272,
    ("low", "1024x1536"): 408,
    ("low", "1536x1024"): 400,
    ("medium", "1024x1024"): 1056,
    ("medium", "1024x1536"): 1584,
    ("medium", "1536x1024"): 1568,
    ("high", "1024x1024"): 4160,
    ("high", "1024x1536"): 6240,
    ("high", "1536x1024"): 6208,
}


def embed(call: Call) -> Work:
    """Works out embeddings: unit vectors that depend on the text and mean nothing.

    Raises:
        Refusal: No such model, no input, or dimensions out of range.
    """
    model = call.model("openai")
    inputs = _inputs(call.body.get("input"), model)
    dimensions = call.body.get("dimensions") or _DIMENSIONS
    if type(dimensions) is not int or not 1 <= dimensions <= _DIMENSIONS:
        raise Refusal(400, f"`dimensions` must be from 1 to {_DIMENSIONS}", param="dimensions")
    as_text = call.body.get("encoding_format") == "base64"
    told: list[Json] = []
    for index, ids in enumerate(inputs):
        numbers = vector(ids, dimensions)
        packed = struct.pack(f"<{dimensions}f", *numbers)
        embedding = base64.b64encode(packed).decode() if as_text else numbers
        told.append({"object": "embedding", "index": index, "embedding": embedding})
    tokens = sum(map(len, inputs))
    body: Json = {"object": "list", "data": told, "model": model.served_as}
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Work(model, Usage(tokens), 0, put_usage(body, usage, call.reply.usage))


def _inputs(given: object, model: Model) -> list[Sequence[int]]:
    """Reads the four forms of input: a text, texts, token ids, lists of token ids."""
    if isinstance(given, str):
        return [encode(model.encoding, given)]
    if isinstance(given, list) and given:
        if all(isinstance(each, str) for each in given):
            return [encode(model.encoding, each) for each in given]
        if all(type(each) is int for each in given):
            return [given]
        if all(isinstance(each, list) for each in given):
            return given
    raise Refusal(400, "`input` must be a text, texts or token ids", param="input")


def vector(ids: Sequence[int], dimensions: int) -> list[float]:
    """Returns a unit vector that depends on the tokens and means nothing."""
    seed = hashlib.blake2b(struct.pack(f"<{len(ids)}q", *ids), digest_size=16).digest()
    drawn = hashlib.shake_128(seed).digest(dimensions)
    # Never the zero vector: every component is at least half a step from 0.
    raw = [byte - 127.5 for byte in drawn]
    length = sum(part * part for part in raw) ** 0.5
    return [part / length for part in raw]


def draw(call: Call) -> Work:
    """Works out images: one grey pixel each, billed as the size and quality asked for.

    ``auto`` is taken as medium quality and 1024x1024.

    Raises:
        Refusal: No such model, no prompt, an unknown size or quality, or a stream.
    """
    model = call.model("openai")
    prompt = call.body.get("prompt")
    if not isinstance(prompt, str):
        raise Refusal(400, "`prompt` is required", param="prompt")
    if call.body.get("stream"):
        raise Refusal(400, "the loopback provider streams no images", param="stream")
    count = call.body.get("n") or 1
    if type(count) is not int or not 1 <= count <= 10:
        raise Refusal(400, f"`n` must be from 1 to 10: `{count}`", param="n")
    quality, size = _known(call.body.get("quality"), "medium"), _known(call.body.get("size"))
    each = _IMAGE_TOKENS.get((quality, size))
    if each is None:
        raise Refusal(400, f"no image of quality `{quality}` and size `{size}`", param="size")
    usage = Usage(len(encode(model.encoding, prompt)), output_tokens=each * count)
    body: Json = {"created": now_s(), "background": "opaque", "output_format": "png"}
    body |= {"quality": quality, "size": size, "data": [{"b64_json": _pixel()}] * count}
    told = {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"text_tokens": usage.input_tokens, "image_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": usage.output_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    return Work(model, usage, 0, put_usage(body, told, call.reply.usage))


def _known(given: object, otherwise: str = "1024x1024") -> str:
    return otherwise if given in (None, "auto") else str(given)


def _pixel() -> str:
    def part(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    body = part(b"IDAT", zlib.compress(b"\0\x80"))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + body + part(b"IEND", b"")).decode()


def models(state: State, name: str, anthropic: bool) -> Json | None:
    """Lists the models of one vendor, or tells of one; None if there is no such model."""
    vendor = "anthropic" if anthropic else "openai"

    def told(known: str) -> Json:
        if anthropic:
            stamp = "2025-01-01T00:00:00Z"
            return {"type": "model", "id": known, "display_name": known, "created_at": stamp}
        return {"id": known, "object": "model", "created": 1735689600, "owned_by": "openai"}

    if name:
        return told(name) if state.catalog.find(name, vendor) else None
    offered = [known for known, model in state.catalog.models.items() if model.vendor == vendor]
    if anthropic:
        listed: Json = {"data": [told(known) for known in offered], "has_more": False}
        return {**listed, "first_id": offered[0], "last_id": offered[-1]}
    return {"object": "list", "data": [told(known) for known in offered]}
