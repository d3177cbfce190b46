"""Clients that know only an address find the MCP server there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mcp_types.version import SUPPORTED_PROTOCOL_VERSIONS
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import over_http
from tests.support.runtime import make_home

from codewords_mcp import __version__
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.requirement("mcp:discovery"), pytest.mark.anyio]


async def test_a_client_goes_from_the_domain_to_the_card_and_connects_by_it(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"home": make_home(tmp_path / "home"), "port": 0, "api_key": ADMIN_KEY}
    )
    with Door(settings) as door:
        with door.client(key=None) as http:
            listed = http.get("/.well-known/ai-catalog.json")
            assert listed.headers["content-type"] == "application/ai-catalog+json"
            assert listed.headers["access-control-allow-origin"] == "*"
            [entry] = listed.json()["entries"]
            assert (entry["identifier"], entry["type"]) == (
                "urn:air:127.0.0.1:mcp:codewords", "application/mcp-server-card+json",
            )  # fmt: skip
            told = http.get(entry["url"], headers={"Accept": entry["type"]})
            assert told.headers["content-type"] == entry["type"]
            card = told.json()
            others = [http.get(path).status_code for path in ("/mcp/server-card/x", "/mcp/runs")]
        assert others == [401, 401], "nothing else below /mcp is open"
        assert card["version"] == __version__
        assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", card["name"])
        assert len(card["description"]) <= 100
        assert not {"tools", "resources", "prompts"} & set(card)
        assert ADMIN_KEY not in json.dumps(card)
        [remote] = card["remotes"]
        assert remote["supportedProtocolVersions"] == list(SUPPORTED_PROTOCOL_VERSIONS)
        assert remote["headers"][0]["value"] == "Bearer {key}"

        async with over_http(remote["url"], ADMIN_KEY, "2026-07-28") as client:
            assert (await client.list_tools()).tools


async def test_behind_a_proxy_the_public_address_is_the_one_that_is_told(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path / "home"), "port": 0, "api_key": ADMIN_KEY,
            "public_url": "https://workflows.example.com/",
        }
    )  # fmt: skip
    with Door(settings) as door, door.client(key=None) as http:
        [entry] = http.get("/.well-known/ai-catalog.json").json()["entries"]
        assert entry["url"] == "https://workflows.example.com/mcp/server-card"
        card = http.get("/mcp/server-card").json()
        assert card["remotes"][0]["url"] == "https://workflows.example.com/mcp"
