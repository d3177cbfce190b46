"""A person's yes before a version may do more, and nothing beyond it while it runs: on the real runtime."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from sqlalchemy import text
from tests.support.runtime import (
    ADMIN,
    ALLOWED,
    ECHO,
    deploy,
    fetch,
    log_text,
    make_home,
    open_runtime,
    workflow,
)

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.http.app import create_app
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ALIAS = "host.codewords.internal"
ASKS = """
import httpx, os

@app.post("/")
async def ask(request: Request):
    URLS
    wanted = await request.json()
    found = {}
    for name in wanted.get("hosts", []):
        try:
            # written so that nobody can read which hosts are asked
            async with httpx.AsyncClient(timeout=5) as c:
                call = getattr(c, "".join(["g", "et"])[::1])
                found[name] = (await call(f"http://{name}")).text
        except httpx.HTTPError as error:
            found[name] = type(error).__name__
    for name in wanted.get("services", []):
        auth = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
        async with httpx.AsyncClient(timeout=30) as c:
            call = vars(type(c))["post"]
            reply = await call(c, os.environ["CODEWORDS_RUNTIME_URI"] + "/run/" + name + "/", json={}, headers=auth)
            found[name] = reply.json()
    return found
"""


def asking(urls: str = "", tool: str = "") -> str:
    code = workflow(ASKS.replace("URLS", urls or "pass"), title="Asks")
    return code.replace("# ///\nfrom fastapi", f"# [tool.codewords]\n{tool}# ///\nfrom fastapi", 1)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    await writer.drain()
    writer.close()


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[int]:
    started = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with started:
        yield started.sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory, server: int) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("manifest") / "home")
    async with open_runtime(home, egress_allow_private=[f"{ALIAS}:{server}"], shares_driver=True) as opened:
        yield opened


@asynccontextmanager
async def serving(runtime: Runtime) -> AsyncGenerator[None]:
    """The HTTP door of this runtime, for calls of its sandboxes."""
    listener = socket.create_server(("127.0.0.1", 0))
    runtime.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(runtime, runtime.settings, None, on_stop=lambda: None)
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def needed(runtime: Runtime, code: str, **more: Any) -> ConsentNeeded:
    with pytest.raises(ConsentNeeded) as caught:
        await runtime.workflows.deploy(ADMIN, code=code, **more)
    return caught.value


@pytest.mark.requirement("manifest:consent", "manifest:stored")
async def test_a_version_that_widens_waits_for_a_yes_and_the_same_or_less_passes(runtime: Runtime) -> None:
    first = await runtime.workflows.deploy(ADMIN, code=ECHO, name="Widens")
    assert first.capabilities[0].startswith("reaches nothing")
    wider = ECHO.replace(
        "app = ",
        'import httpx\nasync def more():\n    await httpx.AsyncClient().get("https://a.example/x")\napp = ',
    )
    question = await needed(runtime, wider, service_id=first.service_id)
    assert question.asks == ["hosts        a.example"]
    assert "Version 1 goes on serving" in question.message
    assert (await runtime.workflows.get(ADMIN, first.service_id)).version == 1
    assert (await fetch(runtime, first.service_id, [1]))[0] == 200
    await needed(runtime, wider, service_id=first.service_id, consent=Consent(confirm=question.confirm))
    await runtime.consents.decide(ADMIN, question.confirm, agreed=True)
    second = await runtime.workflows.deploy(ADMIN, code=wider, service_id=first.service_id)
    assert (second.version, second.manifest and second.manifest.hosts) == (2, ("a.example",))
    same = await runtime.workflows.deploy(ADMIN, code=wider + "\n# same\n", service_id=first.service_id)
    narrower = await runtime.workflows.deploy(ADMIN, code=ECHO + "\n# less\n", service_id=first.service_id)
    assert (same.version, narrower.version) == (3, 4)
    assert await needed(runtime, wider + "\n# again\n", service_id=first.service_id)
    back = await runtime.workflows.rollback(ADMIN, first.service_id, 2)
    assert back.capabilities == ["hosts        a.example"]
    shown = await runtime.workflows.get(ADMIN, first.service_id, version=4)
    assert shown.capabilities[0].startswith("reaches nothing")


@pytest.mark.requirement("manifest:consent")
async def test_a_first_version_that_asks_for_something_waits_too_and_a_failing_one_is_not_asked_about(
    runtime: Runtime,
) -> None:
    question = await needed(runtime, workflow("", env=("GITLAB_TOKEN", "OWN_KEY"), title="Secretive"))
    assert question.asks == [  # none is set: a well-known name will bring its hosts, any other will be plain
        "hosts        gitlab.com",
        "secrets      GITLAB_TOKEN (never seen by the code: put in for gitlab.com only), OWN_KEY (plain: the code can read it)",
        "missing yet: GITLAB_TOKEN is required and has no value yet.",
        "missing yet: OWN_KEY is required and has no value yet.",
    ]
    assert "was not deployed" in question.message
    assert not (await runtime.workflows.list(ADMIN, query="Secretive")).items


@pytest.mark.requirement("manifest:hosts", "egress:own-list")
async def test_only_hosts_of_the_manifest_are_reached_and_a_refusal_names_the_fix(
    runtime: Runtime, server: int
) -> None:
    there, elsewhere = f"{ALIAS}:{server}", f"other.example:{server}"
    closed = await deploy(runtime, asking(), name="Closed")
    _, body, run_id = await fetch(runtime, closed, {"hosts": [there]})
    assert json.loads(body)[there] != "hello"
    told = await log_text(runtime, run_id)
    assert "manifest does not list it" in told
    assert "add it to `hosts` under [tool.codewords]" in told
    [reached] = (await runtime.runs.get(ADMIN, run_id)).usage["egress"]["reached"]
    assert (reached["host"], reached["allowed"]) == (ALIAS, False)
    assert f'hosts = ["{ALIAS}"]' in reached["fix"]
    named = await deploy(
        runtime, asking(f'httpx.Client(base_url="http://{ALIAS}:{server}").close()'), name="Named"
    )
    found = json.loads((await fetch(runtime, named, {"hosts": [there, elsewhere]}))[1])
    assert (found[there], found[elsewhere] == "hello") == ("hello", False)
    declared = await deploy(runtime, asking(tool=f'# hosts = ["{ALIAS}"]\n'), name="Declared")
    assert json.loads((await fetch(runtime, declared, {"hosts": [there]}))[1])[there] == "hello"


@pytest.mark.requirement("manifest:hosts")
async def test_a_host_that_a_secret_names_is_reached(runtime: Runtime, server: int) -> None:
    code = asking('await httpx.AsyncClient().get(os.environ["WHERE"])').replace(
        '["PORT=8000"', '["PORT=8000", "WHERE"'
    )
    service = await deploy(runtime, code, name="By variable")
    assert "hosts in     WHERE" in (await runtime.workflows.get(ADMIN, service)).capabilities
    await runtime.secrets.set(ADMIN, "WHERE", f"http://{ALIAS}:{server}/x")
    status, body, run_id = await fetch(runtime, service, {"hosts": [f"{ALIAS}:{server}"]})
    assert (status, json.loads(body)) == (200, {f"{ALIAS}:{server}": "hello"}), await log_text(
        runtime, run_id
    )
    await runtime.secrets.delete(ADMIN, "WHERE")


@pytest.mark.requirement("manifest:legacy")
async def test_a_version_without_a_manifest_may_do_what_its_code_asks_for_and_no_more(
    runtime: Runtime, server: int
) -> None:
    there = f"{ALIAS}:{server}"
    code = asking()
    old = await deploy(runtime, code, name="Old")
    container = runtime._container  # pyright: ignore[reportPrivateUsage]  # as an upgrade leaves it
    await container.database.write(
        lambda c: c.execute(text("UPDATE versions SET manifest = NULL WHERE workflow_id = :id"), {"id": old})
    )
    container.forget(old)
    async with serving(runtime):
        _, body, run_id = await fetch(runtime, old, {"hosts": [there], "services": ["files"]})
    found = json.loads(body)
    assert found[there] != "hello"
    assert found["files"]["error"]["code"] == "not_agreed"
    assert "manifest does not list it" in await log_text(runtime, run_id)
    assert "before there were manifests" in (await runtime.workflows.get(ADMIN, old)).capabilities[0]
    again = await runtime.workflows.deploy(
        ADMIN, code=code, service_id=old
    )  # the same code, which reaches nothing
    assert (again.version, again.changed) == (2, True)

    listed = await deploy(
        runtime,
        asking(f'if os.environ.get("NEVER"): await httpx.AsyncClient().get("http://{ALIAS}/")'),
        name="Listed",
    )
    await container.database.write(
        lambda c: c.execute(
            text("UPDATE versions SET manifest = NULL WHERE workflow_id = :id"), {"id": listed}
        )
    )
    container.forget(listed)
    assert json.loads((await fetch(runtime, listed, {"hosts": [there]}))[1])[there] == "hello"


@pytest.mark.requirement("manifest:services")
async def test_only_services_of_the_manifest_are_called_and_a_refusal_is_on_record(runtime: Runtime) -> None:
    async with serving(runtime):
        service = await deploy(runtime, asking(tool='# services = ["schedule_runs"]\n'), name="Calls")
        wanted = {"services": ["schedule_runs", "openai", "redis_coordinator"]}
        _, body, run_id = await fetch(runtime, service, wanted)
    found = json.loads(body)
    assert found["schedule_runs"]["error"]["code"] == "invalid_input"  # it was asked, and wants a service_id
    assert found["openai"]["error"]["code"] == found["redis_coordinator"]["error"]["code"] == "not_agreed"
    assert "add `openai` to `services` under [tool.codewords]" in await log_text(runtime, run_id)
    refused = (await runtime.runs.get(ADMIN, run_id)).usage["refused_calls"]
    assert ["`openai`" in refused[0]["why"], refused[0]["count"], len(refused)] == [True, 1, 2]


@pytest.mark.requirement("manifest:derived")
async def test_templates_that_reach_nothing_need_no_yes_and_one_that_fetches_any_page_does(
    runtime: Runtime,
) -> None:
    asked = {
        template.id: isinstance(
            await runtime.workflows.try_deploy(ADMIN, template_id=template.id, name=f"T {template.id}"),
            ConsentNeeded,
        )
        for template in await runtime.templates.list(ADMIN)
        if not template.services and not template.needs
    }
    # One runs a workflow that its input names, the other reads a page that its input names.
    assert [one for one, was in asked.items() if was] == ["for_each", "web_page_facts"]
    live = await runtime.workflows.deploy(ADMIN, template_id="web_page_facts", consent=ALLOWED)
    assert live.capabilities[0].startswith("hosts        any host of the internet")
