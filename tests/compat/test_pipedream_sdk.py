"""Pipedream's own SDK as an oracle: beside our client it gets the same answers of the same server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.compat.registries import pipedream_sdk
from tests.support.runtime import open_runtime

from codewords_mcp.runtime.integrations.base import ConfiguredAction, IntegrationBroker
from codewords_mcp.runtime.integrations.pipedream import PipedreamConnect
from codewords_mcp.runtime.integrations.pipedream_client import PipedreamClient
from codewords_mcp.runtime.integrations.pipedream_events import PipedreamEvents
from codewords_testing.pipedream import LoopbackConnect, loopback_connect

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("integrations:oracle")]
USER = "codewords-local"
ROW = "google_sheets-add-single-row"
THEIRS = """
import json, os
from pipedream import Pipedream
from pipedream.core.api_error import ApiError
client, user = Pipedream(), os.environ["EXTERNAL_USER"]
account = {"authProvisionId": os.environ["ACCOUNT"]}
row = client.actions.retrieve("google_sheets-add-single-row")
set_now = {"googleSheets": account, "hasHeaders": "Yes"}
dynamic = client.actions.reload_props(id=row.key, external_user_id=user, configured_props=set_now).dynamic_props
props = set_now | {"sheetId": {"__lv": {"label": "sheet-1", "value": "sheet-1"}}, "col_name": "Ann"}
ran = client.actions.run(id=row.key, external_user_id=user, configured_props=props, dynamic_props_id=dynamic.id)
bad = client.actions.run(id=row.key, external_user_id=user, configured_props=set_now)
options = client.actions.configure_prop(id=row.key, external_user_id=user, prop_name="sheetId", configured_props=set_now)
link = client.tokens.create(external_user_id=user, app_id="slack_v2")
try:
    client.actions.retrieve("no-such-thing")
except ApiError as error:
    missing = error.status_code
print(json.dumps({
    "apps": [one.name_slug for one in client.apps.list(limit=4)],
    "actions": [one.key for one in client.actions.list(limit=4)],
    "fields": [[one.name, one.type, bool(one.optional), bool(getattr(one, "remote_options", False))]
               for one in row.configurable_props],
    "version": row.version,
    "accounts": [[one.id, one.healthy, one.app.name_slug] for one in client.accounts.list(external_user_id=user)],
    "options": [[one.label, one.value] for one in options.options],
    "dynamic": [one.name for one in dynamic.configurable_props],
    "ret": ran.ret, "summary": ran.exports["$summary"],
    "error": bad.os[-1].err.message,
    "link": link.connect_link_url.partition("?")[0],
    "missing": missing,
}))
"""


THEIR_EVENTS = """
import json, os
from pipedream import Pipedream
from pipedream.core.api_error import ApiError
client, user = Pipedream(), os.environ["EXTERNAL_USER"]
events = [[one.key, one.component_type] for one in client.triggers.list(app="github")]
there = [one for one in client.deployed_triggers.list(external_user_id=user)]
one = client.deployed_triggers.retrieve(there[0].id, external_user_id=user)
emitted = client.deployed_triggers.list_events(one.id, external_user_id=user, n=100)
hooks = client.deployed_triggers.list_webhooks(one.id, external_user_id=user)
mine = client.triggers.deploy(id="github-new-release", external_user_id=user, emit_on_deploy=False,
    configured_props={"github": {"authProvisionId": os.environ["ACCOUNT"]}, "repoFullname": "ann/tools"})
off = client.deployed_triggers.update(mine.id, external_user_id=user, active=False)
client.deployed_triggers.update_webhooks(mine.id, external_user_id=user, webhook_urls=["https://runtime.example/x"])
urls = client.deployed_triggers.list_webhooks(mine.id, external_user_id=user).webhook_urls
client.deployed_triggers.delete(mine.id, external_user_id=user, ignore_hook_errors=True)
try:
    client.deployed_triggers.retrieve(mine.id, external_user_id=user)
except ApiError as error:
    missing = error.status_code
print(json.dumps({
    "events": events,
    "there": [[one.id, one.component_key, one.active, one.emit_on_deploy, one.created_at, one.configured_props["repoFullname"]]],
    "count": len(there),
    "emitted": [[one.id, one.ts, one.e] for one in emitted],
    "hooks": hooks.webhook_urls,
    "mine": [mine.component_key, off.active, urls, missing],
}))
"""


@pytest.fixture(scope="module")
def connect() -> Any:
    with loopback_connect() as running:
        yield running


@pytest.fixture(scope="module")
async def ours(
    tmp_path_factory: pytest.TempPathFactory, connect: LoopbackConnect
) -> AsyncGenerator[IntegrationBroker]:
    async with open_runtime(tmp_path_factory.mktemp("oracle") / "home") as runtime:
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        for name, value in connect.credentials.items():
            await container.secrets.set("local", name, value, None)
        yield PipedreamConnect(PipedreamClient(container.web, container.secrets, connect.url))


@pytest.fixture(scope="module")
async def our_events(
    tmp_path_factory: pytest.TempPathFactory, connect: LoopbackConnect
) -> AsyncGenerator[PipedreamEvents]:
    async with open_runtime(tmp_path_factory.mktemp("events") / "home") as runtime:
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        for name, value in connect.credentials.items():
            await container.secrets.set("local", name, value, None)
        yield PipedreamEvents(PipedreamClient(container.web, container.secrets, connect.url))


async def _answers(broker: IntegrationBroker, account: str) -> dict[str, Any]:
    """Ours, in the shapes of the oracle's script."""
    row = await broker.schema(ROW)
    put = {"googleSheets": {"authProvisionId": account}, "hasHeaders": "Yes"}
    dynamic = await broker.reload(USER, ConfiguredAction(row, put))
    props = put | {"sheetId": {"__lv": {"label": "sheet-1", "value": "sheet-1"}}, "col_name": "Ann"}
    ran = await broker.run(USER, ConfiguredAction(row, props, dynamic.id), 30)
    bad = await broker.run(USER, ConfiguredAction(row, put), 30)
    apps, after = await broker.apps(None)
    assert await broker.apps(after) == ([], None)
    return {
        "apps": [one.slug for one in apps],
        "actions": [one.key for one in (await broker.actions(None))[0]],
        "fields": [
            [one.name, one.type, not one.required and one.type != "app", one.remote] for one in row.props
        ],
        "version": row.version,
        "accounts": [[one.id, one.healthy, one.app] for one in await broker.accounts(USER)],
        "options": [
            [one.label, one.value]
            for one in await broker.options(USER, ConfiguredAction(row, put), "sheetId", None)
        ],
        "dynamic": [one.name for one in dynamic.props],
        "ret": ran.ret,
        "summary": ran.exports["$summary"],
        "error": bad.error,
        "link": (await broker.connect(USER, "slack_v2", "http://127.0.0.1/back")).url.partition("?")[0],
        "missing": 404,
    }


def _ask(script: str, connect: LoopbackConnect, account: str, folder: Path) -> dict[str, Any]:
    """The answers that their SDK gets, by a script."""
    env = (
        os.environ
        | connect.credentials
        | {
            "PIPEDREAM_BASE_URL": connect.url,
            "PIPEDREAM_PROJECT_ENVIRONMENT": "development",
            "ACCOUNT": account,
            "EXTERNAL_USER": USER,
        }
    )
    ran = subprocess.run(
        [pipedream_sdk(), "-c", script], env=env, cwd=folder, check=False, capture_output=True, encoding="utf-8", timeout=120
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


async def test_the_sdk_and_our_client_get_the_same_answers(
    ours: IntegrationBroker, connect: LoopbackConnect, tmp_path: Path
) -> None:
    account = connect.connect_account(USER, "google_sheets")
    # Theirs last, since the runs of both are compared in this order.
    assert await _answers(ours, account) == _ask(THEIRS, connect, account, tmp_path)
    assert [run.props for run in connect.runs[:2]] == [run.props for run in connect.runs[2:]]


async def test_the_sdk_reads_the_triggers_that_our_client_deploys(
    our_events: PipedreamEvents, connect: LoopbackConnect, tmp_path: Path
) -> None:
    account = connect.connect_account(USER, "github")
    connect.deployed.tell = lambda _url, _payload: None
    found = await our_events.triggers("github", "")
    issue = next(event for event in found if event.key == "github-new-issue")
    props = {"github": {"authProvisionId": account}, "repoFullname": "ann/tools"}
    deployed = await our_events.deploy(USER, ConfiguredAction(issue, props))
    await our_events.set_address(USER, deployed, "https://runtime.example/webhook/dep_1")
    await our_events.set_active(USER, deployed, active=True)
    connect.deployed.emit(deployed, {"number": 1}, {"number": 2})

    theirs = _ask(THEIR_EVENTS, connect, account, tmp_path)
    (there,) = await our_events.deployed(USER)
    emitted = await our_events.emitted(USER, deployed)
    assert theirs["events"] == [[event.key, "trigger"] for event in found]
    assert theirs["there"] == [
        [there.id, there.key, True, False, there.created_at_ms, there.props["repoFullname"]]
    ]
    assert sorted(theirs["emitted"]) == [[event.id, event.at_ms, event.data] for event in emitted]
    assert theirs["hooks"] == ["https://runtime.example/webhook/dep_1"]
    assert theirs["count"] == 1
    assert theirs["mine"] == ["github-new-release", False, ["https://runtime.example/x"], 404]
    await our_events.remove(USER, deployed, forced=False)
    assert await our_events.deployed(USER) == []
