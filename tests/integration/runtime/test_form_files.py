"""Files that are handed to a workflow's form: texts, and addresses that are fetched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.loopback_site import Answer, StandIn, serving
from tests.support.mcp_clients import Era, over_http
from tests.support.mcp_clients import serving as serving_mcp
from tests.support.runtime import ADMIN, deploy, make_home, open_runtime, workflow

from codewords_mcp.errors import AddressRefused, InvalidInput, UpstreamFailed
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:form-files")]
FORM = workflow(
    """
from email import message_from_bytes
from fastapi import Request

SCHEMA = {"type": "object", "properties": {"table": {"type": "string", "format": "binary"}}}

@app.post("/", openapi_extra={"requestBody": {"content": {"multipart/form-data": {"schema": SCHEMA}}}})
async def take(request: Request):
    head = b"Content-Type: " + request.headers["content-type"].encode() + b"\\r\\n\\r\\n"
    parts = message_from_bytes(head + await request.body()).get_payload()
    return [[part.get_param("name", header="content-disposition"), part.get_filename(), part.get_content_type(),
             part.get_payload(decode=True).decode("latin-1")] for part in parts]
""",
    title="Form",
)


@pytest.fixture(scope="module")
def site() -> Iterator[StandIn]:
    yield from serving(StandIn())


@pytest.fixture
async def runtime(tmp_path: Path, site: StandIn) -> AsyncIterator[Runtime]:
    allowed = [site.url.removeprefix("http://")]
    async with open_runtime(
        make_home(tmp_path / "home"), egress_allow_private=allowed, shares_driver=True
    ) as runtime:
        yield runtime


async def test_texts_and_addresses_become_files_of_the_form(runtime: Runtime, site: StandIn) -> None:
    service = await deploy(runtime, FORM)
    site.answer = lambda asked: Answer(body=b"\x89PNG") if asked.path.startswith("/files/") else Answer(404)
    files = {"table.csv": "name\nAda\n", "note": 'a "b"', "photo": f"{site.url}/files/photo%201.png"}
    run = await runtime.runs.call(ADMIN, service, data={"mode": "all", "n": 3}, files=files)
    assert run.status == "succeeded", run.error
    assert run.response_json == [
        ["mode", None, "text/plain", "all"],
        ["n", None, "text/plain", "3"],
        ["table", "table.csv", "text/csv", "name\nAda\n"],
        ["note", "note.txt", "text/plain", 'a "b"'],
        ["photo", "photo 1.png", "image/png", "\x89PNG"],
    ]


async def test_what_cannot_be_a_form_starts_no_run(runtime: Runtime, site: StandIn) -> None:
    service = await deploy(runtime, FORM)
    wrong: list[tuple[Any, dict[str, str], type[Exception]]] = [
        ([1], {"a": "b"}, InvalidInput),
        ({}, {"a": "x" * (11 << 20)}, InvalidInput),
        ({}, {"a": f"{site.url}/missing"}, UpstreamFailed),
        ({}, {"a": "http://127.0.0.1:1/secret"}, AddressRefused),
    ]
    for data, files, error in wrong:
        with pytest.raises(error):
            await runtime.runs.call(ADMIN, service, data=data, files=files)
    assert (await runtime.runs.list(ADMIN, limit=5)).items == []


async def test_data_addresses_are_decoded_and_a_path_of_a_machine_is_refused(runtime: Runtime) -> None:
    service = await deploy(runtime, FORM)
    files = {
        "table.csv": "data:text/csv;base64,YSxiCg==",
        "note": "data:,a%20b",
        "text": "/one line\nand another",
    }
    run = await runtime.runs.call(ADMIN, service, files=files)
    assert run.response_json == [
        ["table", "table.csv", "text/csv", "a,b\n"],
        ["note", "note.txt", "text/plain", "a b"],
        ["text", "text.txt", "text/plain", "/one line\nand another"],
    ]
    for value in (
        "/home/ada/t.csv",
        "~/t.csv",
        "./t.csv",
        "../t.csv",
        "C:\\t.csv",
        "file:///t.csv",
        "data:text/csv;base64,%%",
        "data:",
    ):
        with pytest.raises(InvalidInput):
            await runtime.runs.call(ADMIN, service, files={"table": value})


async def test_a_file_s_own_name_goes_to_the_only_field_for_files(runtime: Runtime) -> None:
    service = await deploy(runtime, FORM)
    run = await runtime.runs.call(ADMIN, service, files={"t.csv": "a,b"}, file_fields=["table"])
    assert run.response_json == [["table", "t.csv", "text/csv", "a,b"]]
    with pytest.raises(InvalidInput, match="has not") as refused:
        await runtime.runs.call(ADMIN, service, files={"t.csv": "a,b"}, file_fields=["left", "right"])
    assert "left, right" in refused.value.hint


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_chat_is_told_of_a_form_and_fills_it_in(runtime: Runtime, era: Era) -> None:
    service = await deploy(runtime, FORM)
    settings = Settings.model_construct(home=runtime.settings.home)
    async with serving_mcp(runtime, settings, {"key": ADMIN}) as url, over_http(url, "key", era) as client:
        shown = await client.call_tool("get_workflow", {"workflow_id": service})
        assert '"@files"' in str(shown.content)
        assert '"format":"binary"' in str(shown.content)
        form = {"@files": {"table.csv": "a,b"}, "mode": "all"}
        ran = await client.call_tool("run_workflow", {"workflow_id": service, "input": form})
        assert ran.structured_content is not None
        assert ran.structured_content["result"] == [
            ["mode", None, "text/plain", "all"],
            ["table", "table.csv", "text/csv", "a,b"],
        ]
        wrong = await client.call_tool("run_workflow", {"workflow_id": service, "input": {"@files": ["a"]}})
        assert wrong.is_error
