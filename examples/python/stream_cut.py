"""A stream that does not end: it is stopped when what was held for it is used up.

The caller says by `outlay.call(max_usd=...)` what the answer can cost, though the request allows
more. The answer goes on and on. It is cut, the text that came until then stays, and the call is
settled at all that was held, since more than that came. The model is `outlay.testing`'s provider on
this machine.

Run it with ``python examples/python/stream_cut.py``. Prints::

    held 0.002 USD
    kept: "Then the agent looked at the order again."
    cut: budget_exceeded, the 0.002 USD held for it are used up
    settled 0.002 USD, estimated
    task: spent 0.002 USD, pending 0.00 USD, available 0.498 USD
"""

from __future__ import annotations

import openai
import outlay
from outlay.testing import Provider, Reply

SENTENCE = "Then the agent looked at the order again."
STORY = " ".join([SENTENCE] * 300)


def main() -> None:
    """Reads the stream until it is cut."""
    outlay.instrument()
    with Provider(default=Reply(text=STORY, chunk_tokens=6, chunk_ms=5)) as provider:
        client = openai.OpenAI(base_url=provider.openai_url, api_key="none")
        with outlay.task("story", usd=0.50, store="memory:") as task:
            read(task, client)
        assert provider.bill().partial == 1, "the provider served it all"
    print(f"task: spent {task.spent}, pending {task.pending}, available {task.available}")


def read(task: outlay.Task, client: openai.OpenAI) -> None:
    """Asks for a story and keeps what came."""
    text = ""
    try:
        with outlay.call(max_usd=0.002):
            stream = client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "Tell me how the refund went."}],
                max_tokens=4_000,
                stream=True,
            )
            print(f"held {task.pending}")
            for chunk in stream:
                text += chunk.choices[0].delta.content or ""
    except outlay.BudgetExceeded as cut:
        print(f'kept: "{text[: len(SENTENCE)]}"')
        print(f"cut: {cut.code}, the {cut.limit} held for it are used up")
    print(f"settled {task.summary().totals.estimated}, estimated")


if __name__ == "__main__":
    main()
