"""What does a call of Google's guarded client come to, stream aside, and is it all held?"""

from __future__ import annotations

import asyncio
from typing import Any

import outlay
import pytest
from endpoints import OUTPUT_NANOS, Contents, agrees, covers, fresh_provider, task
from outlay.integrations import google
from outlay.testing import Provider, Reply

pytest.importorskip("google.genai")

from google import genai
from google.genai import errors, types

OUTPUT = OUTPUT_NANOS[Contents.model]
AT_ONCE = {"initial_delay": 0, "max_delay": 0, "jitter": 0}
THRICE = {"retry_options": {"attempts": 3, **AT_ONCE}}


@pytest.fixture
def provider() -> Provider:
    return fresh_provider()


@pytest.fixture
def api(provider: Provider) -> Contents:
    return Contents(provider)


@pytest.fixture(params=["sync", "httpx", "aiohttp"])
def way(request: pytest.FixtureRequest) -> str:
    """How a request is sent."""
    return str(request.param)


def made(provider: Provider, way: str, **options: Any) -> Contents:
    return Contents(provider, "aiohttp" if way == "aiohttp" else "httpx", **options)


def ask(api: Contents, way: str, **more: Any) -> Any:
    """One answer, or all events of a stream."""

    async def asking() -> Any:
        async with api.aio:
            answer = await api.create(api.aio, **more)
            return [event async for event in answer] if more.get("stream") else answer

    if way != "sync":
        return asyncio.run(asking())
    answer = api.create(**more)
    return list(answer) if more.get("stream") else answer


def test_a_call_costs_what_the_provider_bills(provider: Provider, way: str) -> None:
    with task() as t:
        assert ask(made(provider, way), way).text
    bill = agrees(t, provider)
    assert (bill.served, bill.entries[0].max_tokens, bill.usage.reasoning_tokens) == (1, 100, 64)


def test_a_missing_maximum_is_set_beside_what_the_caller_configured(
    api: Contents, provider: Provider
) -> None:
    provider.default(Reply(text="one STOP two", reasoning_tokens=0))
    with task() as t:
        answer = api.create(max_output_tokens=None, stop_sequences=["STOP"])
    assert answer.text == "one "
    assert agrees(t, provider).entries[0].max_tokens == 16_384


def test_a_maximum_in_extra_body_is_seen(api: Contents, provider: Provider) -> None:
    provider.default(Reply(fill=True))
    body = {"generationConfig": {"maxOutputTokens": 70}}
    with task() as t:
        api.create(http_options={"extra_body": body})
    bill = agrees(t, provider)
    assert (bill.entries[0].max_tokens, bill.usage.output_tokens) == (70, 70)


def test_several_candidates_cost_what_is_billed(api: Contents, provider: Provider) -> None:
    with task() as t:
        assert len(api.create(candidate_count=3).candidates) == 3
    assert agrees(t, provider).usage.output_tokens == 3 * 84


def test_an_attempt_does_not_change_the_callers_request(
    api: Contents, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = type(api.sync._api_client)._build_request
    built: list[Any] = []

    def kept(*args: Any) -> Any:
        built.append(build(*args))
        return built[-1]

    monkeypatch.setattr(type(api.sync._api_client), "_build_request", kept)
    with task():
        api.create(max_output_tokens=None)
    assert "maxOutputTokens" not in str(built[0].data)


def test_a_refusal_reaches_the_caller_as_it_is_and_nothing_is_sent(
    provider: Provider, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[Any] = []
    asked = google._ask
    monkeypatch.setattr(google, "_ask", lambda *args: attempts.append(args) or asked(*args))
    with task(0.000_01) as t:
        with pytest.raises(outlay.BudgetExceeded) as refused:
            ask(made(provider, way, **THRICE), way)
        assert t.stopped is not None and len(attempts) == 1
    assert type(refused.value) is outlay.BudgetExceeded
    assert refused.value.__cause__ is None
    assert agrees(t, provider).count == 0


def test_a_swallowed_refusal_sends_nothing_and_a_smaller_call_still_fits(
    api: Contents, provider: Provider
) -> None:
    provider.default(Reply(fill=True))
    with task(0.000_2) as t:
        for _ in range(10):
            with pytest.raises(outlay.BudgetExceeded):
                api.create()
        api.create(max_output_tokens=20)
    assert agrees(t, provider).served == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_each_repetition_is_reserved_for_and_a_refused_one_is_free(
    provider: Provider, way: str, status: int
) -> None:
    provider.script(*[Reply(status=status)] * 2)
    with task() as t:
        ask(made(provider, way, **THRICE), way)
    bill = agrees(t, provider)
    assert (bill.refused, bill.served, t.summary().totals.voided_calls) == (2, 1, 2)


def test_a_repetition_asked_for_with_one_request_is_reserved_for_too(
    provider: Provider, way: str
) -> None:
    provider.script(Reply(status=500))
    with task() as t:
        ask(made(provider, way), way, http_options=THRICE)
    assert agrees(t, provider).count == 2


def test_a_repetition_that_does_not_fit_is_refused_as_it_is(provider: Provider, way: str) -> None:
    provider.script(Reply(status=504, billed=True, tokens=36))
    with task(1.5 * 100 * OUTPUT / 1e9) as t:
        with pytest.raises(outlay.BudgetExceeded) as refused:
            ask(made(provider, way, **THRICE), way)
        assert type(refused.value) is outlay.BudgetExceeded
    assert covers(t, provider).count == 1
    assert t.in_doubt.nanos >= 100 * OUTPUT


@pytest.mark.parametrize(
    ("status", "in_doubt"), [(400, False), (408, True), (429, False), (502, True), (529, False)]
)
def test_a_status_says_whether_the_call_may_have_been_billed(
    provider: Provider, way: str, status: int, in_doubt: bool
) -> None:
    provider.script(Reply(status=status, billed=in_doubt, tokens=20))
    with task() as t, pytest.raises(errors.APIError) as error:
        ask(made(provider, way), way)
    assert error.value.code == status
    assert covers(t, provider).count == 1
    assert bool(t.in_doubt) is in_doubt


@pytest.mark.parametrize("behaviour", ["drop_head", "drop_middle", "stall_head", "stall_middle"])
def test_a_lost_answer_leaves_the_call_in_doubt(
    provider: Provider, way: str, behaviour: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google, "_is_repeated", lambda *_: False)
    provider.default(Reply(tokens=20, behaviour=behaviour))
    with task() as t, pytest.raises(Exception) as lost:
        ask(made(provider, way, timeout=150), way)
    assert not isinstance(lost.value, outlay.OutlayError)
    assert covers(t, provider).count == 1
    assert t.in_doubt == t.spent


@pytest.mark.parametrize("stream", [False, True])
def test_what_aiohttp_repeats_unasked_is_reserved_for(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(google, "_pause_s", lambda: 0)
    provider.default(Reply(tokens=20, behaviour="drop_head"))
    api = made(provider, "aiohttp")
    with task() as t, pytest.raises(Exception, match="disconnected"):
        ask(api, "aiohttp", stream=stream)
    assert covers(t, provider).count == 2
    assert t.summary().totals.calls == 2 and t.in_doubt == t.spent
    worst = t.spent.nanos // 2
    provider.reset()
    with task(1.5 * worst / 1e9) as t, pytest.raises(outlay.BudgetExceeded):
        provider.default(Reply(tokens=20, behaviour="drop_head"))
        ask(api, "aiohttp", stream=stream)
    assert covers(t, provider).count == 1


def test_nothing_is_repeated_unasked_where_the_caller_says_how(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google, "_pause_s", lambda: 0)
    provider.default(Reply(tokens=20, behaviour="drop_head"))
    once = {"retry_options": {"attempts": 1, **AT_ONCE}}
    with task() as t, pytest.raises(Exception, match="disconnected"):
        ask(made(provider, "aiohttp", **once), "aiohttp")
    assert covers(t, provider).count == 1


def test_a_connection_nobody_accepts_costs_nothing(
    provider: Provider, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google, "_pause_s", lambda: 0)
    with task() as t, pytest.raises(Exception) as lost:
        ask(made(provider, way, base_url="http://127.0.0.1:9"), way)
    assert not isinstance(lost.value, outlay.OutlayError)
    totals = t.summary().totals
    attempts = 2 if way == "aiohttp" else 1
    assert (totals.calls, totals.voided_calls, t.spent.nanos) == (0, attempts, 0)


def test_missing_credentials_cost_nothing(provider: Provider) -> None:
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2.credentials import Credentials

    where: Any = {"base_url": provider.google_url, "client_args": {"verify": False}}
    project: Any = {"project": "p", "location": "global", "credentials": Credentials(None)}
    client = genai.Client(vertexai=True, http_options=where, **project)
    with task() as t, pytest.raises(GoogleAuthError):
        client.models.generate_content(model=Contents.model, contents="hi")
    assert (t.summary().totals.voided_calls, t.spent.nanos, provider.bill().count) == (1, 0, 0)


def test_a_call_cancelled_before_its_answer_is_in_doubt(provider: Provider, way: str) -> None:
    if way == "sync":
        pytest.skip("nothing cancels a thread")
    provider.default(Reply(tokens=20, behaviour="stall_head"))
    api = made(provider, way)

    async def cancelled() -> None:
        asking = asyncio.create_task(api.create(api.aio))
        while not provider.requests():
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await api.aio.aclose()

    with task() as t:
        asyncio.run(cancelled())
        assert t.pending.nanos == 0
    assert covers(t, provider).count == 1
    assert t.in_doubt == t.spent


@pytest.mark.parametrize("usage", ["missing", "null", "negative", "floats", "huge"])
def test_an_answer_whose_usage_cannot_be_costs_its_reservation(
    api: Contents, provider: Provider, usage: Any
) -> None:
    provider.default(Reply(tokens=20, usage=usage))
    with task() as t:
        try:
            api.create()
        except ValueError:  # the client itself may not read such a usage
            assert usage in ("floats", "huge")
    covers(t, provider)
    assert t.summary().totals.estimated_calls == 1
    assert t.spent.nanos >= 100 * OUTPUT


def test_a_chat_is_metered_turn_by_turn(api: Contents, provider: Provider) -> None:
    async def asynchronous() -> None:
        chat = api.aio.chats.create(model=Contents.model)
        assert (await chat.send_message("hello")).text

    with task() as t:
        chat = api.sync.chats.create(model=Contents.model)
        assert chat.send_message("hello").text
        assert "".join(chunk.text or "" for chunk in chat.send_message_stream("again"))
        asyncio.run(asynchronous())
    bill = agrees(t, provider)
    assert [entry.message_count for entry in bill.entries] == [1, 3, 1]


def search(query: str) -> str:
    """Searches."""
    return f"nothing about {query}"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_call_of_automatic_function_calling_is_metered(
    api: Contents, provider: Provider, asynchronous: bool
) -> None:
    provider.script(*[Reply.tool("search", {"query": "weather"})] * 3, Reply(text="Done."))
    config: Any = {"tools": [search]}

    async def asking() -> Any:
        chat = api.aio.chats.create(model=Contents.model, config=config)
        return await chat.send_message("hello")

    with task() as t:
        if asynchronous:
            answer = asyncio.run(asking())
        else:
            chat = api.sync.chats.create(model=Contents.model, config=config)
            answer = chat.send_message("hello")
        assert answer.text == "Done."
    bill = agrees(t, provider)
    assert (bill.served, bill.entries[3].message_count) == (4, 7)


def test_automatic_function_calling_stops_when_its_task_does(
    api: Contents, provider: Provider
) -> None:
    provider.default(Reply.tool("search", {"query": "weather"}))
    chat = api.sync.chats.create(model=Contents.model, config={"tools": [search]})
    with task(llm_calls=3) as t, pytest.raises(outlay.BudgetExceeded):
        chat.send_message("hello")
    assert agrees(t, provider).served == 3


def test_a_known_prefix_costs_what_is_billed_for_it(api: Contents, provider: Provider) -> None:
    with task() as t:
        for _ in range(2):
            api.create(contents="The quick brown fox jumps over the lazy dog. " * 500)
    assert agrees(t, provider).usage.cached_tokens > 5_000


def test_embeddings_cost_what_is_billed(api: Contents, provider: Provider, way: str) -> None:
    batch: Any = {"model": "gemini-embedding-001", "contents": ["hello", "world"]}

    async def asking() -> Any:
        client = made(provider, way).aio
        async with client:
            return await client.models.embed_content(**batch)

    with task() as t:
        embed = api.sync.models.embed_content
        answer = embed(**batch) if way == "sync" else asyncio.run(asking())
    assert len(answer.embeddings) == 2
    assert agrees(t, provider).cost_nanos == 4 * 150


def test_vertex_costs_what_its_provider_bills(provider: Provider, way: str) -> None:
    api = made(provider, way, vertex=True)
    with task() as t:
        ask(api, way)
        assert ask(made(provider, way, vertex=True), way, stream=True)
    bill = agrees(t, provider)
    assert bill.entries[0].path.startswith("/v1beta1/publishers/google/models/")
    assert [row.key for row in t.summary().by_model] == ["vertex_ai/gemini-2.5-flash"]


def test_the_transport_of_google_auth_is_guarded_too(provider: Provider) -> None:
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials

    credentials = Credentials("any")
    project: Any = {"project": "p", "location": "global", "credentials": credentials}
    where: Any = {"base_url": provider.google_url}
    client = genai.Client(vertexai=True, http_options=where, **project)
    client._api_client._use_google_auth_sync = lambda: True  # type: ignore[method-assign]
    client._api_client._authorized_session = AuthorizedSession(credentials)
    asked: Any = {"model": Contents.model, "contents": "hello world"}
    provider.script(Reply(status=429), Reply(tokens=20), Reply(tokens=20))
    with task() as t:
        with pytest.raises(errors.ClientError):
            client.models.generate_content(**asked)
        client.models.generate_content(**asked)
        assert list(client.models.generate_content_stream(**asked))
    bill = agrees(t, provider)
    assert (bill.served, bill.refused) == (2, 1)


def test_counting_and_looking_are_free(api: Contents, provider: Provider) -> None:
    with task(0) as t:
        counted = api.sync.models.count_tokens(model=Contents.model, contents="hello world")
        assert list(api.sync.models.list())
    assert counted.total_tokens == 3
    assert (t.summary().totals.calls, t.summary().totals.voided_calls) == (0, 0)


def test_what_cannot_be_metered_is_refused_under_a_limit(api: Contents, provider: Provider) -> None:
    client: Any = api.sync
    vertex: Any = made(provider, "sync", vertex=True).sync
    source = types.InlinedRequest(model=Contents.model, contents="hi")
    dataset = types.TuningDataset(gcs_uri="gs://a/b")
    billed = [
        lambda: client.batches.create(model=Contents.model, src=[source]),
        lambda: client.caches.create(model=Contents.model, config={"contents": ["hi"]}),
        lambda: vertex.models.generate_images(model="imagen-4.0-generate-001", prompt="a cat"),
        lambda: vertex.models.generate_videos(model="veo-3.0-generate-001", prompt="a cat"),
        lambda: vertex.models.embed_content(model="text-embedding-005", contents="hi"),
        lambda: vertex.tunings.tune(base_model=Contents.model, training_dataset=dataset),
        lambda: client.file_search_stores.import_file(
            file_search_store_name="fileSearchStores/1", file_name="files/1"
        ),
        lambda: client.interactions.create(model=Contents.model, input="hi"),
    ]
    with task() as t:
        for ask in billed:
            with pytest.raises(outlay.Unsupported):
                ask()
    assert agrees(t, provider).count == 0


def test_what_opens_a_connection_of_its_own_is_refused_too(
    api: Contents, provider: Provider
) -> None:
    async def asking() -> None:
        with pytest.raises(outlay.Unsupported):
            await api.aio.interactions.create(model=Contents.model, input="hi")
        for live in (api.aio.live, api.aio.live.music):
            with pytest.raises(outlay.Unsupported, match="websocket"):
                async with live.connect(model="gemini-3.8-live"):
                    pass

    with task() as t:
        asyncio.run(asking())
    assert agrees(t, provider).count == 0


def test_taking_the_guard_out_lets_calls_through(api: Contents, provider: Provider) -> None:
    outlay.uninstrument()
    with task() as t:
        api.create()
        list(api.create(stream=True))
        assert t.summary().totals.calls == 0
        outlay.instrument()
        outlay.instrument()
        api.create()
        assert t.summary().totals.calls == 1
