"""Comparing the replies of stand-ins with the published descriptions of their services."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.fidelity.schemas import hoisted, reachable

from codewords_testing.app_records import github_event, github_issue, notion_page
from codewords_testing.fidelity.check import problems
from codewords_testing.fidelity.exchange import SentReply, is_observed, observing
from codewords_testing.fidelity.services import SERVICES
from codewords_testing.fidelity.shapes import SchemaShape, description
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.model import Request

pytestmark = pytest.mark.requirement("stand-ins:faithful")


def asked(path: str, body: dict[str, Any], **headers: str) -> SentReply:
    """The exchange of a request with the stand-in of a model provider."""
    seen: list[SentReply] = []
    with observing(seen.append):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        LoopbackProviders().answer(Request("POST", path, "", named, json.dumps(body).encode()))
    [exchange] = seen
    return exchange


def changed(exchange: SentReply, before: str, after: str) -> SentReply:
    assert before.encode() in exchange.body
    return replace(exchange, body=exchange.body.replace(before.encode(), after.encode()))


CHAT: tuple[str, dict[str, Any]] = ("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": []})
MESSAGE: tuple[str, dict[str, Any]] = ("/v1/messages", {"model": "claude", "messages": [], "stream": True})


def test_a_field_that_is_missing_unknown_or_of_another_type_is_told() -> None:
    exchange = asked(*CHAT)
    assert problems(exchange) == []
    assert "id: Field required" in problems(changed(exchange, '"id"', '"name"'))[0]
    [unknown] = problems(changed(exchange, '"service_tier"', '"tier"'))
    assert unknown == "openai: POST /v1/chat/completions → 200: tier: no such field"
    [typed] = problems(changed(exchange, '"created":1790000000', '"created":"now"'))
    assert "created: Input should be a valid integer" in typed


def test_each_event_of_a_stream_is_compared_with_its_own_type() -> None:
    exchange = asked(*MESSAGE, anthropic_version="2023-06-01")
    assert problems(exchange) == []
    [found] = problems(
        changed(
            exchange, '"stop_sequence":null},"usage":{"input_tokens"', '"stop_sequence":null},"usage":{"in"'
        )
    )
    assert "message_delta" in found
    assert "usage.in: no such field" in found
    assert problems(changed(exchange, "event: ping", "event: pong"))
    cut = replace(exchange, body=exchange.body[:-40], cut=True)
    assert problems(cut) == []
    assert problems(replace(cut, cut=False))


def test_an_error_a_status_and_an_operation_that_the_service_lacks_are_told() -> None:
    exchange = asked("/v1/chat/completions", {"model": "gpt-err-429"})
    assert problems(exchange) == []
    assert problems(changed(exchange, '"code"', '"kind"'))
    exchange = asked(*CHAT)
    assert "succeeds with (200,)" in problems(replace(exchange, status=201))[0]
    assert "no such operation" in problems(replace(exchange, path="/v1/chat/no"))[0]
    assert "no service of this name" in problems(replace(exchange, service="nobody"))[0]
    assert "media type text/html" in problems(replace(exchange, media="text/html"))[0]


def test_what_a_description_demands_of_a_record_is_demanded() -> None:
    shape = SchemaShape("github", "issue")
    issue = github_issue("ann/tools", 7, "It breaks")
    assert list(shape.problems(issue)) == []
    assert list(shape.problems(issue | {"title": None}))
    assert list(shape.problems(issue | {"closed": True}))
    assert list(shape.problems({name: value for name, value in issue.items() if name != "node_id"}))
    events = SchemaShape("github", "events")
    request = github_event(1, "PullRequestEvent")
    assert list(events.problems([request])) == []
    # It is in webhooks, but no longer in the events of a repository.
    request["payload"]["pull_request"]["html_url"] = "https://github.com/ann/tools/pull/1"
    assert list(events.problems([request]))
    page = notion_page("Notes", datetime(2026, 2, 1, tzinfo=UTC))
    assert list(SchemaShape("notion", "CreatePage").problems(page)) == []
    assert list(SchemaShape("notion", "CreatePage").problems(page | {"parent": {"database_id": "x"}}))
    record: dict[str, Any] = {
        "id": "1",
        "properties": {},
        "createdAt": "yesterday",
        "updatedAt": "2026-02-01T00:00:00Z",
    }
    assert "createdAt" in next(iter(SchemaShape("hubspot", "Object").problems(record)))


def test_a_stand_in_that_nobody_observes_keeps_nothing() -> None:
    # The plugin of this suite observes.
    assert is_observed()
    script = (
        "from codewords_testing.fidelity.exchange import is_observed; print(is_observed())\n"
        "import codewords_testing.providers, sys; print('jsonschema' in sys.modules, 'openai' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert done.stdout == "False\nFalse False\n"


UNFAITHFUL = """
import json, urllib.request
from codewords_testing.providers import loopback_providers, openai

def test_asks():
    openai._CREATED = "now"
    with loopback_providers() as providers:
        body = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{providers.url}/v1/chat/completions", data=body)).read()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("text", "code"), [(UNFAITHFUL, 1), (UNFAITHFUL.replace('"now"', "1"), 0)])
def test_the_plugin_fails_the_test_whose_stand_in_was_unfaithful(
    tmp_path: Path, text: str, code: int
) -> None:
    (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "codewords_testing.fidelity.plugin",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == code, done.stdout
    told = "openai: POST /v1/chat/completions → 200: created: Input should be a valid integer" in done.stdout
    assert told == bool(code)
    assert "1 replies of stand-ins compared" in done.stdout


def test_references_lead_into_the_description_and_an_object_is_closed() -> None:
    definitions = {
        "A": {"allOf": [{"$ref": "#/x/B"}, {"properties": {"b": {"type": "string", "nullable": True}}}]},
        "B": {"type": "object", "properties": {"a": {"type": "integer", "example": 1}}, "required": ["a"]},
        "C": {"type": "object"},
    }
    found = reachable(definitions, ["A"], "#/x/")
    assert set(found) == {"A", "B"}
    assert found["A"]["allOf"][0] == {"$ref": "#/$defs/B"}
    assert found["A"]["unevaluatedProperties"] is False
    assert found["B"]["properties"]["a"] == {"type": "integer"}


def test_what_is_written_twice_is_written_once() -> None:
    part = {"type": "object", "properties": {f"field{number}": {"type": "string"} for number in range(9)}}
    found = hoisted({"A": {"type": "array", "items": part}, "B": {"type": "array", "items": part}})
    assert found["A"] == found["B"] == {"type": "array", "items": {"$ref": "#/$defs/part1"}}
    assert found["part1"] == part


@pytest.mark.requirement("stand-ins:page")
def test_each_service_says_how_its_fidelity_is_known() -> None:
    for service in SERVICES.values():
        assert service.checked, service.name
        assert service.source is not None or service.open or "RFC" in service.checked, service.name
        names = [operation.name for operation in service.operations]
        assert len(names) == len(set(names)), service.name
        for operation in service.operations:
            for shape in (operation.answer, operation.stream, *operation.events.values()):
                if isinstance(shape, SchemaShape) and shape.file != "pipedream":
                    assert shape.name in description(shape.file)["$defs"], shape
