"""`codewords schema` and `codewords endpoint`: what editors ask for."""

from __future__ import annotations

import httpx2
import pytest
from tests.integration.cli.terminal import Shell

from codewords_mcp.runtime.model.project import project_schema
from codewords_mcp.runtime.model.workflow_header import header_schema


@pytest.mark.requirement("editor:schema")
def test_the_schemas_are_printed_without_a_runtime(empty: Shell) -> None:
    assert empty("codewords", "schema", "header").json == header_schema()
    assert empty("codewords", "schema", "project", "--json").json == project_schema()
    assert empty("codewords", "schema", "draft").code == 2
    assert not (empty.home / "runtime.json").exists()


@pytest.mark.requirement("editor:endpoint")
def test_the_endpoint_is_an_address_and_a_key_that_work(shell: Shell) -> None:
    found = shell("codewords", "endpoint", "--json").json
    headers = {"Authorization": f"Bearer {found['key']}"}
    answer = httpx2.get(f"{found['url']}/status", headers=headers, trust_env=False)
    assert answer.status_code == 200
    plain = shell("codewords", "endpoint")
    assert plain.out.strip() == found["url"]
    assert found["key"] not in plain.out + plain.err


@pytest.mark.requirement("editor:endpoint")
def test_the_endpoint_of_a_runtime_elsewhere_is_the_one_that_is_named(empty: Shell) -> None:
    empty.extra |= {"CODEWORDS_RUNTIME_URL": "https://runtime.example/", "CODEWORDS_API_KEY": "a-key"}
    assert empty("codewords", "endpoint", "--json").json == {"url": "https://runtime.example", "key": "a-key"}
