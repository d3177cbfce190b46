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


async def test_the_sdk_and_our_client_get_the_same_answers(
    ours: IntegrationBroker, connect: LoopbackConnect, tmp_path: Path
) -> None:
    account = connect.connect_account(USER, "google_sheets")
    env = os.environ | {
        "PIPEDREAM_BASE_URL": connect.url,
        "PIPEDREAM_PROJECT_ENVIRONMENT": "development",
        "ACCOUNT": account,
        "EXTERNAL_USER": USER,
    }
    ran = subprocess.run(
        [pipedream_sdk(), "-c", THEIRS], env=env | connect.credentials, cwd=tmp_path, check=False,
        capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert await _answers(ours, account) == json.loads(ran.stdout)
    assert [run.props for run in connect.runs[:2]] == [run.props for run in connect.runs[2:]]
