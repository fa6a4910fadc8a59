"""What can tests run instead of a real model provider?

A loopback provider that speaks OpenAI's chat completions, responses, embeddings and images,
Anthropic's messages and Gemini's contents and embeddings, with streams; honours maxima; reports
true counts with cached and reasoning tokens; fails on demand; and keeps its own bill.

Invariant: it counts with Python tiktoken and charges by its own price table, never with
Outlay, so that the two bills can be held against each other.

It is no model (it says what a test scripts), no proxy (it calls nothing), and listens on
loopback only. Needs the extra ``outlay[testing]``. ``python -m outlay.testing --port 0`` runs
it for other languages.

Example:
    >>> import openai
    >>> messages = [{"role": "user", "content": "May I have my money back?"}]
    >>> with Provider(default=Reply(tokens=20)) as provider:
    ...     client = openai.OpenAI(base_url=provider.openai_url, api_key="any")
    ...     answer = client.chat.completions.create(model="gpt-4o", messages=messages)
    ...     provider.bill().cost_nanos
    235000
"""

from .bill import Entry, Usage
from .provider import Bill, Provider
from .script import Reply, ToolCall

__all__ = ["Bill", "Entry", "Provider", "Reply", "ToolCall", "Usage"]
