"""Which address a path means, and whether what it does can be counted."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.gateway.providers import base_urls, find_route
from codewords_mcp.runtime.gateway.variables import provider_variables
from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("gateway:routes")


@pytest.mark.parametrize(
    ("provider", "method", "path", "kind", "flavor", "goes_to"),
    [
        ("openai", "POST", "/chat/completions", "metered", "chat", "/chat/completions"),
        ("openai", "POST", "/v1/chat/completions", "metered", "chat", "/chat/completions"),
        ("openai", "POST", "/v1/chat%2Fcompletions", "metered", "chat", "/chat%2Fcompletions"),
        ("openai", "POST", "/v1/responses", "metered", "responses", "/responses"),
        ("openai", "GET", "/v1/responses/resp_1", "free", "", "/responses/resp_1"),
        ("openai", "POST", "/v1/responses/resp_1/cancel", "free", "", "/responses/resp_1/cancel"),
        ("openai", "POST", "/v1/files", "free", "", "/files"),
        ("openai", "POST", "/v1/uploads/u/parts", "free", "", "/uploads/u/parts"),
        ("openai", "POST", "/v1/batches", "unmetered", "", "/batches"),
        ("openai", "POST", "/v1/fine_tuning/jobs", "unmetered", "", "/fine_tuning/jobs"),
        ("openai", "POST", "/v1/audio/speech", "unmetered", "", "/audio/speech"),
        ("openai", "POST", "/v1/realtime/client_secrets", "unmetered", "", "/realtime/client_secrets"),
        ("openai", "POST", "/v1/realtime/calls", "unmetered", "", "/realtime/calls"),
        ("openai", "POST", "/v1/responses/compact", "metered", "responses", "/responses/compact"),
        ("openai", "POST", "/v1/responses/input_tokens", "free", "", "/responses/input_tokens"),
        ("openai", "DELETE", "/v1/files/file_1", "free", "", "/files/file_1"),
        (
            "anthropic",
            "GET",
            "/v1/messages/batches/b_1/results",
            "free",
            "",
            "/v1/messages/batches/b_1/results",
        ),
        ("anthropic", "POST", "/v1/messages", "metered", "messages", "/v1/messages"),
        ("anthropic", "POST", "/v1/messages/count_tokens", "free", "", "/v1/messages/count_tokens"),
        ("anthropic", "POST", "/v1/messages/batches", "unmetered", "", "/v1/messages/batches"),
        (
            "gemini",
            "POST",
            "/v1/models/g:generateContent",
            "metered",
            "generate",
            "/v1/models/g:generateContent",
        ),
        (
            "gemini",
            "POST",
            "/v1beta/models/g:embedContent",
            "metered",
            "embed",
            "/v1beta/models/g:embedContent",
        ),
        ("gemini", "POST", "/v1beta/models/g:countTokens", "free", "", "/v1beta/models/g:countTokens"),
        (
            "gemini",
            "POST",
            "/v1beta/models/g:predictLongRunning",
            "unmetered",
            "",
            "/v1beta/models/g:predictLongRunning",
        ),
        ("gemini", "POST", "/upload/v1beta/files", "free", "", "/upload/v1beta/files"),
        (
            "gemini",
            "POST",
            "/v1beta/openai/chat/completions",
            "metered",
            "chat",
            "/v1beta/openai/chat/completions",
        ),
        ("gemini", "POST", "/v1/chat/completions", "metered", "chat", "/v1beta/openai/chat/completions"),
        ("gemini", "GET", "/v1/models", "free", "", "/v1/models"),
    ],
)
def test_a_path_leads_to_its_address_and_is_counted_as_what_it_is(
    provider: Provider, method: str, path: str, kind: str, flavor: str, goes_to: str
) -> None:
    route = find_route(provider, method, path, run_mount=False)
    assert (route.kind, route.flavor, route.path) == (kind, flavor, goes_to)


def test_under_run_gemini_v1_is_the_openai_compatible_interface_but_for_native_verbs() -> None:
    compatible = find_route("gemini", "GET", "/v1/models", run_mount=True)
    assert (compatible.path, compatible.dialect) == ("/v1beta/openai/models", "openai")
    native = find_route("gemini", "POST", "/v1/models/g:generateContent", run_mount=True)
    assert (native.path, native.dialect, native.model) == ("/v1/models/g:generateContent", "gemini", "g")


@pytest.mark.parametrize("path", ["/v1/../x", "/v1/./x", "/v1//x", "/v1/%2e%2e/x", "/v1/a\\b", "/v1/.."])
def test_a_path_that_servers_may_read_differently_is_none(path: str) -> None:
    with pytest.raises(NotFound):
        find_route("openai", "GET", path, run_mount=False)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/v1"),
        ("https://proxy.example/api/v3", "https://proxy.example/api/v3"),
    ],
)
def test_openais_address_may_be_given_with_or_without_its_version(given: str, used: str) -> None:
    assert base_urls(Settings.model_validate({"openai_base_url": given}))["openai"] == used


def test_the_other_addresses_may_be_given_with_their_version_too() -> None:
    found = base_urls(
        Settings.model_validate(
            {"anthropic_base_url": "http://a/v1/", "gemini_base_url": "http://g/v1beta/openai/"}
        )
    )
    assert (found["anthropic"], found["gemini"]) == ("http://a", "http://g")


@pytest.mark.requirement("gateway:sandbox")
def test_a_declared_provider_key_becomes_the_runs_key_unless_an_address_is_declared_too() -> None:
    found = provider_variables(
        dict.fromkeys(["OPENAI_API_KEY", "GEMINI_API_KEY", "OTHER"]), key="cwk-run-1", runtime="http://r"
    )
    assert found == {
        "OPENAI_API_KEY": "cwk-run-1",
        "OPENAI_BASE_URL": "http://r/run/openai/v1",
        "GEMINI_API_KEY": "cwk-run-1",
        "GOOGLE_GEMINI_BASE_URL": "http://r/gemini",
    }
    for address in (None, "https://other.example/v1"):
        another = {"OPENAI_API_KEY": None, "OPENAI_BASE_URL": address}
        assert provider_variables(another, key="k", runtime="r") == {}
    assert provider_variables({"OPENAI_API_KEY": "its own"}, key="k", runtime="r") == {}


@pytest.mark.requirement("gateway:account")
@pytest.mark.parametrize(
    ("provider", "method", "path", "account"),
    [
        ("openai", "POST", "/chat/completions", False),
        ("openai", "POST", "/v1/responses", False),
        ("openai", "POST", "/files", False),
        ("openai", "GET", "/files/file-1", False),
        ("openai", "GET", "/responses/resp_1", False),
        ("openai", "POST", "/responses/resp_1/cancel", False),
        ("openai", "POST", "/audio/speech", False),
        ("openai", "GET", "/files", True),
        ("openai", "GET", "/v1/files/", True),
        ("openai", "GET", "/files/file-1/content", True),
        ("openai", "DELETE", "/files/file-1", True),
        ("openai", "DELETE", "/models/ft:gpt", True),
        ("openai", "DELETE", "/chat/completions", True),
        ("openai", "GET", "/models", True),
        ("openai", "GET", "/chat/completions", True),
        ("openai", "POST", "/batches", True),
        ("openai", "GET", "/batches", True),
        ("openai", "POST", "/vector_stores/vs/files", True),
        ("openai", "POST", "/assistants", True),
        ("openai", "PATCH", "/files/file-1", True),
        ("openai", "GET", "/fine_tuning/jobs", True),
        ("openai", "GET", "/organization/users", True),
        ("anthropic", "POST", "/v1/messages", False),
        ("anthropic", "GET", "/v1/models", False),
        ("anthropic", "POST", "/v1/files", False),
        ("anthropic", "GET", "/v1/files", True),
        ("anthropic", "DELETE", "/v1/files/f", True),
        ("anthropic", "GET", "/v1/messages/batches", True),
        ("gemini", "POST", "/v1beta/models/gemini-2.5-flash:generateContent", False),
        ("gemini", "POST", "/upload/v1beta/files", False),
        ("gemini", "GET", "/v1beta/files/a", False),
        ("gemini", "GET", "/v1beta/models", False),
        ("gemini", "GET", "/v1beta/models/veo:x", True),
        ("gemini", "GET", "/v1beta/files", True),
        ("gemini", "GET", "/v1beta/files/a:download", True),
        ("gemini", "DELETE", "/v1beta/files/a", True),
        ("gemini", "GET", "/v1beta/cachedContents", True),
        ("gemini", "POST", "/v1beta/tunedModels", True),
        ("gemini", "GET", "/v1/files", True),
    ],
)
def test_what_belongs_to_the_providers_account_is_known_as_such(
    provider: Provider, method: str, path: str, *, account: bool
) -> None:
    assert find_route(provider, method, path, run_mount=False).account is account
