"""How much of a prompt has the provider seen before?

Invariant: a prefix counts as cached only if the very same tokens were sent before, to the same
model, and have not expired. The caches of OpenAI and Google work by themselves in blocks of 128
tokens from 1,024 on; Anthropic's holds what the request marks with ``cache_control``.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

BLOCK = 128
_KEPT = 65_536
_AUTOMATIC_TTL_S = 600.0
_LOOK_BACK = 20
TTL_S = {"5m": 300.0, "1h": 3600.0}


class PrefixCache:
    """Digests of prefixes with the time each expires; the oldest of too many are dropped."""

    def __init__(self) -> None:
        self._expiry: OrderedDict[bytes, float] = OrderedDict()
        self._skipped_s = 0.0

    def advance(self, seconds: float) -> None:
        """Lets the cache's clock jump forward, so that a test need not wait for expiry."""
        self._skipped_s += seconds

    def automatic(self, model: str, sequence: Sequence[int]) -> int:
        """Returns how many leading tokens were cached, and remembers the prompt."""
        if len(sequence) < 1024:
            return 0
        digest = hashlib.blake2b(model.encode(), digest_size=16)
        cached, unbroken = 0, True
        for at in range(BLOCK, len(sequence) + 1, BLOCK):
            digest.update(array("q", sequence[at - BLOCK : at]).tobytes())
            if at < 1024:
                continue
            key = digest.digest()
            unbroken = unbroken and self._alive(key)
            cached = at if unbroken else cached
            self._keep(key, _AUTOMATIC_TTL_S)
        return cached

    def anthropic(
        self, model: str, blocks: Sequence[tuple[Sequence[int], str | None]], least: int
    ) -> Split:
        """Splits a prompt at its marks into tokens read, written and neither.

        Args:
            model: The model; caches are not shared between models.
            blocks: Each block's tokens (of the encoding) and the ``ttl`` of its mark, if any.
            least: The shortest prefix that is kept, in tokens of the encoding.
        """
        digest = hashlib.blake2b(model.encode(), digest_size=16)
        ends: list[tuple[int, bytes, str | None]] = []
        total = 0
        for ids, ttl in blocks:
            digest.update(array("q", ids).tobytes() + b"|")
            total += len(ids)
            ends.append((total, digest.digest(), ttl))
        marks = [i for i, (end, _, ttl) in enumerate(ends) if ttl is not None and end >= least]
        read = 0
        for mark in reversed(marks):
            seen = range(mark, max(-1, mark - _LOOK_BACK), -1)
            read = next((ends[i][0] for i in seen if self._alive(ends[i][1])), 0)
            if read:
                break
        split = Split(read, 0, 0)
        reached = read
        for mark in marks:
            end, key, ttl = ends[mark]
            kept_s = TTL_S[ttl or "5m"]
            if end > reached:
                split.write(ttl, end - reached)
                reached = end
            self._keep(key, kept_s)
        return split

    def _now(self) -> float:
        return time.monotonic() + self._skipped_s

    def _alive(self, key: bytes) -> bool:
        return self._expiry.get(key, 0.0) > self._now()

    def _keep(self, key: bytes, seconds: float) -> None:
        self._expiry[key] = max(self._now() + seconds, self._expiry.get(key, 0.0))
        self._expiry.move_to_end(key)
        while len(self._expiry) > _KEPT:
            self._expiry.popitem(last=False)


@dataclass
class Split:
    """Tokens of a prompt (in its encoding) read from the cache and written to it."""

    read: int
    written_5m: int
    written_1h: int

    def write(self, ttl: str | None, tokens: int) -> None:
        """Adds tokens written for that long."""
        if ttl == "1h":
            self.written_1h += tokens
        else:
            self.written_5m += tokens
