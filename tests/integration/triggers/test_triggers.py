"""Event sources start workflows: each event once, in order, bounded, and told when something is wrong."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.integration.alerts.helpers import alert_of
from tests.integration.triggers.helpers import (
    FeedSite,
    add_feed,
    look,
    started,
    state_of,
    until_polled,
)
from tests.support.loopback_site import StandIn
from tests.support.runtime import ADMIN, ALLOWED, deploy, fetch, finished, workflow
from tests.support.waiting import until_async

from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound, UpstreamFailed
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.trigger import TriggerChanges, TriggerRequest, TriggerTest

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("triggers:once-in-order")
async def test_each_new_item_starts_one_run_in_order(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    feeds.items["/order"] = ["old"]
    trigger = await add_feed(runtime, keeps, f"{site.url}/order")

    feeds.items["/order"] = ["c", "b", "a", "a", "old"]
    await look(runtime, trigger)
    events = await started(runtime, trigger, 3)
    assert [event.key for event in events] == ["a", "b", "c"]

    feeds.items["/order"] = ["d", "c", "b", "a"]
    await look(runtime, await runtime.triggers.get(ADMIN, trigger.id))
    events = await started(runtime, trigger, 4)
    assert [event.key for event in events] == ["a", "b", "c", "d"]
    run_ids = [event.run_id or "" for event in events]
    assert len(set(run_ids)) == 4

    run = await finished(runtime, run_ids[0])
    assert run.response_json["got"]["title"] == "Item a"
    assert run.response_json["headers"]["x-trigger-event"] == "a"
    assert run.trigger is not None
    assert (run.trigger.kind, run.trigger.id, run.trigger.event) == ("feed", trigger.id, "a")
    listed = await runtime.runs.list(ADMIN, service_id=keeps, limit=10)
    assert trigger.id in {item.trigger.id for item in listed.items if item.trigger}


@pytest.mark.requirement("triggers:sample")
async def test_a_trigger_shows_its_newest_item_before_it_is_switched_on(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    feeds.items["/sample"] = ["new", "older"]
    request = TriggerRequest(kind="feed", service_id=keeps, options={"url": f"{site.url}/sample"})
    added = await runtime.triggers.add(ADMIN, request)
    assert added.sample is not None
    assert added.sample.data["id"] == "new"
    await until_polled(runtime, added.trigger)

    tested = await runtime.triggers.test(ADMIN, added.trigger.id, TriggerTest(run=True))
    assert tested.run_id is not None
    run = await finished(runtime, tested.run_id)
    assert run.response_json["got"]["id"] == "new"
    assert (await runtime.triggers.events(ADMIN, added.trigger.id)) == []
    await runtime.triggers.remove(ADMIN, added.trigger.id)
    with pytest.raises(NotFound):
        await runtime.triggers.get(ADMIN, added.trigger.id)


@pytest.mark.requirement("triggers:refused")
@pytest.mark.parametrize(
    ("kind", "options", "fault"),
    [
        ("feed", {}, InvalidInput),
        ("feed", {"url": "no address"}, InvalidInput),
        ("feed", {"url": "{site}/none", "more": 1}, InvalidInput),
        ("letter", {}, InvalidInput),
        ("url", {"url": "{site}/order", "path": "a.b"}, UpstreamFailed),
        ("run_ended", {"workflow": "nobody"}, NotFound),
    ],
)
async def test_wrong_options_are_refused_in_words(
    runtime: Runtime,
    keeps: str,
    site: StandIn,
    feeds: FeedSite,
    kind: str,
    options: dict[str, object],
    fault: type[CodewordsError],
) -> None:
    given = json.loads(json.dumps(options).replace("{site}", site.url))
    with pytest.raises(fault) as refused:
        await runtime.triggers.add(ADMIN, TriggerRequest(kind=kind, service_id=keeps, options=given))
    assert refused.value.message.endswith(".")


@pytest.mark.requirement("triggers:owner")
async def test_a_trigger_is_its_owners_alone(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    trigger = await add_feed(runtime, keeps, f"{site.url}/own")
    other = Caller("ann", "user")
    assert trigger.id not in {item.id for item in await runtime.triggers.list(other)}
    for act in (runtime.triggers.pause, runtime.triggers.remove, runtime.triggers.resume):
        with pytest.raises(NotFound):
            await act(other, trigger.id)


@pytest.mark.requirement("triggers:failing")
async def test_a_source_that_fails_again_and_again_pauses_its_trigger_with_an_alert(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    trigger = await add_feed(runtime, keeps, f"{site.url}/fails")
    feeds.status = 500
    await look(runtime, trigger)
    failing = await state_of(runtime, trigger, "failing")
    assert "500" in failing.problem

    await look(runtime, trigger, failures=9)
    paused = await state_of(runtime, trigger, "paused")
    assert paused.note.startswith("Paused after 10 failures")
    await alert_of(runtime, "trigger_stopped")

    feeds.status = 200
    feeds.items["/fails"] = ["meanwhile"]
    await runtime.triggers.resume(ADMIN, trigger.id)
    assert [event.key for event in await started(runtime, trigger, 1)] == ["meanwhile"]
    await alert_of(runtime, "trigger_stopped", status="resolved")


@pytest.mark.requirement("triggers:catch-up")
async def test_after_a_long_sleep_no_more_than_the_bound_starts(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    trigger = await add_feed(runtime, keeps, f"{site.url}/sleep", catch_up=2)
    feeds.items["/sleep"] = [f"i{number}" for number in range(5)]
    await look(runtime, trigger, polled_at=1)
    events = await started(runtime, trigger, 2)
    assert [event.key for event in events] == ["i1", "i0"]
    found = await runtime.triggers.get(ADMIN, trigger.id)
    assert (found.missed, found.waiting) == (3, 0)
    await alert_of(runtime, "trigger_missed")


@pytest.mark.requirement("triggers:back-pressure")
async def test_a_paused_trigger_keeps_its_events_and_looks_no_more(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    trigger = await add_feed(runtime, keeps, f"{site.url}/paused")
    await runtime.triggers.pause(ADMIN, trigger.id)
    feeds.items["/paused"] = ["x"]
    await look(runtime, trigger)
    other = await add_feed(runtime, keeps, f"{site.url}/order")
    await look(runtime, other)
    await until_polled(runtime, other)
    assert (await runtime.triggers.events(ADMIN, trigger.id)) == []

    await runtime.triggers.resume(ADMIN, trigger.id)
    assert [event.key for event in await started(runtime, trigger, 1)] == ["x"]

    # Many wait: the source is not looked at until some have started.
    full = await add_feed(runtime, keeps, f"{site.url}/full")
    asked = len([request for request in site.asked if request.path == "/full"])
    await look(runtime, full, waiting=1000, start_at=2**62)
    await look(runtime, other)
    await until_polled(runtime, await runtime.triggers.get(ADMIN, other.id))
    assert len([request for request in site.asked if request.path == "/full"]) == asked
    await runtime.triggers.remove(ADMIN, full.id)


@pytest.mark.requirement("triggers:change")
async def test_other_options_begin_anew(runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite) -> None:
    feeds.items |= {"/one": ["1"], "/two": ["2"]}
    trigger = await add_feed(runtime, keeps, f"{site.url}/one")
    changed = await runtime.triggers.change(
        ADMIN, trigger.id, TriggerChanges(options={"url": f"{site.url}/two"}, name="Two")
    )
    await until_polled(runtime, changed)
    feeds.items["/two"] = ["3", "2"]
    await look(runtime, changed)
    assert [event.key for event in await started(runtime, trigger, 1)] == ["3"]


@pytest.mark.requirement("triggers:deleted-workflow")
async def test_a_deleted_workflow_pauses_its_trigger(
    runtime: Runtime, site: StandIn, feeds: FeedSite
) -> None:
    service = await deploy(runtime, workflow('@app.post("/")\nasync def f(): return 1\n', title="Gone"))
    trigger = await add_feed(runtime, service, f"{site.url}/gone")
    await runtime.workflows.delete(ADMIN, service, consent=ALLOWED)
    paused = await runtime.triggers.get(ADMIN, trigger.id)
    assert (paused.state, paused.note) == ("paused", "Paused: its workflow was deleted.")
    with pytest.raises(NotFound):
        await runtime.triggers.resume(ADMIN, trigger.id)


@pytest.mark.requirement("triggers:run-ended")
async def test_a_run_that_ends_starts_another_workflow_with_its_record(runtime: Runtime, keeps: str) -> None:
    first = await deploy(
        runtime, workflow('@app.post("/")\nasync def f(): return {"total": 3}\n', title="First")
    )
    request = TriggerRequest(kind="run_ended", service_id=keeps, options={"workflow": first})
    trigger = (await runtime.triggers.add(ADMIN, request)).trigger
    _, _, run_id = await fetch(runtime, first, {})
    event = (await started(runtime, trigger, 1))[0]
    assert event.key == run_id
    run = await finished(runtime, event.run_id or "")
    got = run.response_json["got"]
    assert (got["run_id"], got["status"], got["response"]) == (run_id, "succeeded", {"total": 3})
    assert run.depth == 1


@pytest.mark.requirement("triggers:loop")
async def test_workflows_that_start_each_other_are_stopped_and_named(runtime: Runtime) -> None:
    answers = '@app.post("/")\nasync def f(): return 1\n'
    ping = await deploy(runtime, workflow(answers, title="Ping"))
    pong = await deploy(runtime, workflow(answers, title="Pong"))
    triggers = [
        (
            await runtime.triggers.add(
                ADMIN, TriggerRequest(kind="run_ended", service_id=service, options={"workflow": watched})
            )
        ).trigger
        for service, watched in ((ping, pong), (pong, ping))
    ]
    await fetch(runtime, ping, {})

    async def paused() -> str | None:
        found = [await runtime.triggers.get(ADMIN, trigger.id) for trigger in triggers]
        return next((trigger.note for trigger in found if trigger.state == "paused"), None)

    note = await until_async(paused, "a loop that is stopped")
    assert note is not None
    assert "Ping" in note
    assert "Pong" in note
    alert = await alert_of(runtime, "trigger_stopped", message=note)
    assert "without end" in alert.message
    with pytest.raises(InvalidInput):
        request = TriggerRequest(kind="run_ended", service_id=ping, options={"workflow": ping})
        await runtime.triggers.add(ADMIN, request)
    for trigger in triggers:
        await runtime.triggers.remove(ADMIN, trigger.id)


@pytest.mark.requirement("triggers:clock-back")
async def test_a_clock_that_was_ahead_does_not_silence_a_trigger(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    from codewords_mcp.runtime.store import triggers as rows
    from codewords_mcp.runtime.store.clock import now

    trigger = await add_feed(runtime, keeps, f"{site.url}/clock")
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]  # no clock of ours can be moved
    far = now() + 365 * 86400 * 1_000_000
    await database.write(rows.change, trigger.id, {"next_at": far})
    assert await database.write(rows.pull_back, now(), 4_500_000_000) == 1
    found = await runtime.triggers.get(ADMIN, trigger.id)
    assert found.next_at is not None
    assert found.next_at.timestamp() * 1e6 <= now()


@pytest.mark.requirement("triggers:all-kinds")
async def test_schedules_and_webhooks_are_triggers_too(runtime: Runtime, keeps: str) -> None:
    schedule = TriggerRequest(kind="schedule", service_id=keeps, options={"cron": "@daily"}, name="daily")
    webhook = TriggerRequest(kind="plain", service_id=keeps)
    added = [(await runtime.triggers.add(ADMIN, request)).trigger for request in (schedule, webhook)]
    assert added[0].next_at is not None
    assert (added[1].url or "").startswith("http")
    listed = {item.id for item in await runtime.triggers.list(ADMIN, service_id=keeps)}
    assert {trigger.id for trigger in added} <= listed
    for trigger in added:
        assert (await runtime.triggers.pause(ADMIN, trigger.id)).state == "paused"
        assert (await runtime.triggers.resume(ADMIN, trigger.id)).state == "active"

    tested = await runtime.triggers.test(ADMIN, added[1].id, TriggerTest(data={"hello": 1}))
    assert tested.run_id is not None
    run = await finished(runtime, tested.run_id)
    assert run.response_json["got"] == {"hello": 1}
    assert run.trigger is not None
    assert (run.trigger.kind, run.trigger.id) == ("webhook", added[1].id)
    for trigger in added:
        await runtime.triggers.remove(ADMIN, trigger.id)


@pytest.mark.requirement("triggers:signed-test")
@pytest.mark.parametrize("kind", ["hub", "standard", "stripe"])
async def test_a_test_of_a_webhook_is_signed_as_its_sender_would(
    runtime: Runtime, keeps: str, kind: str
) -> None:
    await runtime.secrets.set(ADMIN, "SENDER_SECRET", "c2VjcmV0IG9mIHRoZSB0ZXN0cw==")
    request = TriggerRequest(kind=kind, service_id=keeps, options={"secret": "SENDER_SECRET"})
    trigger = (await runtime.triggers.add(ADMIN, request)).trigger
    tested = await runtime.triggers.test(ADMIN, trigger.id, TriggerTest())
    assert tested.run_id is not None
    await finished(runtime, tested.run_id)
    await runtime.triggers.remove(ADMIN, trigger.id)


@pytest.mark.requirement("triggers:replicas")
async def test_two_looks_at_once_store_each_event_once(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    trigger = await add_feed(runtime, keeps, f"{site.url}/twice")
    feeds.items["/twice"] = [f"t{number}" for number in range(20)]
    await look(runtime, trigger)
    await asyncio.gather(*(look(runtime, trigger, claimed_until=None) for _ in range(5)))
    events = await started(runtime, trigger, 20)
    assert len({event.run_id for event in events}) == 20
    assert [event.key for event in events] == [f"t{number}" for number in reversed(range(20))]
