"""The Postman collection has every operation, and newman runs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from tests.docs.pages import ROOT
from tests.support import npm
from tests.support.http_runtime import ADMIN_KEY

from codewords_mcp.http.app import operations
from codewords_mcp.http.examples import EXAMPLES
from codewords_mcp.http.openapi import document, methods_of
from codewords_mcp.http.postman import MAX_WORKFLOWS, collection

NEWMAN = "newman@6.2.2"
SPEC = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"


def _requests(folder: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for item in folder["item"] for found in (_requests(item) if "item" in item else [item])]


@pytest.mark.requirement("http:postman")
def test_every_operation_has_a_request_with_its_method_and_path() -> None:
    made = collection(operations(), "http://127.0.0.1:8765")
    assert made["info"]["schema"] == SPEC
    found = {
        (item["request"]["method"], "/".join(item["request"]["url"]["path"])) for item in _requests(made)
    }
    for operation in operations():
        if operation.tag == "mcp" or operation.path == "/events":
            continue
        methods = methods_of(operation)
        path = operation.path.removeprefix("/").replace("}", "").replace("{", ":")
        path = path.removesuffix(":path") if operation.path.startswith(("/run/{", "/run_async/{")) else path
        assert ((methods[0] if len(methods) == 1 else "post").upper(), path) in found, operation


@pytest.mark.requirement("http:postman")
def test_what_changes_something_is_skipped_unless_a_person_allows_it() -> None:
    made = collection(operations(), "http://127.0.0.1:8765")
    guarded = {
        f"{item['request']['method']} /{'/'.join(item['request']['url']['path'])}"
        for item in _requests(made)
        if any("allow_changes" in line for event in item["event"] for line in event["script"]["exec"])
    }
    assert {"POST /stop", "DELETE /keys/:key_id", "POST /sign-out", "PUT /secrets/:name"} <= guarded
    assert not {"GET /runs", "GET /status"} & guarded


@pytest.mark.requirement("http:openapi")
def test_every_example_fits_the_schema_of_its_body() -> None:
    described = document(operations(), "http://127.0.0.1:8765")
    bodies = {f"{one.method} {one.path}": one for one in operations()}
    bodies |= {f"POST {one.path}": one for one in operations() if one.method == "*"}
    assert EXAMPLES.keys() <= bodies.keys()
    for name, example in EXAMPLES.items():
        method, _, path = name.partition(" ")
        content = described["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
        schema = content["schema"] | {"components": described["components"]}
        validator: Any = jsonschema.Draft202012Validator(schema)
        assert list(validator.iter_errors(example)) == [], name


@pytest.mark.requirement("http:postman")
def test_a_collection_has_at_most_so_many_workflows_and_no_strangers(http: httpx.Client) -> None:
    many = http.get(
        "/postman.json", params={"workflow": [f"w{number}" for number in range(MAX_WORKFLOWS + 1)]}
    )
    assert many.status_code == 400
    assert http.get("/postman.json?workflow=none_00000000").status_code == 404


@pytest.mark.slow
@pytest.mark.requirement("http:postman")
def test_newman_runs_the_journey_the_reads_and_a_workflow(http: httpx.Client, tmp_path: Path) -> None:
    greeting = http.post("/deploy", json={"template_id": "greeting", "name": "Greets by Postman"}).json()[
        "service_id"
    ]
    answer = http.get("/postman.json", params={"workflow": greeting})
    assert "attachment" in answer.headers["content-disposition"]
    (tmp_path / "codewords.json").write_text(answer.text, encoding="utf-8")

    code, said, _ = asyncio.run(npm.node(
        npm.installed(NEWMAN), "node_modules/newman/bin/newman.js", "run", str(tmp_path / "codewords.json"),
        "--env-var", f"apiKey={ADMIN_KEY}", "--reporters", "cli,json", "--color", "off", "--timeout-request", "60000",
        "--reporter-json-export", str(tmp_path / "report.json"),
    ))  # fmt: skip
    assert code == 0, said[-4000:]

    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["run"]
    sent = [
        f"{one['request']['method']} {one['item']['name']}"
        for one in report["executions"]
        if one.get("response")
    ]
    assert {"POST Deploy code or a template", "POST POST /", "GET The timeline of a run"} <= set(sent)
    assert "POST End the runtime" not in sent
    assert sent[-1].startswith("DELETE Delete a workflow")
    assert len(sent) > 50
    assert http.get("/workflows?query=Postman+1").json()["items"] == []
    assert NEWMAN in (ROOT / "docs" / "guides" / "http-clients.md").read_text(encoding="utf-8")
