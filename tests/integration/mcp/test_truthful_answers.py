"""What tools say of a workflow holds: each link, command, shell line and call in their answers is tried, for all templates and more."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.mcp.answer_claims import Claims
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mcp_clients import data_of, over_http, text_of
from tests.support.paths import PROJECT
from tests.support.runtime import make_home, workflow

from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("mcp:truth")]
_BLOCK = re.compile(r"<!-- file: [\w.]+ -->\n```python\n(.*?)```", re.DOTALL)
_HTML = "from fastapi.responses import HTMLResponse\n\n"
_PAGE = '@app.get("{path}", response_class=HTMLResponse)\ndef page() -> str:\n    return "<!doctype html><p>Hello</p>"\n'
# Forms as FastAPI describes them, without the package that reads them.
_FORM = """
SCHEMA = {{"type": "object", "required": ["file"], "properties": {{"file": {{"type": "string", "format": "binary"}}}}}}

@app.post("{path}", openapi_extra={{"requestBody": {{"content": {{"multipart/form-data": {{"schema": SCHEMA}}}}}}}})
async def clean(request: Request):
    return {{"bytes": len(await request.body())}}
"""
OWN = {
    "page": _HTML + _PAGE.format(path="/"),
    "page-elsewhere": _HTML + _PAGE.format(path="/form"),
    "page-and-form": _HTML + _PAGE.format(path="/") + _FORM.format(path="/clean"),
    "get-only": '@app.get("/numbers")\ndef numbers(limit: int):\n    return list(range(limit))\n',
    "put-only": '@app.put("/things/{name}")\ndef put(name: str):\n    return name\n',
    "query": '@app.post("/")\ndef add(left: int, right: int):\n    return left + right\n',
}


def _programs() -> dict[str, dict[str, Any]]:
    """The arguments of a deploy by a name for the test."""
    found = {f"template {one.id}": {"template_id": one.id} for one in templates()}
    for page in sorted((PROJECT / "docs/cookbook").glob("*.md")):
        if block := _BLOCK.search(page.read_text(encoding="utf-8")):
            found[f"cookbook {page.stem}"] = {"code": block[1]}
    for program in sorted((PROJECT / "tests/integration/recording/changes/programs").glob("*.py")):
        found[f"program {program.stem}"] = {"code": program.read_text(encoding="utf-8")}
    for name, body in OWN.items():
        found[f"own {name}"] = {"code": workflow("from fastapi import Request\n" + body, title=f"Own {name}")}
    return found


PROGRAMS = _programs()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = make_home(tmp_path_factory.mktemp("truth") / "home")
    settings = Settings.model_validate(
        {"home": home, "port": 0, "api_key": ADMIN_KEY, "consent": "token", "sync_timeout": 15}
    )
    with Door(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def counts() -> Iterator[dict[str, int]]:
    summed: dict[str, int] = {}
    yield summed
    print(f"\ntried in answers: {summed}, {sum(summed.values())} in all")


@pytest.fixture
async def claims(door: Door, counts: dict[str, int]) -> AsyncIterator[Claims]:
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, "2026-07-28") as client:
        tried = Claims(client, door.url, ADMIN_KEY, door.settings.home)
        await tried.load_tools()
        yield tried
        for kind, number in tried.tried.items():
            counts[kind] = counts.get(kind, 0) + number


async def _agreed(claims: Claims, tool: str, arguments: dict[str, Any]) -> Any:
    """The result of a call after the answer to its question, which is tried as well."""
    asked = await claims.client.call_tool(tool, arguments)
    meta: dict[str, Any] = asked.meta or {}
    data: dict[str, Any] = asked.structured_content or {}
    token = meta.get("codewords/confirm") or data.get("confirm")
    if not token:
        return asked
    await claims.check(text_of(asked), [])
    return await claims.client.call_tool(tool, arguments | {"confirm": token})


@pytest.mark.parametrize("name", PROGRAMS)
async def test_every_link_command_and_call_in_the_answers_holds(
    name: str, claims: Claims, tmp_path: Path
) -> None:
    client = claims.client
    deployed = await _agreed(claims, "deploy_workflow", PROGRAMS[name] | {"name": name.replace("_", " ")})
    if deployed.is_error:
        # Something of the person's is missing, and the answer says how it is set.
        assert "set_secret" in text_of(deployed), text_of(deployed)
        await claims.check(text_of(deployed), [])
        assert claims.false == []
        return
    live = data_of(deployed)
    assert live["status"] == "deployed", text_of(deployed)
    ref = {"workflow_id": live["workflow_id"]}
    described = await client.call_tool("get_workflow", ref)
    shown = data_of(described)
    routes = shown.get("routes", [])
    for answer in (deployed, described):
        await claims.check(text_of(answer), routes)
    if line := live.get("curl"):
        claims.check_shell(line, tmp_path)

    pages = [
        route
        for route in routes
        if route.get("html") and route["method"] == "GET" and "{" not in route["path"]
    ]
    says_how = [f"codewords open {live['workflow_id']}" in text_of(one) for one in (deployed, described)]
    claims.expect("way to a page", name, holds=says_how == [bool(pages)] * 2, why=says_how)

    sent = {"input": shown["example"]} if "example" in shown else {}
    ran = await client.call_tool("run_workflow", ref | sent | {"wait_seconds": 10})
    await claims.check(text_of(ran), routes)
    result: dict[str, Any] = ran.structured_content or {}
    if run_id := result.get("run_id"):
        looked = await client.call_tool("get_run", {"run_id": run_id})
        await claims.check(text_of(looked), routes)
    assert claims.false == []


async def test_a_stored_file_s_link_is_in_the_answer_to_who_asked_for_it(claims: Claims) -> None:
    stored = {"workflow_id": "files", "path": "upload", "input": {"filename": "a.csv", "content": "a,b\n"}}
    ran = await _agreed(claims, "run_workflow", stored)
    file = data_of(ran)["result"]
    claims.check_address(file["download_uri"])
    linked = await claims.client.call_tool(
        "run_workflow", {"workflow_id": "files", "path": "link", "input": {"file_id": file["file_id"]}}
    )
    claims.check_address(data_of(linked)["result"]["download_uri"])
    read = await claims.client.call_tool(
        "run_workflow", {"workflow_id": "files", "path": "read", "input": {"file_id": file["file_id"]}}
    )
    assert "longer than a record keeps" not in text_of(read)
    assert claims.false == []


async def test_a_schedule_s_next_time_is_the_time_that_it_says(claims: Claims) -> None:
    deployed = await _agreed(claims, "deploy_workflow", {"template_id": templates()[0].id, "name": "timed"})
    workflow_id = data_of(deployed)["workflow_id"]
    asked = {"workflow_id": workflow_id, "when": "30 6 * * *", "timezone": "UTC", "input": {"name": "Ada"}}
    made = await _agreed(claims, "schedule_workflow", asked)
    await claims.check(text_of(made), [])
    assert re.search(r"06:30", text_of(made)), text_of(made)
    listed = await claims.client.call_tool("list_schedules", {})
    assert "06:30" in text_of(listed)
    assert claims.false == []
