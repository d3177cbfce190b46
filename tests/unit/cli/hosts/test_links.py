"""Links that add this server to a chat host carry what its configuration file would say."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tests.support.paths import PROJECT

from codewords_mcp.cli.hosts.hosts import HOSTS
from codewords_mcp.cli.hosts.links import WITH_LINKS, app_link, badges

pytestmark = pytest.mark.requirement("install:links")

COMMAND = "/opt/codewords & mcp/bin/codewords-mcp"
VARIABLES = {"CODEWORDS_HOME": "/srv/ünï?x=1"}


@pytest.mark.parametrize("client", WITH_LINKS)
def test_a_link_holds_the_entry_of_the_hosts_own_file(client: str) -> None:
    url = urlsplit(app_link(client, COMMAND, VARIABLES))
    if client == "vscode":
        entry = json.loads(unquote(url.query))
        assert entry.pop("name") == "codewords"
    else:
        query = parse_qs(url.query)
        assert query["name"] == ["codewords"]
        entry = json.loads(base64.b64decode(query["config"][0]))
    expected = HOSTS[client].entry(COMMAND, VARIABLES)
    expected.pop("type", None)
    assert entry == expected


def test_the_badges_of_the_guide_are_those_that_are_made() -> None:
    guide = (PROJECT / "docs/guides/install.md").read_text(encoding="utf-8")
    for badge in badges().values():
        assert badge in guide
