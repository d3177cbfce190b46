"""Triggers that Pipedream runs for a connected account: deployed once, each event once, and gone when nobody wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.integration.triggers.helpers import KEEPS, look, started, state_of, until_polled
from tests.support.runtime import ADMIN, deploy, finished, make_home, open_runtime
from tests.support.waiting import until_async

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.model.trigger import Trigger, TriggerChanges, TriggerRequest, TriggerTest
from codewords_mcp.runtime.model.webhook import Arrival
from codewords_mcp.runtime.model.workflow import Consent
from codewords_testing.pipedream import LoopbackConnect, loopback_connect
from codewords_testing.pipedream.deployed import LoopbackTrigger
from codewords_testing.pipedream.responses import ConnectRefusal

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
USER = "codewords-local"
ISSUE = {"app": "github", "event": "github-new-issue", "props": {"repoFullname": "ann/tools"}}


@pytest.fixture(scope="module")
def connect() -> Iterator[LoopbackConnect]:
    with loopback_connect() as running:
        yield running


@pytest.fixture
def account(connect: LoopbackConnect) -> str:
    connect.forget_accounts()
    connect.deployed.tell = lambda _url, _payload: None
    connect.deployed.after_deploy = connect.deployed.before_delete = None
    return connect.connect_account(USER, "github")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, connect: LoopbackConnect
) -> AsyncIterator[Runtime]:
    """One on each database, at a public address."""
    home = make_home(tmp_path_factory.mktemp("home"))
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    async with open_runtime(
        home, database_url=url, pipedream_base_url=connect.url, public_url="https://runtime.example"
    ) as opened:
        for name, value in connect.credentials.items():
            await opened.secrets.set(ADMIN, name, value)
        yield opened


@pytest.fixture(scope="module")
async def keeps(runtime: Runtime) -> str:
    return await deploy(runtime, KEEPS)


async def add(runtime: Runtime, service: str, **more: Any) -> Trigger:
    """A trigger of new issues, once it was looked at for the first time."""
    asked: dict[str, Any] = {"kind": "pipedream", "service_id": service, "options": ISSUE} | more
    added = await runtime.triggers.add(ADMIN, TriggerRequest(**asked))
    return await until_polled(runtime, added.trigger)


def only(connect: LoopbackConnect) -> LoopbackTrigger:
    """The only deployed trigger."""
    (found,) = connect.deployed.all.values()
    return found


async def hurry(runtime: Runtime) -> None:
    """Whatever is tried again later has become due, and answers that may come late have come."""
    from codewords_mcp.runtime.model.events import TriggersChanged
    from codewords_mcp.runtime.store.clock import now
    from codewords_mcp.runtime.store.tables import trigger_deployments as table

    container = runtime._container  # pyright: ignore[reportPrivateUsage]  # no clock of ours can be moved from outside
    unsettled = table.update().where(table.c.due_at.is_not(None))
    values = unsettled.values(due_at=now() - 1, sent_at=now() - 3_600_000_000)
    await container.database.write(lambda connection: connection.execute(values))
    container.events.publish(TriggersChanged())


async def gone(runtime: Runtime, connect: LoopbackConnect) -> None:
    """Nothing is deployed, and nothing is left to be done."""

    async def check() -> bool:
        return not connect.deployed.all

    await until_async(check, "the end of all deployed triggers")


@pytest.mark.requirement("triggers:deployed")
async def test_an_event_of_a_connected_app_starts_one_run(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    options = ISSUE | {"event": "new issue"}
    trigger = await add(runtime, keeps, options=options)
    there = only(connect)
    assert (there.key, there.user, there.emits_on_deploy, there.active) == (
        "github-new-issue",
        USER,
        False,
        True,
    )
    assert there.props["repoFullname"] == "ann/tools"
    assert there.props["github"] == {"authProvisionId": account}

    ids = connect.deployed.emit(there.id, *({"number": number} for number in range(3)))
    await look(runtime, trigger)
    events = await started(runtime, trigger, 3)
    assert [event.key for event in events] == ids
    run = await finished(runtime, events[2].run_id or "")
    assert run.response_json["got"] == {"id": ids[2], "summary": "An event", "event": {"number": 2}}

    sample = await runtime.triggers.test(ADMIN, trigger.id, TriggerTest())
    assert (sample.found, sample.data["event"]) == (True, {"number": 2})
    connect.deployed.emit(there.id, {"number": 3})
    await look(runtime, trigger)
    assert len(await started(runtime, trigger, 4)) == 4

    await runtime.triggers.remove(ADMIN, trigger.id)
    await gone(runtime, connect)


@pytest.mark.requirement("triggers:deployed")
async def test_its_address_only_says_that_there_is_something_new(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    trigger = await add(runtime, keeps)
    (url,) = only(connect).urls
    assert url.startswith("https://runtime.example/webhook/dep_")
    endpoint = url.rpartition("/")[2]
    connect.deployed.emit(only(connect).id, {"number": 1})
    arrival = Arrival(endpoint, "POST", {}, {}, b'{"number": "forged"}')
    assert (await runtime.webhooks.receive(arrival)).body == {"ok": True}

    (event,) = await started(runtime, trigger, 1)
    run = await finished(runtime, event.run_id or "")
    assert run.response_json["got"]["event"] == {"number": 1}
    with pytest.raises(NotFound):
        await runtime.webhooks.receive(Arrival(endpoint[:-1] + "x", "POST", {}, {}, b"{}"))
    await runtime.triggers.remove(ADMIN, trigger.id)
    await gone(runtime, connect)
    with pytest.raises(NotFound):
        await runtime.webhooks.receive(arrival)


@pytest.mark.requirement("triggers:deployed")
async def test_a_choice_that_does_not_fit_is_refused_with_what_there_is(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    async def refused(kind: type[Exception], **options: Any) -> Any:
        with pytest.raises(kind) as error:
            await add(runtime, keeps, options=options)
        return error.value

    named = await refused(InvalidInput, app="github")
    assert "github-new-issue (New Issue); github-new-release" in str(named.hint)
    assert "github-new-issue" in str((await refused(InvalidInput, app="github", event="gone wild")).hint)
    assert "`repoFullname`" in str(await refused(InvalidInput, app="github", event="github-new-issue"))
    await refused(NotFound, app="openweather", event="rain")
    await refused(NotFound, **ISSUE, account="apn_other")
    connect.forget_accounts()
    await refused(AppNotConnected, **ISSUE)
    assert not connect.deployed.all


@pytest.mark.requirement("triggers:deployed", "triggers:deployed-gone")
async def test_a_paused_trigger_emits_nothing_and_goes_on_when_it_is_resumed(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    trigger = await add(runtime, keeps)
    there = only(connect)
    connect.deployed.emit(there.id, {"number": 1})
    await look(runtime, trigger)
    await started(runtime, trigger, 1)

    async def active() -> bool:
        return there.active

    async def inactive() -> bool:
        return not there.active

    await runtime.triggers.pause(ADMIN, trigger.id)
    await until_async(inactive, "the end of events")
    paused = await runtime.triggers.resume(ADMIN, trigger.id)
    await until_polled(runtime, paused)
    assert await active()
    connect.deployed.emit(there.id, {"number": 2})
    await look(runtime, trigger)
    assert len(await started(runtime, trigger, 2)) == 2

    connect.deployed.emit(there.id, {"number": 3})
    anew = await runtime.triggers.resume(ADMIN, trigger.id, skip_waiting=True)
    await until_polled(runtime, anew)
    connect.deployed.emit(there.id, {"number": 4})
    await look(runtime, trigger)
    events = await started(runtime, trigger, 3)
    run = await finished(runtime, events[-1].run_id or "")
    assert run.response_json["got"]["event"] == {"number": 4}
    await runtime.triggers.remove(ADMIN, trigger.id)
    await gone(runtime, connect)


@pytest.mark.requirement("triggers:deployed-gone")
async def test_other_options_are_deployed_anew_and_the_earlier_ones_go(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    trigger = await add(runtime, keeps)
    before = only(connect).id
    other = ISSUE | {"props": {"repoFullname": "ann/other"}}
    changed = await runtime.triggers.change(ADMIN, trigger.id, TriggerChanges(options=other))
    assert changed.next_at is None

    async def replaced() -> bool:
        found = list(connect.deployed.all.values())
        return len(found) == 1 and found[0].id != before

    await until_async(replaced, "the other trigger")
    assert only(connect).props["repoFullname"] == "ann/other"
    await runtime.triggers.remove(ADMIN, trigger.id)
    await gone(runtime, connect)


@pytest.mark.requirement("triggers:deployed-gone")
async def test_a_deleted_workflow_and_a_disconnected_account_take_their_triggers_down(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    doomed = await deploy(runtime, KEEPS.replace("Keeps", "Doomed"))
    first = await add(runtime, doomed)
    await runtime.workflows.delete(ADMIN, doomed, consent=Consent(allow=True))

    async def off() -> bool:
        return all(not one.active for one in connect.deployed.all.values())

    await until_async(off, "the end of events")
    await runtime.triggers.remove(ADMIN, first.id)
    await gone(runtime, connect)

    second = await add(runtime, keeps)
    await runtime.connections.disconnect(ADMIN, account)
    paused = await state_of(runtime, second, "paused")
    assert "account was disconnected" in paused.note
    await gone(runtime, connect)
    connect.connect_account(USER, "github")
    await until_polled(runtime, await runtime.triggers.resume(ADMIN, second.id))
    assert only(connect).active
    await runtime.triggers.remove(ADMIN, second.id)
    await gone(runtime, connect)


@pytest.mark.requirement("triggers:deployed-gone")
async def test_what_does_not_go_is_tried_again_until_it_is_gone(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    trigger = await add(runtime, keeps)
    only(connect).undeletable = True
    await runtime.triggers.remove(ADMIN, trigger.id)

    async def tried_again() -> bool:
        await hurry(runtime)
        return not connect.deployed.all

    await until_async(tried_again, "the end of a trigger that its app holds")


@pytest.mark.requirement("triggers:deployed-once")
async def test_an_answer_that_is_lost_leaves_one_trigger(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    def lose() -> None:
        connect.deployed.after_deploy = None
        raise ConnectRefusal(502, "lost")

    connect.deployed.after_deploy = lose
    request = TriggerRequest(kind="pipedream", service_id=keeps, options=ISSUE)
    added = (await runtime.triggers.add(ADMIN, request)).trigger

    async def looked_at() -> bool:
        await hurry(runtime)
        return (await runtime.triggers.get(ADMIN, added.id)).polled_at is not None

    await until_async(looked_at, "its first look")
    only(connect)

    # One that is removed while nobody knows what was deployed.
    await runtime.triggers.remove(ADMIN, added.id)
    await gone(runtime, connect)
    connect.deployed.after_deploy = lose
    added = (await runtime.triggers.add(ADMIN, request)).trigger

    async def lost() -> bool:
        return connect.deployed.after_deploy is None

    await until_async(lost, "the lost answer")
    await runtime.triggers.remove(ADMIN, added.id)

    async def found() -> bool:
        await hurry(runtime)
        return not connect.deployed.all

    await until_async(found, "the end of a trigger that nobody knew")


@pytest.mark.requirement("triggers:deployed")
async def test_one_that_was_deleted_at_the_broker_is_deployed_anew_when_it_is_resumed(
    runtime: Runtime, keeps: str, connect: LoopbackConnect, account: str
) -> None:
    trigger = await add(runtime, keeps)
    before = only(connect).id
    connect.deployed.all.clear()
    await look(runtime, trigger)
    await state_of(runtime, trigger, "failing")
    await runtime.triggers.pause(ADMIN, trigger.id)
    resumed = await runtime.triggers.resume(ADMIN, trigger.id)
    await until_polled(runtime, resumed)
    assert only(connect).id != before
    await runtime.triggers.remove(ADMIN, trigger.id)
    await gone(runtime, connect)
