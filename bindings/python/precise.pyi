"""What the Rust signatures cannot say: ``stubs.py`` puts these types into the generated stub.

Only what is typed here is replaced; everything else comes from the Rust sources. A property is
written as an attribute.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import TracebackType
from typing import Literal, TypeAlias

from outlay.errors import OutlayError

_Number: TypeAlias = int | float | str | Decimal | Money
_Limits: TypeAlias = _Number | Limit | list[Limit]
_CallState: TypeAlias = Literal["open", "settled", "voided", "in_doubt"]
_Rule: TypeAlias = Literal["yours", "listed", "snapshot", "fine_tune", "maker", "local"]
_Standing: TypeAlias = Literal["running", "succeeded", "failed", "stopped", "lost"]

_Level: TypeAlias = Literal["ok", "nudge", "refuse", "pause", "stop"]
_Detector: TypeAlias = Literal[
    "no_progress",
    "cycle",
    "same_error",
    "unknown_tool",
    "malformed",
    "chant",
    "monologue",
    "compaction",
    "poll",
    "mutation",
]

class Alert:
    unit: Literal["usd", "tokens", "llm_calls", "tool_calls"]
    limit: Money | int
    spent: Money | int

class AttemptLine:
    outcome: _Standing

class Breaker:
    def __new__(cls, config: Mapping[str, object] | None): ...
    def observe(self, step: Mapping[str, object]): ...
    def check(self, step: Mapping[str, object]): ...

class Call:
    state: _CallState

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> Literal[False]: ...
    def _trace(self, callback: Callable[..., None]): ...

class Count:
    method: Literal["exact", "reconstructed", "calibrated"]

class Charge:
    rule: _Rule

class Exchange:
    body_patch: dict[str, object] | None

    def _trace(self, callback: Callable[..., None]): ...

class Ledger:
    def approve(self, add: _Number): ...
    def budget(
        self,
        tags: dict[str, str] | None,
        usd: _Limits | None,
        tokens: _Limits | None,
        llm_calls: _Limits | None,
        tool_calls: _Limits | None,
        alerts: Sequence[_Number] | None,
    ): ...
    def task(
        self,
        usd: _Limits | None,
        tokens: _Limits | None,
        llm_calls: _Limits | None,
        tool_calls: _Limits | None,
        tags: dict[str, str] | None,
        wait_ms: int | None,
        wrap_up_usd: _Number | None,
        alerts: Sequence[_Number] | None,
        retry_usd: _Number | None,
    ): ...

class Limit:
    def __new__(cls, amount: _Number): ...

class Money:
    usd: Decimal

    def __new__(cls, usd: _Number): ...
    def __add__(self, other: Money): ...
    def __sub__(self, other: Money): ...
    def __eq__(self, other) -> bool: ...
    def __ne__(self, other) -> bool: ...
    def __lt__(self, other: Money) -> bool: ...
    def __le__(self, other: Money) -> bool: ...
    def __gt__(self, other: Money) -> bool: ...
    def __ge__(self, other: Money) -> bool: ...

class Summary:
    outcome: _Standing

class Task:
    stopped: OutlayError | None

    def reserve(
        self,
        model: str,
        input_tokens: int | None,
        max_output_tokens: int | None,
        choices: int | None,
        max_usd: _Number | None,
        wait_ms: int | None,
    ): ...
    def outgoing(self, max_usd: _Number | None, max_input_tokens: int | None): ...

class Usage:
    def __new__(
        cls,
        input_tokens: int | None,
        output_tokens: int | None,
        cache_read_input_tokens: int | None,
        cache_creation_input_tokens: int | None,
        cache_creation_1h_input_tokens: int | None,
        reasoning_output_tokens: int | None,
        input_audio_tokens: int | None,
        input_image_tokens: int | None,
        input_video_tokens: int | None,
        cache_read_audio_tokens: int | None,
        cache_read_image_tokens: int | None,
        output_audio_tokens: int | None,
        output_image_tokens: int | None,
        output_video_tokens: int | None,
        web_searches: int | None,
        cost: _Number | None,
    ): ...

class Verdict:
    level: _Level
    detector: _Detector | None
    evidence: dict[str, int | str]

def price(at: date | None): ...
def run_command(arguments: list[str]): ...
def unbound_policy() -> Literal["warn", "refuse"]: ...
def unmetered_policy() -> Literal["refuse", "allow"]: ...
def count(
    messages: Sequence[Mapping[str, object]] | None,
    tools: Sequence[Mapping[str, object]] | None,
    tool_choice: str | Mapping[str, object] | None,
): ...
def on_alert(callback: Callable[[Alert], object]): ...
