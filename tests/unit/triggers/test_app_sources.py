"""The sources of connected apps, against servers that speak their protocols."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.support.source_tools import Tools, source_tools

from codewords_mcp.errors import InvalidInput, NotConnected, NotFound, TooBusy, UpstreamFailed
from codewords_mcp.runtime.integrations.native_api import AppApi
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.triggers.sources.airtable import AirtableSource
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled
from codewords_mcp.runtime.triggers.sources.github import GitHubSource
from codewords_mcp.runtime.triggers.sources.hubspot import HubSpotSource
from codewords_mcp.runtime.triggers.sources.notion import NotionSource
from codewords_mcp.runtime.triggers.sources.sheets import SheetsSource
from codewords_testing.app_records import airtable_record, github_event, hubspot_record, notion_page
from codewords_testing.apps import LoopbackApps, StubReply, loopback_apps

pytestmark = pytest.mark.anyio
TOKEN = "secret"
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SOURCES: dict[str, tuple[EventSource[Any], str, dict[str, Any]]] = {
    "github": (GitHubSource(), "github", {"repository": "ann/tools"}),
    "notion": (
        NotionSource(),
        "notion",
        {"database_id": "https://www.notion.so/Tasks-" + "a1" * 16 + "?v=" + "b2" * 16},
    ),
    "hubspot": (HubSpotSource(), "hubspot", {"what": "contacts"}),
    "airtable": (AirtableSource(), "airtable", {"base_id": "appABC", "table": "Leads & more"}),
    "sheets": (
        SheetsSource(),
        "google_sheets",
        {"spreadsheet_id": "https://docs.google.com/spreadsheets/d/abc-1/edit#gid=0"},
    ),
}


@pytest.fixture
def apps() -> Generator[LoopbackApps]:
    with loopback_apps(TOKEN) as found:
        found.sheets["abc-1"] = [["Name", "Id"]]
        yield found


class Watch:
    """A source with its options and the state between looks."""

    def __init__(self, kind: str, tools: Tools, **changes: Any) -> None:
        self.source, _, fields = SOURCES[kind]
        self.options = self.source.Options.model_validate(fields | changes)
        self.tools = tools
        self.state: Any = None

    async def look(self) -> Polled:
        polled = await self.source.poll(self.options, self.state, self.tools)
        # A state is stored as JSON.
        self.state = json.loads(json.dumps(polled.state))
        assert len(json.dumps(self.state)) < 64 << 10
        return polled

    async def keys(self) -> list[str]:
        """Those of all pages."""
        found: list[str] = []
        more = True
        while more:
            polled = await self.look()
            found, more = found + [event.key for event in polled.events], polled.more
        return found

    async def data(self) -> list[dict[str, Any]]:
        return [cast("dict[str, Any]", event.data) for event in (await self.look()).events]


@asynccontextmanager
async def watching(
    apps: LoopbackApps, kind: str, token: str = TOKEN, **changes: Any
) -> AsyncGenerator[Watch]:
    _, app, _ = SOURCES[kind]
    async with source_tools(apps.port) as tools:
        headers = {"authorization": f"Bearer {token}", **SERVICES[app].headers}
        tools.apps[app] = AppApi(tools.web, SERVICES[app], apps.bases[app], headers)
        tools.now = lambda: NOW
        yield Watch(kind, tools, **changes)


@pytest.mark.requirement("triggers:github")
async def test_events_of_a_repository_are_told_once_and_asked_for_by_their_etag(apps: LoopbackApps) -> None:
    apps.events = [github_event(1)]
    async with watching(apps, "github", actions=["opened"]) as watch:
        assert await watch.keys() == []
        watch.tools.now = lambda: NOW + timedelta(seconds=30)
        asked = len(apps.requests)
        assert await watch.keys() == []
        assert len(apps.requests) == asked

        watch.tools.now = lambda: NOW + timedelta(seconds=60)
        assert await watch.keys() == []
        assert apps.requests[-1].headers["if-none-match"]
        apps.events = [
            github_event(4, action="closed"),
            github_event(3, "WatchEvent"),
            github_event(2, "ReleaseEvent", action="opened"),
            *apps.events,
        ]
        watch.tools.now = lambda: NOW + timedelta(seconds=200)
        [event] = await watch.data()
        watch.tools.now = lambda: NOW + timedelta(seconds=300)
        assert await watch.keys() == []
        sample = await watch.source.sample(watch.options, watch.tools)
    assert (event["event"], event["action"], event["actor"]) == ("releases", "opened", "bob")
    assert event["url"] == "https://github.com/ann/tools/releases/tag/v2"
    assert sample is not None
    assert sample.key == "2"


@pytest.mark.requirement("triggers:github")
async def test_pull_requests_and_pushes_lead_to_their_pages(apps: LoopbackApps) -> None:
    async with watching(apps, "github") as watch:
        await watch.keys()
        apps.events = [github_event(6, "PushEvent"), github_event(5, "PullRequestEvent")]
        watch.tools.now = lambda: NOW + timedelta(seconds=60)
        found = await watch.data()
    assert [(event["event"], event["url"]) for event in found] == [
        ("pull_requests", "https://github.com/ann/tools/pull/5"),
        ("pushes", f"https://github.com/ann/tools/compare/{'0' * 40}...{6:040x}"),
    ]


@pytest.mark.requirement("triggers:github")
async def test_many_events_between_two_looks_are_read_over_their_pages_oldest_first(
    apps: LoopbackApps,
) -> None:
    apps.events = [github_event(1)]
    async with watching(apps, "github") as watch:
        await watch.keys()
        apps.events = [github_event(number) for number in range(250, 0, -1)]
        # A clock that jumped far ahead and back has left a time that is not waited for.
        watch.state["not_before"] = (NOW + timedelta(days=30)).isoformat()
        assert await watch.keys() == [str(number) for number in range(2, 251)]


@pytest.mark.requirement("triggers:github")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [([("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "{}")], 600), ([("retry-after", "7")], 7)],
)
async def test_a_reached_rate_limit_says_when_to_come_again(
    apps: LoopbackApps, headers: list[tuple[str, str]], seconds: int
) -> None:
    apps.answer_next(
        StubReply(403, b"{}", headers=[(name, text.format(int(time.time()) + 600)) for name, text in headers])
    )
    async with watching(apps, "github") as watch:
        with pytest.raises(TooBusy) as found:
            await watch.look()
    assert seconds - 60 < found.value.retry_after <= seconds


@pytest.mark.requirement("triggers:apps")
@pytest.mark.parametrize("kind", SOURCES)
async def test_a_wrong_token_a_limit_and_what_is_not_there_are_said(apps: LoopbackApps, kind: str) -> None:
    async with watching(apps, kind, token="wrong") as watch:  # no password
        with pytest.raises(NotConnected, match="refused the token"):
            await watch.look()
    async with watching(apps, kind) as watch:
        for reply, error in (
            (StubReply(429, b"{}", headers=[("retry-after", "9")]), TooBusy),
            (StubReply(404, b"{}"), NotFound),
            (StubReply(500, b"{}"), UpstreamFailed),
            (StubReply(200, b"<html>"), UpstreamFailed),
            (StubReply(200, b'{"ok": true, "values": 7}'), UpstreamFailed),
            (StubReply(200, b'"text"'), UpstreamFailed),
            (StubReply(200, b" " * (50 << 20)), UpstreamFailed),
        ):
            apps.answer_next(reply)
            with pytest.raises(error):
                await watch.look()


@pytest.mark.requirement("triggers:notion")
async def test_a_page_is_told_for_each_minute_of_its_changes_once_that_is_over(apps: LoopbackApps) -> None:
    apps.date = NOW
    apps.pages = [
        notion_page("old", NOW - timedelta(days=1)),
        notion_page("just now", NOW - timedelta(minutes=1)),
    ]
    async with watching(apps, "notion") as watch:
        assert await watch.keys() == []
        apps.pages.append(notion_page("new", NOW))
        assert await watch.keys() == []
        apps.date = NOW + timedelta(minutes=1)
        [event] = await watch.data()
        assert await watch.keys() == []
        apps.pages[0] = notion_page("old", NOW + timedelta(minutes=2))
        apps.date = NOW + timedelta(minutes=4)
        assert await watch.keys() == [f"{apps.pages[0]['id']}:{(NOW + timedelta(minutes=2)).isoformat()}"]
        sample = await watch.source.sample(watch.options, watch.tools)
    assert (event["title"], event["url"]) == ("new", apps.pages[-1]["url"])
    assert sample is not None
    assert cast("Any", sample.data)["title"] == "old"


@pytest.mark.requirement("triggers:notion")
async def test_of_several_data_sources_the_one_that_is_named_is_watched(apps: LoopbackApps) -> None:
    apps.date = NOW
    apps.data_sources = {"d5" * 16: "Tasks", "e6" * 16: "Archive"}
    async with watching(apps, "notion") as watch:
        with pytest.raises(InvalidInput, match="has 2 data sources, and 2 of them are meant"):
            await watch.keys()
    for named in ("Archive", "E6" * 16):
        async with watching(apps, "notion", data_source=named) as watch:
            assert await watch.keys() == []
        assert apps.requests[-1].path.replace("-", "") == f"/notion/v1/data_sources/{'e6' * 16}/query"
    async with watching(apps, "notion", data_source="Elsewhere") as watch:
        with pytest.raises(InvalidInput, match="and 0 of them are meant"):
            await watch.keys()


@pytest.mark.requirement("triggers:notion")
@pytest.mark.parametrize("skew", [timedelta(days=-400), timedelta(days=400)])
async def test_times_are_the_apps_whatever_the_clock_here_says(apps: LoopbackApps, skew: timedelta) -> None:
    apps.date = NOW + skew
    apps.pages = [notion_page(str(n), NOW + skew - timedelta(minutes=n)) for n in range(1, 250)]
    async with watching(apps, "notion") as watch:
        assert await watch.keys() == []
        apps.pages.append(notion_page("new", NOW + skew))
        apps.date += timedelta(minutes=1)
        assert await watch.keys() == [f"{apps.pages[-1]['id']}:{(NOW + skew).isoformat()}"]


@pytest.mark.slow
@pytest.mark.requirement("triggers:notion")
async def test_hundreds_of_pages_of_one_minute_come_once_each(apps: LoopbackApps) -> None:
    apps.date = NOW
    async with watching(apps, "notion", what="created") as watch:
        await watch.keys()
        apps.pages = [notion_page(str(number), NOW) for number in range(950)]
        apps.date = NOW + timedelta(minutes=1)
        found = await watch.keys()
        assert await watch.keys() == []
    assert len(found) == len(set(found)) == 950


def contact(number: int, at: datetime) -> dict[str, Any]:
    text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return hubspot_record(str(number), at, {"createdate": text, "lastmodifieddate": text})


@pytest.mark.requirement("triggers:hubspot")
async def test_a_record_that_the_search_finds_late_is_told_and_none_twice(apps: LoopbackApps) -> None:
    apps.date = NOW
    apps.contacts = [contact(1, NOW - timedelta(minutes=1))]
    async with watching(apps, "hubspot", when="changed") as watch:
        assert await watch.keys() == []
        apps.contacts += [contact(3, NOW + timedelta(minutes=2))]
        apps.date = NOW + timedelta(minutes=2)
        assert len(await watch.keys()) == 1
        apps.contacts += [contact(2, NOW + timedelta(minutes=1))]
        [late] = await watch.data()
        assert await watch.keys() == []
        apps.contacts[0] = contact(1, NOW + timedelta(minutes=3))
        apps.date = NOW + timedelta(minutes=4)
        assert len(await watch.keys()) == 1
    assert (late["id"], late["kind"]) == ("2", "contacts")


@pytest.mark.requirement("triggers:hubspot")
@pytest.mark.slow
async def test_thousands_of_records_at_once_come_once_each_in_order(apps: LoopbackApps) -> None:
    apps.date = NOW
    async with watching(apps, "hubspot") as watch:
        await watch.keys()
        apps.contacts = [contact(n, NOW + timedelta(milliseconds=n)) for n in range(2500)]
        apps.date = NOW + timedelta(minutes=1)
        found = [key.partition(":")[0] for key in await watch.keys()]
        assert await watch.keys() == []
        apps.contacts.append(contact(9999, NOW + timedelta(minutes=1)))
        assert len(await watch.keys()) == 1
    assert found == [str(number) for number in range(2500)]


@pytest.mark.requirement("triggers:hubspot")
async def test_a_record_that_is_dated_to_the_future_hides_none(apps: LoopbackApps) -> None:
    apps.date = NOW
    async with watching(apps, "hubspot") as watch:
        await watch.keys()
        apps.contacts = [contact(1, NOW + timedelta(days=365))]
        assert len(await watch.keys()) == 1
        apps.contacts.append(contact(2, NOW + timedelta(seconds=1)))
        apps.date = NOW + timedelta(seconds=2)
        assert len(await watch.keys()) == 1
        assert await watch.keys() == []


def record(number: int, at: datetime) -> dict[str, Any]:
    return airtable_record(f"rec{number}", at, {"n": number})


@pytest.mark.requirement("triggers:airtable")
async def test_new_records_come_by_their_time_over_all_pages(apps: LoopbackApps) -> None:
    apps.date = NOW
    apps.records = [record(0, NOW - timedelta(seconds=5))]
    async with watching(apps, "airtable") as watch:
        assert await watch.keys() == []
        apps.records += [record(number, NOW + timedelta(seconds=number)) for number in range(9, 0, -1)]
        apps.date = NOW + timedelta(seconds=20)
        assert await watch.keys() == [f"rec{number}" for number in range(1, 10)]
        assert await watch.keys() == []
        sample = await watch.source.sample(watch.options, watch.tools)
    assert sample is not None
    assert apps.requests[-1].path.endswith("/v0/appABC/Leads%20%26%20more")


@pytest.mark.requirement("triggers:sheets")
async def test_rows_at_the_end_are_told_also_where_others_were_deleted_changed_or_are_alike(
    apps: LoopbackApps,
) -> None:
    rows = apps.sheets["abc-1"]
    rows += [["Ann", 1], ["Bob", 2], ["Cy", 3], ["Cy", 3]]
    async with watching(apps, "sheets") as watch:
        assert await watch.keys() == []
        rows.append(["Cy", 3])
        rows.append([])
        rows.append(["Dee"])
        found = await watch.data()
        assert [(event["row"], event["values"]) for event in found] == [
            (6, {"Name": "Cy", "Id": 3}), (8, {"Name": "Dee", "Id": ""}),
        ]  # fmt: skip
        # Two deleted above, the last one edited, and one more.
        del rows[1:3]
        rows[-1][0] = "Eve"
        rows.append(["Fay", 5])
        assert [event["cells"] for event in await watch.data()] == [["Fay", 5]]
        del rows[-1]
        assert await watch.keys() == []
        rows.append(["Fay", 5])
        assert len(await watch.keys()) == 1


@pytest.mark.requirement("triggers:sheets")
async def test_rows_with_a_key_are_found_wherever_they_are_put(apps: LoopbackApps) -> None:
    rows = apps.sheets["abc-1"]
    rows += [["Ann", 1], ["Bob", 2]]
    async with watching(apps, "sheets", key_column="Id") as watch:
        assert await watch.keys() == []
        rows.insert(1, ["Cy", 3])
        rows[2][0] = "Anna"
        rows += [["No id"], ["Twice", 4], ["Twice", 4]]
        assert [event["values"]["Id"] for event in await watch.data()] == [3, 4]
        assert await watch.keys() == []
        rows[0] = ["Name", "Number"]
        with pytest.raises(InvalidInput, match="no column"):
            await watch.look()


@pytest.mark.requirement("triggers:sheets")
@pytest.mark.parametrize("key_column", [None, "Id"])
async def test_thousands_of_rows_come_once_each(apps: LoopbackApps, key_column: str | None) -> None:
    rows = apps.sheets["abc-1"]
    async with watching(apps, "sheets", key_column=key_column) as watch:
        await watch.keys()
        rows += [["Name", number + 1] for number in range(3500)]
        found = await watch.keys()
        assert await watch.keys() == []
    assert len(found) == len(set(found)) == 3500


@pytest.mark.requirement("triggers:sheets")
async def test_an_empty_sheet_and_one_without_a_header_are_read(apps: LoopbackApps) -> None:
    apps.sheets["abc-1"] = []
    async with watching(apps, "sheets", header=False) as watch:
        assert await watch.keys() == []
        assert await watch.source.sample(watch.options, watch.tools) is None
        apps.sheets["abc-1"].append(["first"])
        assert [event["row"] for event in await watch.data()] == [1]


@pytest.mark.requirement("triggers:apps")
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("github", {"repository": "ann"}),
        ("github", {"repository": "ann/../x"}),
        ("github", {"events": ["stars"]}),
        ("notion", {"database_id": "../../users"}),
        ("hubspot", {"what": "secrets"}),
        ("airtable", {"base_id": "tbl1"}),
        ("sheets", {"spreadsheet_id": "a/../b"}),
    ],
)
def test_options_that_name_nothing_are_refused(kind: str, changes: dict[str, Any]) -> None:
    source, _, fields = SOURCES[kind]
    with pytest.raises(ValueError, match="validation error"):
        source.Options.model_validate(fields | changes)
