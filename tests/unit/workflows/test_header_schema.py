"""The published JSON Schema of the header says what the checks of a workflow take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.model.workflow_header import HeaderOptions, WorkflowHeader, header_schema
from codewords_mcp.runtime.workflows.script import parse_script

pytestmark = pytest.mark.requirement("editor:schema")
REFERENCE = Path(__file__).parents[3] / "docs" / "reference"

CASES: dict[str, tuple[list[str], list[str]]] = {
    "client": (['"ours"', '"pypi"'], ['"npm"', "1"]),
    "isolation": (['"instance"'], ['"none"', "true"]),
    "concurrency": (["1", "1000"], ["0", "1001", "true", '"4"', "1.5"]),
    "queue_limit": (["0", "1000000"], ["-1", "1000001", '"all"']),
    "retries": (
        ["0", "10", "{count = 3, resume = true}"],
        ["11", "-1", "true", "{times = 3}", "{count = 11}", '{resume = "yes"}'],
    ),
    "on_failure": (['"tell_0a1b2c3d"'], ["1", "[]"]),
    "timeout": (["1", "86400"], ["0", "86401", "true"]),
    "memory": (['"512MB"', '"2 gib"'], ["512", '"512"', '"1TB"']),
    "disk": (['"1GB"'], ["1", '"much"']),
    "cpu": (["0.5", "2"], ["0", "257", "true", '"1"']),
    "record": (['"all"', '"failures"', '"off"'], ['"never"', "false"]),
    "budget": (["{run = 0.5, day = 5}", "{}"], ["5", "{week = 1}", "{run = -1}", "{run = true}"]),
    "models": (['["gpt-4o*", "anthropic/*"]'], ['"gpt-4o"', '["a b"]', "[1]", json.dumps(["x"] * 101)]),
    "fallbacks": (['{"gpt-4o" = ["gpt-4o-mini"]}'], ['{"gpt-4o" = "gpt-4o-mini"}', "[]"]),
    "cache": (["0", "3600.5"], ["-1", "2592001", "true"]),
    "trace_content": (["true"], ['"yes"', "1"]),
    "example": (['{name = "Ada"}'], ['"Ada"', "[]"]),
    "expect": (['["$.total: number"]'], ['"$.total: number"', "[1]", json.dumps(["$.a: number"] * 51)]),
    "hosts": (
        ['["api.github.com", "*.example.com", "*", "::1", "[2001:db8::1]"]', "[]"],
        ['"api.github.com"', '["a b"]', "[1]", '["db.lan:5432"]', '["https://a.com"]'],
    ),
    "services": (['["openai", "github: readme"]'], ['"openai"', "[1]"]),
    "inspect": (["true"], ["1", '"true"']),
    "snapshot": (["true"], ["1", '"true"']),
    "egress": (['["api.github.com"]', "[]"], ['["*"]', '"none"', "[1]", '["db.lan:5432"]']),
}
"""Key → values that are taken, values that are refused; as TOML."""


def _takes(header: dict[str, Any]) -> bool:
    validator: Any = Draft202012Validator(header_schema())
    return validator.is_valid(header)


def _code(key: str, value: str) -> str:
    return f"# /// script\n# dependencies = []\n# [tool.codewords]\n# {key} = {value}\n# ///\nprint(1)\n"


def _header(key: str, value: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(f"dependencies = []\n[tool.codewords]\n{key} = {value}\n")


def test_every_key_has_cases_here() -> None:
    assert set(CASES) == set(HeaderOptions.model_fields)


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, (good, _) in CASES.items() for value in good]
)
def test_what_the_schema_takes_the_checks_take(key: str, value: str) -> None:
    header = _header(key, value)
    assert _takes(header)
    WorkflowHeader.model_validate(header)
    assert parse_script(_code(key, value)).notes[1:] == ()


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, (_, bad) in CASES.items() for value in bad])
def test_what_the_schema_refuses_the_checks_refuse_with_the_key_and_its_line(key: str, value: str) -> None:
    assert not _takes(_header(key, value))
    with pytest.raises(InvalidScript) as refused:
        parse_script(_code(key, value))
    assert f"`{key}`" in refused.value.message
    assert refused.value.line == 4


def test_every_key_has_a_description_an_example_that_it_takes_and_what_holds_without_it() -> None:
    schema = header_schema()
    Draft202012Validator.check_schema(schema)
    options = schema["$defs"]["HeaderOptions"]["properties"]
    for key, described in options.items():
        assert described["description"].endswith((".", "`")), key
        assert described["x-without"], key
        assert _takes({"tool": {"codewords": {key: described["examples"][0]}}}), key


def test_the_published_schema_is_that_of_the_model() -> None:
    assert json.loads((REFERENCE / "header.schema.json").read_text(encoding="utf-8")) == header_schema()
