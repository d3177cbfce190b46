"""The provider SDKs find the runtime's gateway without the script's help, and never get half of somebody's settings."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.unit.client.helpers import clean

pytestmark = [pytest.mark.slow, pytest.mark.requirement("client:provider-settings")]
NAMES = (
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL",
    "GEMINI_API_KEY", "FIRECRAWL_API_KEY",
)  # fmt: skip
INSIDE = {"CODEWORDS_API_KEY": "cwk-run", "CODEWORDS_RUNTIME_URI": "http://runtime:8000/"}
LOOK = f"""
import codewords_client, json, os, sys
assert not {{"openai", "anthropic", "httpx", "fastapi"}} & set(sys.modules)
print(json.dumps({{name: os.environ.get(name) for name in {NAMES!r}}}))
"""


def seen(code: str = LOOK, **env: str) -> dict[str, str | None]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean(**env),
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


def test_inside_a_workflow_importing_the_client_points_the_sdks_at_the_runtime() -> None:
    """And gives no key to an SDK that would not take the address with it."""
    assert seen(**INSIDE) == {
        "OPENAI_API_KEY": "cwk-run",
        "OPENAI_BASE_URL": "http://runtime:8000/run/openai/v1",
        "OPENAI_API_BASE": "http://runtime:8000/run/openai/v1",
        "ANTHROPIC_API_KEY": "cwk-run",
        "ANTHROPIC_BASE_URL": "http://runtime:8000/run/anthropic",
        "GEMINI_API_KEY": None,
        "FIRECRAWL_API_KEY": None,
    }


def test_outside_of_a_workflow_nothing_is_set() -> None:
    assert set(seen().values()) == {None}


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_BASE_URL"])
def test_a_workflow_with_its_own_key_or_address_keeps_the_sdk_as_it_is(name: str) -> None:
    found = seen(**INSIDE, **{name: "mine"})
    assert {found["OPENAI_API_KEY"], found["OPENAI_BASE_URL"]} == {"mine", None}
    assert found["ANTHROPIC_API_KEY"] == "cwk-run"


def test_a_client_imported_before_the_environment_was_there_looks_again() -> None:
    code = (
        "import codewords_client, json, os\n"
        f"os.environ.update({INSIDE!r})\n"
        "from codewords_client import AsyncCodewordsClient\n"
        f"print(json.dumps({{name: os.environ.get(name) for name in {NAMES!r}}}))"
    )
    assert seen(code)["OPENAI_BASE_URL"] == "http://runtime:8000/run/openai/v1"


def test_the_names_of_the_published_modules_are_importable() -> None:
    code = (
        "import json\nfrom codewords_client.codewords_client import CodewordsClient as C\nfrom codewords_client import CodewordsClient as D\n"
        "from codewords_client.redis import redis_client\nfrom codewords_client.agent import SubAgent\nimport codewords_client\n"
        "assert codewords_client.agent.SubAgent is SubAgent\nassert set(codewords_client.__all__) <= set(dir(codewords_client))\n"
        "print(json.dumps({'same': C is D}))"
    )
    assert seen(code) == {"same": True}
