"""What a run may do with its key: tried by programs in real sandboxes that ask for more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.integration.runtime.helpers import act, acting, code_of, deployed, serving
from tests.support.runtime import (
    ADMIN,
    ECHO,
    fetch,
    finished,
    log_text,
    make_home,
    open_runtime,
    workflow,
)

from codewords_mcp.errors import Forbidden, NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import MAX_DEPTH, Caller

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[int]:
    """A page that counts who came."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<h1>Hello</h1><p>A page with some text.</p>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{tail:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    started = web.TCPSite(runner, "127.0.0.1", 0)
    await started.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory, site: int) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("authority") / "home")
    allowed = [f"site.example:{site}", f"localhost:{site}"]
    async with (
        open_runtime(home, egress_allow_private=allowed, shares_driver=True) as opened,
        serving(opened),
    ):
        yield opened


@pytest.mark.requirement("authority:secrets")
async def test_a_secret_that_is_set_after_a_deploy_reaches_only_what_was_agreed_to(runtime: Runtime) -> None:
    agreed = await deployed(runtime, acting(env=("LATER_TOKEN=none",), title="Agreed"))
    stored = await runtime.workflows.get(ADMIN, agreed)
    assert "LATER_TOKEN, if it is set" in "\n".join(stored.capabilities)
    narrow = await deployed(runtime, acting(env=("LATER_TOKEN=none",), title="Narrow"))
    await _without_secrets(runtime, narrow)
    await runtime.secrets.set(ADMIN, "LATER_TOKEN", "s3cr3t-later", plain=True)
    assert (await act(runtime, agreed, read=("LATER_TOKEN",)))["read"]["LATER_TOKEN"] != "none"
    assert (await act(runtime, narrow, read=("LATER_TOKEN",)))["read"] == {"LATER_TOKEN": "none"}


@pytest.mark.requirement("authority:secrets")
async def test_a_secret_that_was_agreed_to_for_its_hosts_is_not_given_as_a_plain_one(
    runtime: Runtime,
) -> None:
    await runtime.secrets.set(ADMIN, "HIDDEN_TOKEN", "s3cr3t-hidden", hosts=["api.hidden.example"])
    held = await deployed(runtime, acting(env=("HIDDEN_TOKEN=none",), title="Held"))
    assert "never seen by the code" in "\n".join((await runtime.workflows.get(ADMIN, held)).capabilities)
    assert (await act(runtime, held, read=("HIDDEN_TOKEN",)))["read"]["HIDDEN_TOKEN"] not in {
        "none",
        "s3cr3t-hidden",
    }
    await runtime.secrets.set(ADMIN, "HIDDEN_TOKEN", "s3cr3t-hidden", plain=True)
    assert (await act(runtime, held, read=("HIDDEN_TOKEN",)))["read"] == {"HIDDEN_TOKEN": "none"}


async def _without_secrets(runtime: Runtime, service_id: str) -> None:
    """As a version of before stands in the database: its manifest lists no variable with a default."""
    from sqlalchemy import text

    container = runtime._container  # pyright: ignore[reportPrivateUsage]  # as an upgrade leaves it
    manifest = (await runtime.workflows.get(ADMIN, service_id)).manifest
    assert manifest is not None
    old = json.dumps(manifest.model_copy(update={"secrets": ()}).model_dump(mode="json"))
    await container.database.write(
        lambda c: c.execute(
            text("UPDATE versions SET manifest = :old WHERE workflow_id = :id"),
            {"id": service_id, "old": old},
        )
    )
    container.forget(service_id)


@pytest.mark.requirement("authority:targets")
@pytest.mark.parametrize(
    ("service", "data"),
    [
        ("webpage_to_markdown", {"url": "http://site.example:PORT/?stolen=DATA"}),
        ("firecrawl/scrape", {"url": "http://site.example:PORT/?stolen=DATA"}),
        ("firecrawl/map", {"url": "http://site.example:PORT/?stolen=DATA"}),
    ],
)
async def test_a_service_goes_where_the_run_may_go(
    runtime: Runtime, site: int, service: str, data: dict[str, Any]
) -> None:
    name = service.partition("/")[0]
    closed = await deployed(runtime, acting(f'hosts = []\nservices = ["{name}"]\n'), name=f"Closed {service}")
    asked = json.loads(json.dumps(data).replace("PORT", str(site)))
    found = await act(runtime, closed, ["POST", f"/run/{service}", asked])
    assert code_of(found["replies"][0]) == "not_agreed"
    assert "did not go there" in await log_text(runtime, found["id"])


@pytest.mark.requirement("authority:targets")
async def test_a_schedule_starts_what_the_run_may_call(runtime: Runtime) -> None:
    payments = await deployed(runtime, acting(title="Payments"))
    maker = await deployed(runtime, acting('services = ["schedule_runs"]\n', title="Maker"))
    data = {"service_id": payments, "cron_expression": "0 9 * * *"}
    own = {"service_id": maker, "cron_expression": "0 9 * * *"}
    found = await act(
        runtime, maker, ["POST", "/run/schedule_runs/", data], ["POST", "/run/schedule_runs/", own]
    )
    assert [code_of(reply) for reply in found["replies"]] == ["not_agreed", ""]
    assert [one.service_id for one in await runtime.schedules.list(ADMIN)] == [maker]


@pytest.mark.requirement("authority:calls")
async def test_a_run_looks_into_accounts_of_declared_apps_only(runtime: Runtime) -> None:
    looker = await deployed(runtime, acting('services = ["pipedream"]\n'), name="Looks into accounts")
    operations = ("check_auth", "list_accounts", "options")
    calls: list[list[Any]] = [
        ["POST", "/run/pipedream/", {"operation": one, "app": "slack", "action": "x", "prop": "y"}]
        for one in operations
    ]
    found = await act(runtime, looker, *calls)
    assert [code_of(reply) for reply in found["replies"]] == ["not_agreed"] * 3


# runs


@pytest.mark.requirement("authority:own-runs")
async def test_a_run_sees_itself_and_what_it_started(runtime: Runtime) -> None:
    payroll = await deployed(runtime, ECHO, name="Payroll")
    _, _, foreign = await fetch(runtime, payroll, {"salary": 1})
    foreign_husk = await runtime.runs.provision(ADMIN)
    looker = await deployed(runtime, acting('services = ["files"]\n'), name="Looker")
    found = await act(
        runtime,
        looker,
        ["GET", f"/request/{foreign}"],
        ["GET", f"/result/{foreign}?timeout=0"],
        ["GET", f"/logs/{foreign}"],
        ["POST", f"/runs/{foreign}/cancel"],
        ["POST", "/run/files/list", {}],
        ["POST", f"/run/{looker}/", {}, {"X-Provisioned-Request-Id": foreign_husk}],
        ["POST", f"/run_async/{looker}/", {"calls": []}],
        ["GET", "/request/unknown"],
    )
    codes = [code_of(reply) if isinstance(reply[1], dict) else str(reply[0]) for reply in found["replies"]]
    assert codes[:3] == ["not_found"] * 3
    assert codes[3] in {"not_found", "forbidden"}
    assert codes[4:6] == ["", "not_found"]
    child = found["replies"][6][1]["request_id"]
    assert codes[7] == "not_found"
    assert "salary" not in json.dumps(found)
    assert (await finished(runtime, child)).parent_id == found["id"]

    own = await act(runtime, looker, ["POST", f"/run_async/{looker}/", {"calls": []}])
    started = own["replies"][0][1]["request_id"]
    again = await act(runtime, looker, ["GET", f"/request/{started}"])
    assert code_of(again["replies"][0]) == "not_found", "another run of the same workflow started it"


@pytest.mark.requirement("authority:own-runs")
async def test_the_facade_shows_a_run_its_own_part_of_everything(runtime: Runtime) -> None:
    from codewords_mcp.runtime.auth.authority import Permissions
    from codewords_mcp.runtime.model.manifest import Manifest

    other = await deployed(runtime, ECHO, name="Other of the facade")
    own = await deployed(runtime, workflow("", title="Own of the facade"))
    _, _, foreign = await fetch(runtime, other, {})
    _, _, mine = await fetch(runtime, own, method="GET")
    await log_text(runtime, mine)  # its sandbox is gone, and its authority
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    permissions = Permissions.of(own, "local", Manifest(services=("*",)))
    container.authorities.begin(mine, "local", permissions, ())
    run = Caller("local", "run", run_id=mine)
    try:
        assert [one.service_id for one in (await runtime.workflows.list(run)).items] == [own]
        assert [one.id for one in (await runtime.runs.list(run)).items] == [mine]
        assert (await runtime.workflows.get(run, own)).service_id == own
        assert (await runtime.runs.get(run, mine)).id == mine
        for asked in (
            runtime.workflows.get(run, other),
            runtime.runs.get(run, foreign),
            runtime.logs.tail(run, foreign),
            runtime.runs.cancel(run, foreign),
        ):
            with pytest.raises(NotFound):
                await asked
        with pytest.raises(NotFound):
            async for _ in runtime.logs.batches(run, foreign):
                pass
        for asked in (
            runtime.runs.usage(run),
            runtime.drafts.list(run),
            runtime.webhooks.list_deliveries(run),
            runtime.reviews.diff(run, other),
            runtime.published.list(run),
            runtime.secrets.list(run),
        ):
            with pytest.raises(Forbidden):
                await asked
    finally:
        container.authorities.end(mine)


@pytest.mark.requirement("authority:own-runs")
async def test_an_idempotency_key_of_a_run_is_its_workflows_own(runtime: Runtime) -> None:
    target = await deployed(runtime, ECHO, name="Answers once")
    key = {"Idempotency-Key": "monday"}
    await fetch(runtime, target, {"of": "person"}, idempotency_key="monday")
    tool = f'services = ["{target}"]\n'
    first, second = [await deployed(runtime, acting(tool), name=f"Asks with a key {n}") for n in (1, 2)]
    told = [
        (await act(runtime, one, ["POST", f"/run/{target}/", {"of": str(n)}, key]))["replies"][0][1]["got"][
            "of"
        ]
        for n, one in enumerate([first, second, first])
    ]
    assert told == ["0", "1", "0"]


# what a workflow made


@pytest.mark.requirement("authority:made-by")
async def test_a_run_sees_and_changes_what_its_own_workflow_made(runtime: Runtime) -> None:
    tool = 'services = ["schedule_runs", "files", "slack_trigger"]\n'
    maker, other = [await deployed(runtime, acting(tool), name=f"Makes {n}") for n in (1, 2)]
    hook = await runtime.webhooks.create(ADMIN, other)
    made = await act(
        runtime,
        maker,
        ["POST", "/run/schedule_runs/", {"service_id": maker, "cron": "0 9 * * *"}],
        ["POST", "/run/files/upload", {"filename": "a.txt", "content": "secret of the maker"}],
        ["POST", "/run/slack_trigger/register", {}],
        ["POST", "/run/slack_trigger/simulate", {"event": {"type": "message", "user": "U1"}}],
    )
    schedule, file, slack = (made["replies"][n][1] for n in range(3))
    assert code_of(made["replies"][3]) == "not_agreed"
    calls: list[list[Any]] = [
        ["POST", "/run/schedule_runs/", {"operation": "list"}],
        ["POST", "/run/files/list", {}],
        ["POST", "/run/slack_trigger/registrations", {}],
        ["POST", "/run/schedule_runs/", {"operation": "get", "schedule_id": schedule["schedule_id"]}],
        ["POST", "/run/files/read", {"file_id": file["file_id"]}],
        ["POST", "/run/schedule_runs/", {"operation": "pause", "schedule_id": schedule["schedule_id"]}],
        ["POST", "/run/slack_trigger/unregister", {"id": hook.id}],
        ["POST", "/run/slack_trigger/unregister", {"id": slack["id"]}],
        ["POST", "/run/files/delete", {"file_id": file["file_id"]}],
        ["POST", "/run/schedule_runs/", {"operation": "delete", "schedule_id": schedule["schedule_id"]}],
    ]
    seen = await act(runtime, other, *calls)
    lists = [reply[1] for reply in seen["replies"][:3]]
    assert [next(iter(one.values())) for one in lists] == [[], [], []]
    assert [code_of(reply) for reply in seen["replies"][3:]] == ["not_found"] * 7
    own = await act(runtime, maker, *calls)
    assert [len(next(iter(reply[1].values()))) for reply in own["replies"][:3]] == [1, 1, 1]
    assert [code_of(reply) for reply in own["replies"][3:]] == ["", "", "", "not_found", "", "", ""]
    assert hook.id in {one.id for one in await runtime.webhooks.list(ADMIN)}


@pytest.mark.requirement("authority:ticks")
async def test_a_chain_of_schedules_counts_as_a_chain_of_calls(runtime: Runtime) -> None:
    from sqlalchemy import text

    maker = await deployed(runtime, acting('services = ["schedule_runs"]\n'), name="Goes on by itself")
    at: dict[str, Any] = {"service_id": maker, "cron": "0 9 * * *", "input": {"calls": []}}
    deep: dict[str, Any] = at | {
        "cron": "0 8 * * *",
        "input": {"calls": [["POST", "/run/schedule_runs/", at]]},
    }
    made = await act(
        runtime, maker, ["POST", "/run/schedule_runs/", at], ["POST", "/run/schedule_runs/", deep]
    )
    first, second = [reply[1]["schedule_id"] for reply in made["replies"]]
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    made_by = json.dumps({"workflow": maker, "depth": MAX_DEPTH, "services": [maker]})
    await container.database.write(
        lambda c: c.execute(
            text("UPDATE schedules SET made_by = :made WHERE id = :id"), {"id": second, "made": made_by}
        )
    )
    await container.database.write(lambda c: c.execute(text("UPDATE schedules SET next_at = 1")))
    await container.scheduler.fire()
    ran = [(await runtime.schedules.get(ADMIN, one)).last_run_id or "" for one in (first, second)]
    shallow, last = [await finished(runtime, one) for one in ran]
    assert (shallow.depth, last.depth) == (1, MAX_DEPTH)
    await log_text(runtime, ran[0])  # its sandbox is gone
    context = container.dispatcher._context  # pyright: ignore[reportPrivateUsage]
    origin = await context.ancestry.above(Caller("local", "run", run_id=ran[0]))
    assert origin is not None, "its run has ended"
    assert origin.services == (maker, maker), "what it costs counts on the workflow that made the schedule"
    answer: Any = last.response_json
    assert json.loads(answer["replies"][0][1])["error"]["code"] == "conflict"
    for one in (first, second):
        await runtime.schedules.delete(ADMIN, one)


@pytest.mark.requirement("authority:ticks")
async def test_a_schedule_starts_nothing_that_its_maker_may_not_start_any_more(runtime: Runtime) -> None:
    from sqlalchemy import text

    target = await deployed(runtime, ECHO, name="Started by a schedule")
    wide = acting(f'services = ["schedule_runs", "{target}"]\n')
    maker = await deployed(runtime, wide, name="Makes a schedule")
    made = await act(
        runtime, maker, ["POST", "/run/schedule_runs/", {"service_id": target, "cron": "0 9 * * *"}]
    )
    schedule = made["replies"][0][1]["schedule_id"]
    await deployed(runtime, acting('services = ["schedule_runs"]\n'), service_id=maker)
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    await container.database.write(
        lambda c: c.execute(text("UPDATE schedules SET next_at = 1 WHERE id = :id"), {"id": schedule})
    )
    await container.scheduler.fire()
    shown = await runtime.schedules.get(ADMIN, schedule)
    assert (shown.paused, shown.last_run_id) == (True, None)
    assert "may not start" in shown.note
    await runtime.schedules.delete(ADMIN, schedule)
