"""The source `bucket`, against a server that speaks S3, and its signatures against AWS's own examples."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from tests.support.ceph import serving_ceph
from tests.support.loopback_site import Answer, Asked, StandIn, serving
from tests.support.s3 import S3, serving_s3
from tests.support.source_tools import Tools, source_tools

from codewords_mcp.errors import (
    AddressRefused,
    CodewordsError,
    Forbidden,
    InvalidInput,
    NotFound,
    TooBusy,
    UpstreamFailed,
)
from codewords_mcp.runtime.triggers.sources.base import Polled
from codewords_mcp.runtime.triggers.sources.bucket import (
    MAX_COPY,
    MAX_PAGES,
    PAGE,
    BucketOptions,
    BucketSource,
)
from codewords_mcp.runtime.triggers.sources.listed_items import ListedItem, ListedItems
from codewords_mcp.runtime.web.s3_requests import S3Account, sign

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("triggers:bucket")]
SOURCE = BucketSource()


@pytest.fixture(scope="module", params=["moto", pytest.param("ceph", marks=pytest.mark.slow)])
def s3(request: pytest.FixtureRequest) -> Generator[S3]:
    with serving_s3() if request.param == "moto" else serving_ceph() as server:
        yield server


@asynccontextmanager
async def watching(endpoint: str, bucket: str, **changes: Any) -> AsyncGenerator[tuple[BucketOptions, Tools]]:
    fields = {"bucket": bucket, "endpoint": endpoint} | changes
    host = urlsplit(endpoint).netloc
    async with source_tools(urlsplit(endpoint).port or 443) as tools:
        tools.secrets |= {"AWS_ACCESS_KEY_ID": ("test", host), "AWS_SECRET_ACCESS_KEY": ("test", host)}
        yield BucketOptions.model_validate(fields), tools


def data(polled: Polled) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", event.data) for event in polled.events]


def keys(polled: Polled) -> list[str]:
    return [found["key"] for found in data(polled)]


async def test_a_new_or_changed_object_is_an_event_once_with_a_copy(s3: S3) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "in/old.csv", b"before")
    async with watching(s3.endpoint, bucket, prefix="in/") as (options, tools):
        first = await SOURCE.poll(options, None, tools)
        for key in ("in/new file+ä&<1>.csv", "in/folder/", "elsewhere.csv"):
            s3.put(bucket, key, b"a,b")
        polled = await SOURCE.poll(options, first.state, tools)
        again = await SOURCE.poll(options, polled.state, tools)
        s3.put(bucket, "in/old.csv", b"after")
        changed = await SOURCE.poll(options, again.state, tools)
        sample = await SOURCE.sample(options, tools)

    assert (list(first.events), list(again.events)) == ([], [])
    [event] = data(polled)
    assert (event["key"], event["name"], event["size"]) == ("in/new file+ä&<1>.csv", "new file+ä&<1>.csv", 3)
    assert tools.files[event["url"]] == (b"a,b", "text/csv")
    assert [tools.files[found["url"]][0] for found in data(changed)] == [b"after"]
    assert cast("Any", sample).data["key"].startswith("in/")


async def test_a_large_object_and_one_with_an_odd_key_are_events_without_a_copy(s3: S3) -> None:
    bucket = s3.bucket()
    async with watching(s3.endpoint, bucket) as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        s3.put(bucket, "large", b"x" * (MAX_COPY + 1))
        polled = await SOURCE.poll(options, state, tools)
    assert [event["url"] for event in data(polled)] == [None]


async def test_a_bucket_that_is_not_there_and_an_address_that_may_not_be_reached_are_said(s3: S3) -> None:
    async with watching(s3.endpoint, "no-such-bucket") as (options, tools):
        with pytest.raises(NotFound, match="no bucket"):
            await SOURCE.poll(options, None, tools)
        tools.secrets["AWS_ACCESS_KEY_ID"] = ("test", "s3.amazonaws.com")
        with pytest.raises(Forbidden, match="host rule"):
            await SOURCE.poll(options, None, tools)
    async with watching("http://127.0.0.1:9", "bucket") as (options, tools), source_tools() as closed:
        closed.secrets = tools.secrets
        with pytest.raises(AddressRefused):
            await SOURCE.poll(options, None, closed)
    for endpoint in ("ftp://x", "https://", "https://host/path", "nothing"):
        async with watching("http://127.0.0.1:9", "bucket") as (options, tools):
            with pytest.raises(InvalidInput, match="endpoint"):
                await SOURCE.poll(options.model_copy(update={"endpoint": endpoint}), None, tools)


@pytest.fixture
def site() -> Iterator[StandIn]:
    yield from serving(StandIn())


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(503, b"<Error><Code>SlowDown</Code></Error>", {"Retry-After": "7"}), TooBusy, "fewer"),
        (Answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"), Forbidden, "both secrets"),
        (Answer(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>"), Forbidden, "clock"),
        (Answer(301, b"", {"Location": "/elsewhere"}), UpstreamFailed, "redirects"),
        (Answer(500), UpstreamFailed, "answered 500"),
        (Answer(200, b"<html>"), UpstreamFailed, "not S3's"),
        (Answer(200, b"<a><Contents><Key>k</Key><Size>x</Size></Contents></a>"), UpstreamFailed, "not S3's"),
        (Answer(200, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'), UpstreamFailed, "not S3's"),
        (Answer(200, b" " * (50 << 20)), UpstreamFailed, "larger"),
    ],
)
async def test_what_a_server_refuses_or_gets_wrong_is_said(
    site: StandIn, answer: Answer, error: type[CodewordsError], words: str
) -> None:
    site.answer = lambda _: answer
    async with watching(site.url, "bucket") as (options, tools):
        with pytest.raises(error, match=words):
            await SOURCE.poll(options, None, tools)


async def test_an_object_that_is_another_one_by_now_waits_for_the_next_look(site: StandIn) -> None:
    listed = b"<a><Contents><Key>k</Key><Size>1</Size><ETag>e</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents></a>"
    site.answer = lambda _: Answer(200, b"<a></a>")
    async with watching(site.url, "bucket") as (options, tools):
        state = (await SOURCE.poll(options, None, tools)).state
        site.answer = lambda asked: Answer(200, listed) if "list-type" in asked.path else Answer(412)
        polled = await SOURCE.poll(options, state, tools)
    assert list(polled.events) == []
    assert site.asked[-1].headers["if-match"] == "e"


@pytest.mark.slow
async def test_a_thousand_objects_of_two_pages_come_some_at_a_time(site: StandIn) -> None:
    times = "<ETag>e</ETag><LastModified>2026-01-01T00:00:00Z</LastModified>"
    listed = [f"<Contents><Key>{n:05}</Key><Size>0</Size>{times}</Contents>" for n in range(1050)]

    def answer(asked: Asked) -> Answer:
        if "list-type" not in asked.path:
            return Answer()
        if "continuation-token=second" in asked.path:
            return Answer(200, f"<a>{''.join(listed[1000:])}</a>".encode())
        more = "<IsTruncated>true</IsTruncated><NextContinuationToken>second</NextContinuationToken>"
        return Answer(200, f"<a>{more}{''.join(listed[:1000])}</a>".encode())

    site.answer = lambda _: Answer(200, b"<a></a>")
    async with watching(site.url, "bucket") as (options, tools):
        polled = await SOURCE.poll(options, None, tools)
        site.answer = answer
        found: list[str] = []
        more = True
        while more:
            polled = await SOURCE.poll(options, polled.state, tools)
            assert len(polled.events) <= PAGE
            found, more = found + keys(polled), polled.more
        assert list((await SOURCE.poll(options, polled.state, tools)).events) == []
    assert found == [f"{number:05}" for number in range(1050)]


async def test_a_listing_without_end_is_refused(site: StandIn) -> None:
    page = b"<a><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></a>"
    site.answer = lambda _: Answer(200, page)
    async with watching(site.url, "bucket") as (options, tools):
        with pytest.raises(InvalidInput, match="longer `prefix`"):
            await SOURCE.poll(options, None, tools)
    assert len(site.asked) == MAX_PAGES


_AWS = S3Account(
    "https://examplebucket.s3.amazonaws.com",
    "us-east-1",
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # of AWS's documentation
)


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            {},
            {"range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/", {"lifecycle": ""}, {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "/",
            {"prefix": "J", "max-keys": "2"},
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signatures_are_those_of_awss_documentation(
    path: str, query: dict[str, str], headers: dict[str, str], signature: str
) -> None:
    at = datetime(2013, 5, 24, tzinfo=UTC)
    for host in ("examplebucket.s3.amazonaws.com", "examplebucket.s3.amazonaws.com:443"):
        assert sign(_AWS, host, path, query, headers, at)["authorization"].endswith(f"Signature={signature}")


@pytest.mark.slow
def test_beyond_what_is_remembered_one_by_one_older_items_count_as_known() -> None:
    items = [ListedItem(str(number), number) for number in range(10)]
    memory = ListedItems(ListedItems({}, max_items=4).after(items), max_items=4)
    assert all(item in memory for item in items)
    assert ListedItem("late", 5) not in ListedItems(memory.after(items[6:]) | {"known_until": 4}, max_items=4)
    assert ListedItem("too late", 5) in memory
    assert ListedItem("new", 10) not in memory
