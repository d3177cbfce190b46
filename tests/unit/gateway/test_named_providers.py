"""Named providers: their settings, their routes, and what a list of models says about them."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import InvalidInput, InvalidScript, NotFound
from codewords_mcp.runtime.gateway.named_providers import PRESETS, NamedProviders
from codewords_mcp.runtime.gateway.named_routes import named_route
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.rules import allows
from codewords_mcp.runtime.model.provider import Interface
from codewords_mcp.runtime.workflows.analysis import derive, tables
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import ProviderSettings

pytestmark = pytest.mark.requirement("gateway:named")
TOKENS = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("openai", {"base_url": "https://models.example.com"}),
        ("github", {"base_url": "https://models.example.com"}),
        ("report_0a1b2c3d", {"base_url": "https://models.example.com"}),
        ("Mine", {"base_url": "https://models.example.com"}),
        ("a/b", {"base_url": "https://models.example.com"}),
        ("mine", {}),
        ("azure", {}),
        ("mine", {"base_url": "ftp://models.example.com"}),
        ("mine", {"base_url": "https://user:word@models.example.com"}),
        ("mine", {"base_url": "https://models.example.com/v1?key=1"}),
        ("mine", {"base_url": "https://models.example.com/v1#x"}),
        ("mine", {"base_url": "https://models.example.com:99999"}),
        ("mine", {"base_url": "https:///v1"}),
        ("mine", {"base_url": "https://models.example.com/v1\r\nX: y"}),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, settings: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        NamedProviders({name: ProviderSettings.model_validate(settings)})


def test_presets_need_no_settings_and_a_private_server_does() -> None:
    known = NamedProviders({})
    assert {provider.name for provider in known} == set(PRESETS)
    for name in ("ollama", "azure", "nobody"):
        assert name not in known
        with pytest.raises(NotFound):
            known.require(name)
    ollama = NamedProviders({"ollama": ProviderSettings()}).require("ollama")
    assert (ollama.base_url, ollama.needs_key) == ("http://127.0.0.1:11434/v1", False)
    moved = NamedProviders({"groq": ProviderSettings(base_url="http://127.0.0.1:1/v1/")}).require("groq")
    assert (moved.base_url, moved.tables) == ("http://127.0.0.1:1/v1", ("groq",))
    assert {*PRESETS, "ollama", "azure"} == tables.NAMED_PROVIDERS


@pytest.mark.parametrize(
    ("interface", "method", "path", "kind", "flavor", "goes_to", "model"),
    [
        ("openai", "POST", "/v1/chat/completions", "metered", "chat", "/chat/completions", ""),
        ("openai", "POST", "/embeddings", "metered", "embeddings", "/embeddings", ""),
        ("openai", "GET", "/v1/models", "free", "", "/models", ""),
        ("openai", "POST", "/v1/batches", "unmetered", "", "/batches", ""),
        ("azure", "POST", "/openai/deployments/d/chat/completions", "metered", "chat", "", "d"),
        ("azure", "POST", "/openai/deployments/d/images/generations", "metered", "images", "", "d"),
        ("azure", "POST", "/openai/deployments/d/audio/speech", "unmetered", "", "", "d"),
        ("azure", "POST", "/openai/responses", "metered", "responses", "", ""),
        ("azure", "POST", "/openai/v1/responses", "metered", "responses", "", ""),
        ("azure", "POST", "/openai/deployments/a%2Fb/chat/completions", "unmetered", "", "", ""),
        ("azure", "POST", "/openai/deployments/d/chat%2Fcompletions", "unmetered", "", "", "d"),
        ("anthropic", "POST", "/v1/messages", "metered", "messages", "", ""),
        ("anthropic", "POST", "/v1/chat/completions", "metered", "chat", "", ""),
    ],
)
def test_a_path_of_a_provider_leads_to_one_address(
    interface: Interface, method: str, path: str, kind: str, flavor: str, goes_to: str, model: str
) -> None:
    route = named_route("mine", interface, method, path)
    assert (route.kind, route.flavor, route.path, route.model) == (kind, flavor, goes_to or path, model)
    assert route.provider == "mine"
    for bad in ("/v1/../x", "/v1/%2e%2e/x", "/v1//x", "/v1/a\\b"):
        with pytest.raises(NotFound):
            named_route("mine", interface, method, bad)


def test_a_pattern_means_a_named_providers_model_only_with_its_name() -> None:
    for pattern in ("*", "*/*", "groq/*", "gr*/llama-*", "groq/llama-3"):
        assert allows((pattern,), "groq", "llama-3"), pattern
    for pattern in ("llama*", "g*", "l*", "openai/*", "groq", "xgroq/*", "groq/llama-2"):
        assert not allows((pattern,), "groq", "llama-3"), pattern
    assert not allows(("openai/*", "o*"), "openrouter", "openai/gpt-4o")


def test_prices_come_from_the_settings_then_the_providers_own_table() -> None:
    named = NamedProviders(
        {
            "ollama": ProviderSettings(),
            "mine": ProviderSettings(
                base_url="https://models.example.com", prices={"*": {"input": 1, "output": 2}}
            ),
            "groq": ProviderSettings(prices={"special": {"input": 5, "output": 5}}),
        }
    )
    prices = Prices({"mine/dear": {"input": 10, "output": 10}}, {"fast": "llama-3.3-70b-versatile"}, named)
    million = 10**12
    assert prices.cost("ollama", "qwen3:8b", TOKENS) == 0
    assert prices.cost("mine", "any/thing", TOKENS) == 3 * million
    assert prices.cost("mine", "dear", TOKENS) == 20 * million
    assert prices.cost("groq", "special", TOKENS) == 10 * million
    assert prices.cost("groq", "fast", TOKENS) == prices.cost("groq", "llama-3.3-70b-versatile", TOKENS)
    assert prices.cost("groq", "no-such-model", TOKENS) is None
    assert not prices.knows("groq", "no-such-model")
    # A table of another provider says nothing.
    assert prices.cost("groq", "gpt-4o-mini", TOKENS) is None
    assert prices.cost("openrouter", "openai/gpt-4o-mini", TOKENS) == 750_000_000_000


HEADER = """# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "openai"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "OPENAI_API_KEY", "CODEWORDS_RUNTIME_URI"]
{tool}# ///
import os
import openai
BASE = os.environ["CODEWORDS_RUNTIME_URI"]
MODEL = "groq/llama-3.3-70b-versatile"
"""


def models_of(code: str, services: str = "") -> tuple[str, ...]:
    tool = f"# [tool.codewords]\n# services = {services}\n" if services else ""
    return derive(parse_script(HEADER.format(tool=tool) + code)).manifest.models


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (
            'openai.OpenAI().chat.completions.create(model="groq/llama", messages=[])',
            {"openai", "groq: models"},
        ),
        ("client = openai.AsyncOpenAI()\nclient.responses.create(model=MODEL)", {"openai", "groq: models"}),
        ('openai.OpenAI().chat.completions.create(model="nobody/llama", messages=[])', {"openai"}),
        ('openai.OpenAI(base_url=BASE + "/providers/mine/v1")', {"openai", "mine: models"}),
        ('openai.AzureOpenAI(azure_endpoint=BASE + "/providers/azure")', {"openai", "azure: models"}),
        ('import httpx\nhttpx.post(f"{BASE}/providers/xai/v1/responses")', {"openai", "xai: models"}),
    ],
)
def test_the_manifest_lists_the_providers_that_the_code_asks(code: str, found: set[str]) -> None:
    assert set(models_of(code)) == found


def test_a_header_names_providers_and_can_mean_nothing_else_by_that() -> None:
    assert set(models_of("", '["groq", "mine: models", "mine: account"]')) == {
        "openai", "groq: models", "mine: models", "mine: account (files, batches, models)",
    }  # fmt: skip
    manifest = derive(
        parse_script(HEADER.format(tool='# [tool.codewords]\n# services = ["github: models"]\n'))
    ).manifest
    # A label of a model must not open a service.
    assert not manifest.may_call("github")
    assert not manifest.services
    with pytest.raises(InvalidScript):
        models_of("", '["mine: everything"]')
