"""Feeds and addresses that are looked at again and again: what is new, what has changed, and what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.loopback_site import Answer, Asked, StandIn, serving
from tests.support.source_tools import Tools, source_tools

from codewords_mcp.errors import AddressRefused, Forbidden, TooBusy, UpstreamFailed
from codewords_mcp.runtime.triggers.sources.feed import FeedOptions, FeedSource
from codewords_mcp.runtime.triggers.sources.url import UrlOptions, UrlSource

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("triggers:polled-sources")]


@pytest.fixture
def site() -> Iterator[StandIn]:
    yield from serving(StandIn())


@pytest.fixture
async def tools(site: StandIn) -> AsyncGenerator[Tools]:
    async with source_tools(urlsplit(site.url).port or 0) as made:
        yield made


def _feed(*items: str) -> bytes:
    return f"<rss><channel>{''.join(items)}</channel></rss>".encode()


def _item(guid: str, link: str = "") -> str:
    return f"<item><guid>{guid}</guid><link>{link}</link></item>"


def _answers(site: StandIn, body: bytes, status: int = 200, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    site.answer = lambda _: Answer(status, body, named)


async def test_the_first_look_sets_a_baseline_and_the_next_gives_what_is_new(
    site: StandIn, tools: Tools
) -> None:
    source, options = FeedSource(), FeedOptions(url=site.url)
    _answers(site, _feed(_item("1")))
    first = await source.poll(options, None, tools)
    assert first.events == ()
    _answers(site, _feed(_item("3"), _item("2"), _item("2"), _item("1")))
    second = await source.poll(options, first.state, tools)
    assert [event.key for event in second.events] == ["2", "2", "3"]
    third = await source.poll(options, second.state, tools)
    assert list(third.events) == []


async def test_one_id_for_several_items_starts_each_once_and_no_old_one_again(
    site: StandIn, tools: Tools
) -> None:
    source, options = FeedSource(), FeedOptions(url=site.url)
    _answers(site, _feed(_item("same", "/a")))
    state = (await source.poll(options, None, tools)).state
    _answers(site, _feed(_item("same", "/b"), _item("same", "/a")))
    polled = await source.poll(options, state, tools)
    assert [event.data["link"] for event in polled.events if isinstance(event.data, dict)] == ["/b"]
    _answers(site, _feed(_item("same", "/c")))
    polled = await source.poll(options, polled.state, tools)
    assert len(polled.events) == 1


async def test_an_unchanged_page_is_asked_for_by_its_validators(site: StandIn, tools: Tools) -> None:
    def answer(asked: Asked) -> Answer:
        known = asked.headers.get("if-none-match") == '"v1"'
        return Answer(304) if known else Answer(200, _feed(_item("1")), {"ETag": '"v1"'})

    site.answer = answer
    source, options = FeedSource(), FeedOptions(url=site.url)
    first = await source.poll(options, None, tools)
    second = await source.poll(options, first.state, tools)
    assert (second.events, second.state) == ((), first.state)


async def test_fifty_megabytes_are_refused_before_they_are_read(site: StandIn, tools: Tools) -> None:
    _answers(site, b"", Content_Length=str(50 << 20))
    with pytest.raises(UpstreamFailed, match="larger than 10 MiB"):
        await FeedSource().poll(FeedOptions(url=site.url), None, tools)


@pytest.mark.parametrize(("status", "fault"), [(404, UpstreamFailed), (500, UpstreamFailed), (429, TooBusy)])
async def test_an_error_is_told_with_its_status(
    site: StandIn, tools: Tools, status: int, fault: type[Exception]
) -> None:
    _answers(site, b"", status)
    with pytest.raises(fault, match=str(status)):
        await UrlSource().poll(UrlOptions(url=site.url), None, tools)


async def test_private_addresses_and_secrets_over_http_are_refused(tools: Tools) -> None:
    with pytest.raises(AddressRefused):
        await UrlSource().poll(UrlOptions(url="http://127.0.0.1:1/"), None, tools)
    with pytest.raises(Forbidden, match="https"):
        await UrlSource().poll(UrlOptions(url="http://example.org/", secret="TOKEN"), None, tools)


async def test_a_value_that_comes_back_is_an_event_of_its_own(site: StandIn, tools: Tools) -> None:
    source, options = UrlSource(), UrlOptions(url=site.url, path="price.eur")
    state: Any = None
    keys: list[str] = []
    previous: list[Any] = []
    for price in (1, 2, 2, 1, 2):
        _answers(site, json.dumps({"price": {"eur": price}}).encode())
        polled = await source.poll(options, state, tools)
        state = polled.state
        keys += [event.key for event in polled.events]
        previous += [event.data["previous"] for event in polled.events if isinstance(event.data, dict)]
    assert len(set(keys)) == len(keys) == 3
    assert previous == [1, 2, 1]


async def test_each_new_item_of_a_list_is_an_event_in_order(site: StandIn, tools: Tools) -> None:
    source, options = UrlSource(), UrlOptions(url=site.url, path="items", mode="items", id="id")
    _answers(site, json.dumps({"items": [{"id": 1}]}).encode())
    state = (await source.poll(options, None, tools)).state
    _answers(site, json.dumps({"items": [{"id": 3}, {"id": 2}, {"id": 1, "seen": True}]}).encode())
    polled = await source.poll(options, state, tools)
    assert [event.key for event in polled.events] == ["2", "3"]
    sample = await source.sample(options, tools)
    assert sample is not None
    assert sample.key == "3"


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b"text", {"path": "a"}),
        (b"{}", {"path": "a"}),
        (b"{}", {"mode": "items"}),
        (b"[" * 10_000, {"path": "a"}),
    ],
)
async def test_what_has_no_such_value_is_refused_in_words(
    site: StandIn, tools: Tools, body: bytes, options: dict[str, Any]
) -> None:
    _answers(site, body)
    with pytest.raises(UpstreamFailed):
        await UrlSource().poll(UrlOptions(url=site.url, **options), None, tools)
