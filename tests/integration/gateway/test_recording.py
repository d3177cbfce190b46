"""Calls of providers are recorded, given again and held, by the same recorder as what passes the egress."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from tests.integration.gateway.helpers import KEYS
from tests.integration.secrets.fake_recorder import Library
from tests.support import sdks
from tests.support.http_runtime import Door

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_testing.providers import LoopbackProviders

pytestmark = pytest.mark.slow

RUN = "recorded-run"
SECRET = "a-plain-secret-of-the-run"


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def client(door: Door, library: Library) -> Iterator[sdks.openai.OpenAI]:
    """OpenAI's SDK as a workflow of a recorded run has it."""

    async def begin(runtime: Runtime) -> None:
        runtime._container.gateway.recorders.add(RUN, library.recording(MINE=SECRET))  # pyright: ignore[reportPrivateUsage]

    async def end(runtime: Runtime) -> None:
        runtime._container.gateway.recorders.remove(RUN)  # pyright: ignore[reportPrivateUsage]

    door.ask(begin)
    with (
        door.sandbox(Caller("local", "run", run_id=RUN)) as inside,
        sdks.openai.OpenAI(api_key=inside.key, base_url=f"{inside.url}/openai/v1", max_retries=0) as sdk,
    ):
        yield sdk
    door.ask(end)


def ask(client: sdks.openai.OpenAI) -> str:
    made = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": f"hi {SECRET}"}]
    )
    return made.choices[0].message.content or ""


def stream(client: sdks.openai.OpenAI) -> list[str]:
    made = client.chat.completions.create(
        model="gpt-4o-mini-d30-c4", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    return [chunk.choices[0].delta.content or "" for chunk in made if chunk.choices]


@pytest.mark.requirement("recording:gateway", "recording:replay", "recording:no-values")
def test_a_call_that_was_recorded_is_given_again_without_asking_the_provider(
    client: sdks.openai.OpenAI, library: Library, providers: LoopbackProviders
) -> None:
    said, streamed = ask(client), stream(client)
    assert providers.wait_for(lambda: len(library.ended) == 2)
    assert providers.requests[-2].body.count(SECRET.encode()) == 1
    assert [one.whole for one in library.ended] == [True, True]
    whole, pieces = library.ended
    assert whole.request.url == f"{providers.url}/v1/chat/completions"
    assert whole.request.body is not None
    assert b"hi [secret MINE]" in whole.request.body
    assert not whole.request.writes
    assert len(pieces.chunks) > 1
    shown = repr(library.ended)
    for secret in (SECRET, client.api_key, KEYS["openai"]):
        assert secret not in shown
    library.replays = True
    before = len(providers.requests)
    assert (ask(client), stream(client)) == (said, streamed)
    assert len(providers.requests) == before
    assert len(library.ended) == 2


@pytest.mark.requirement("recording:gateway", "recording:hold")
def test_a_call_that_changes_something_is_held_and_one_that_asks_a_model_is_not(
    client: sdks.openai.OpenAI, library: Library, providers: LoopbackProviders
) -> None:
    library.holds = True
    before = len(providers.requests)
    with pytest.raises(sdks.openai.ConflictError, match="not made: this is a dry run"):
        client.files.create(file=b"x" * (2 << 20), purpose="assistants")
    assert len(providers.requests) == before
    assert library.asked_for[0].body is None
    assert ask(client)
    assert len(providers.requests) == before + 1


@pytest.mark.requirement("recording:gateway")
def test_an_answer_that_broke_off_is_recorded_as_such_and_other_callers_are_not_heard(
    client: sdks.openai.OpenAI, library: Library, door: Door, providers: LoopbackProviders
) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        client.chat.completions.create(model="gpt-4o-mini-cut", messages=[], stream=True).response.read()
    with door.client() as other:  # whoever is no recorded run is not heard
        other.get("/openai/models")
    assert providers.wait_for(lambda: len(library.ended) == 1)
    assert len(library.asked_for) == 1
    assert [(one.status, one.whole) for one in library.ended] == [(200, False)]
