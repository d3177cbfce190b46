"""Integrations where runtimes share a database, and come and go: what one read or asked for holds on the next."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.support.postgres import Postgres
from tests.support.runtime import ADMIN, make_home, open_runtime

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_testing.pipedream import LoopbackConnect

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("store:postgres")]


async def keys(runtime: Runtime, query: str) -> list[str]:
    return [hit.key for hit in (await runtime.integrations.search(ADMIN, query)).actions]


@pytest.mark.requirement("integrations:catalogue", "integrations:connect-anywhere", "integrations:own-token")
async def test_a_link_and_a_catalogue_of_one_runtime_are_good_on_another(
    postgres: Postgres, connect: LoopbackConnect, tmp_path: Path
) -> None:
    shared = {
        "database_url": postgres.migrated_url(),
        "master_key": "a1" * 32,
        "sandbox": "process",
        "pipedream_base_url": connect.url,
    }
    connect.forget_accounts()
    async with open_runtime(make_home(tmp_path / "one"), **shared) as one:
        for name, value in connect.credentials.items():
            await one.secrets.set(ADMIN, name, value)
        assert "slack/send-message" not in await keys(one, "send a message in slack")
        url = (await one.connections.connect(ADMIN, "slack")).connect_link_url
        assert url
        assert (await one.connections.connect(ADMIN, "slack")).connect_link_url == url
    token, read = url.rpartition("/")[2], len(connect.requests_to("/actions"))
    async with open_runtime(make_home(tmp_path / "two"), **shared) as two:
        await two.secrets.set(ADMIN, "SLACK_BOT_TOKEN", "xoxb-0123456789")
        assert {"slack/send-message", "slack_v2-post-message"} <= {
            *await keys(two, "send a message in slack")
        }
        assert "airtable/list-records" not in await keys(two, "list records in airtable")
        assert len(connect.requests_to("/actions")) == read, "what was read is in the database"
        await two.secrets.delete(ADMIN, "SLACK_BOT_TOKEN")
        assert (await two.connections.peek_link(ADMIN, token)).app == "slack_v2"
        with httpx.Client() as person:
            assert person.post(await two.connections.follow_link(ADMIN, token)).status_code == 303
        assert (await two.connections.complete_link(ADMIN, token)).connected
        with pytest.raises(NotFound, match="it was used"):
            await two.connections.follow_link(ADMIN, token)
