"""What a run may do with its key: tried by programs in real sandboxes that ask for more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.integration.runtime.acting import act, acting, code_of, deployed, serving
from tests.workshop import ADMIN, log_text, make_home, open_runtime

from codewords_mcp.runtime.runtime import Runtime

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
    async with open_runtime(home, egress_allow_private=allowed) as opened, serving(opened):
        yield opened


@pytest.mark.requirement("authority:secrets")
async def test_a_secret_that_is_set_after_a_deploy_reaches_only_what_was_agreed_to(runtime: Runtime) -> None:
    agreed = await deployed(runtime, acting(env=("LATER_TOKEN=none",), title="Agreed"))
    stored = await runtime.get_workflow(ADMIN, agreed)
    assert "LATER_TOKEN, if it is set" in "\n".join(stored.capabilities)
    narrow = await deployed(runtime, acting(env=("LATER_TOKEN=none",), title="Narrow"))
    await _without_secrets(runtime, narrow)
    await runtime.set_secret(ADMIN, "LATER_TOKEN", "s3cr3t-later", plain=True)
    assert (await act(runtime, agreed, read=("LATER_TOKEN",)))["read"]["LATER_TOKEN"] != "none"
    assert (await act(runtime, narrow, read=("LATER_TOKEN",)))["read"] == {"LATER_TOKEN": "none"}


async def _without_secrets(runtime: Runtime, service_id: str) -> None:
    """As a version of before stands in the database: its manifest lists no variable with a default."""
    from sqlalchemy import text

    house = runtime._house  # pyright: ignore[reportPrivateUsage]  # as an upgrade leaves it
    manifest = (await runtime.get_workflow(ADMIN, service_id)).manifest
    assert manifest is not None
    old = json.dumps(manifest.model_copy(update={"secrets": ()}).model_dump(mode="json"))
    await house.database.write(
        lambda c: c.execute(
            text("UPDATE versions SET manifest = :old WHERE workflow_id = :id"),
            {"id": service_id, "old": old},
        )
    )
    house.forget(service_id)


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
    assert [one.service_id for one in await runtime.list_schedules(ADMIN)] == [maker]
