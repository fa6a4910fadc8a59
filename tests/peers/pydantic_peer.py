"""pydantic-ai's ``UsageLimits(cost_limit=...)``, shared by all workers through one ``RunUsage``.

The explicit mode makes the checks of one model request in the order the library's own agent
makes them. The agent mode runs a real ``Agent`` with the real OpenAI client; each thread has its
own agent, because its client belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapter import (
    CALL_USD,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT,
    UNKNOWN_MODEL,
    Absent,
    Adapter,
    Bench,
    Guard,
    Mode,
    Refused,
    Timed,
)
from clients import async_client


def _limits(bench: Bench) -> Any:
    usage: Any = importlib.import_module("pydantic_ai.usage")
    return usage.UsageLimits(cost_limit=bench.cap_usd, request_limit=None)


def _recorded(run: Any) -> Decimal:
    return Decimal(run.cost or 0)


class LimitsGuard(Guard):
    """The checks themselves, round a call in the same process."""

    def __init__(self, bench: Bench) -> None:
        usage: Any = importlib.import_module("pydantic_ai.usage")
        prices: Any = importlib.import_module("genai_prices")
        self._provider = bench.provider
        self._limits = _limits(bench)
        self._run = usage.RunUsage()
        self._request_usage = usage.RequestUsage
        self._calc_price: Callable[..., Any] = prices.calc_price
        self._exceeded = importlib.import_module("pydantic_ai.exceptions").UsageLimitExceeded

    def _record(self) -> None:
        used = self._request_usage(input_tokens=0, output_tokens=OUTPUT_TOKENS)
        used.cost = self._calc_price(used, MODEL, provider_id="openai").total_price
        self._run.requests += 1
        self._run.incr(used)
        self._limits.check_tokens(self._run)
        self._limits.check_cost(self._run, warn_if_cost_unavailable=False)

    def call(self, model: str = MODEL) -> None:
        """Check, call, price, add, check."""
        if model != MODEL:
            raise Absent("the caller gives the cost itself")
        try:
            self._limits.check_before_request(self._run)
            self._provider.serve()
            self._record()
        except self._exceeded as error:
            raise Refused(str(error)) from error

    async def acall(self) -> None:
        """Do the same on the event loop."""
        try:
            self._limits.check_before_request(self._run)
            await self._provider.aserve()
            self._record()
        except self._exceeded as error:
            raise Refused(str(error)) from error

    def round(self) -> None:
        """Do all that surrounds one call, without the call."""
        self._limits.check_before_request(self._run)
        self._record()

    def recorded(self) -> Decimal:
        """Return the run's cost."""
        return _recorded(self._run)


class AgentGuard(Guard):
    """A real agent over the loopback provider."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._limits = _limits(bench)
        self._run = importlib.import_module("pydantic_ai.usage").RunUsage()
        self._exceeded = importlib.import_module("pydantic_ai.exceptions").UsageLimitExceeded
        self._own = threading.local()

    def _agent(self, model: str = MODEL) -> Any:
        if getattr(self._own, "model", None) != model:
            pydantic_ai: Any = importlib.import_module("pydantic_ai")
            models: Any = importlib.import_module("pydantic_ai.models.openai")
            providers: Any = importlib.import_module("pydantic_ai.providers.openai")
            provider = providers.OpenAIProvider(openai_client=async_client(self._bench.base_url))
            chat = models.OpenAIChatModel(model, provider=provider)
            settings = {"max_tokens": OUTPUT_TOKENS}
            self._own.agent = pydantic_ai.Agent(chat, model_settings=settings)
            self._own.model = model
        return self._own.agent

    def _given(self) -> dict[str, Any]:
        return {"usage": self._run, "usage_limits": self._limits}

    def call(self, model: str = MODEL) -> None:
        """Run the agent once, blocking."""
        try:
            self._agent(model).run_sync(PROMPT, **self._given())
        except self._exceeded as error:
            raise Refused(str(error)) from error

    async def acall(self) -> None:
        """Run the agent once on the event loop."""
        try:
            await self._agent().run(PROMPT, **self._given())
        except self._exceeded as error:
            raise Refused(str(error)) from error

    async def astream(self) -> None:
        """Read one streamed run to its end."""
        try:
            async with self._agent().run_stream(PROMPT, **self._given()) as result:
                async for _ in result.stream_text(delta=True, debounce_by=None):
                    pass
        except self._exceeded as error:
            raise Refused(str(error)) from error

    def abandon(self, chunks: int) -> None:
        """Leave a streamed run early."""
        asyncio.run(self._abandon(chunks))

    async def _abandon(self, chunks: int) -> None:
        seen = 0
        async with self._agent().run_stream(PROMPT, **self._given()) as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                seen += 1
                if seen == chunks:
                    break

    def recorded(self) -> Decimal:
        """Return the runs' cost."""
        return _recorded(self._run)


def _calc(model: str, provider_id: str | None) -> Callable[[], object]:
    prices: Any = importlib.import_module("genai_prices")
    usage = prices.Usage(input_tokens=0, output_tokens=OUTPUT_TOKENS)
    return lambda: prices.calc_price(usage, model, provider_id=provider_id).total_price


def _price() -> Callable[[], object]:
    price = _calc(MODEL, "openai")
    assert price() == CALL_USD
    return price


ADAPTER = Adapter(
    modes=(
        Mode(
            "UsageLimits, memory",
            LimitsGuard,
            lambda bench: Timed(lambda: LimitsGuard(bench).round),
        ),
        Mode("Agent with UsageLimits", AgentGuard),
    ),
    price=_price,
    price_unknown=lambda: _calc(UNKNOWN_MODEL, None)(),
)
