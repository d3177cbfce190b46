"""Links beside a run's result: its page in the console, its log, its file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from mcp_types import CallToolResult, ResourceLink, TextContent
from tests.support.mcp_clients import Era, over_http, serving
from tests.support.runtime import ADMIN, deploy, workflow

from codewords_mcp.mcp_server.links import with_run_links
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:links")]
ANSWERS = workflow(
    """
from fastapi import Response

@app.post("/text")
async def text():
    print("said by the program")
    return {"some": "text"}

@app.post("/file")
async def file():
    return Response(b"\\xff\\xfe" * 2000, media_type="application/pdf")
""",
    title="Answers",
)


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_result_links_to_its_page_log_and_file_and_a_part_of_it_to_nothing(
    real: Runtime, era: Era
) -> None:
    service = await deploy(real, ANSWERS, name=f"Answers for {era}")
    settings = Settings.model_construct(home=real.settings.home)
    async with serving(real, settings, {"key": ADMIN}) as url, over_http(url, "key", era) as client:

        async def call(tool: str, **arguments: Any) -> tuple[str, list[ResourceLink]]:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            data = cast("dict[str, Any]", result.structured_content)
            return data["run_id"], [block for block in result.content if isinstance(block, ResourceLink)]

        run_id, links = await call("run_workflow", workflow_id=service, path="/text")
        page, log = links
        assert page.uri == f"{real.base_url}/console/runs/{run_id}"
        assert log.uri == f"run://{run_id}/logs"
        read = await client.read_resource(log.uri)
        assert "said by the program" in str(read.contents[0])
        assert await call("get_run", run_id=run_id) == (run_id, links)
        assert await call("get_run", run_id=run_id, path="some") == (run_id, [])

        run_id, (*_, file) = await call("run_workflow", workflow_id=service, path="/file")
        assert (file.mime_type, file.size) == ("application/pdf", 4000)
        assert "/file/" in file.uri


def test_a_client_of_a_protocol_without_links_gets_none() -> None:
    result = CallToolResult(
        content=[TextContent(type="text", text="done")], structured_content={"run_id": "run_1"}
    )
    for version, links in (("2025-03-26", 0), ("2025-06-18", 2), ("2026-07-28", 2)):
        ctx = cast("Any", SimpleNamespace(protocol_version=version))
        linked = with_run_links(result, "http://127.0.0.1:8765", ctx)
        assert len(linked.content) == 1 + links
