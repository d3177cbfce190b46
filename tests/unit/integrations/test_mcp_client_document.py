"""The document by which a runtime with a public address is known to authorization servers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.integrations.mcp.addresses import proposed_name
from codewords_mcp.runtime.integrations.mcp.sign_in import SignIns

pytestmark = pytest.mark.requirement("mcp-broker:sign-in")


def sign_ins(base_url: str) -> SignIns:
    nothing = cast("Any", None)
    return SignIns(nothing, nothing, nothing, lambda: base_url)


def test_a_public_runtime_is_a_client_by_its_own_document() -> None:
    found = sign_ins("https://codewords.example.com").client_document()
    assert found["client_id"] == "https://codewords.example.com/oauth/client.json"
    assert found["redirect_uris"] == ["https://codewords.example.com/connect/callback"]
    assert found["token_endpoint_auth_method"] == "none"
    assert found["application_type"] == "web"


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8765", "https://localhost", "https://10.0.0.1:8765"])
def test_a_runtime_without_a_public_address_registers_instead(base_url: str) -> None:
    assert sign_ins(base_url).client_document_url is None
    with pytest.raises(NotFound):
        sign_ins(base_url).client_document()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://mcp.linear.app/mcp", "linear"),
        ("https://api.githubcopilot.com/mcp/", "githubcopilot"),
        ("https://mcp.eu.sentry.dev/mcp", "sentry"),
        ("http://127.0.0.1:3000/mcp", "server"),
        ("http://localhost:3000/mcp", "localhost"),
        ("https://mcp.example.com/mcp", "example_2"),
    ],
)
def test_a_server_is_named_by_its_host(url: str, name: str) -> None:
    assert proposed_name(url, {"example"}) == name
