"""The manifest names single operations of library services where the code does, and the whole service elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.workflows.analysis import AnalysisResult, derive
from codewords_mcp.runtime.workflows.script import parse_script

HEADER = """# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "CODEWORDS_RUNTIME_URI"]
{tool}# ///
import asyncio, os, httpx
from functools import partial
from codewords_client import AsyncCodewordsClient, CodewordsClient
client = CodewordsClient()
BASE = os.environ["CODEWORDS_RUNTIME_URI"]
"""


def reach(code: str, services: str = "") -> AnalysisResult:
    tool = f"# [tool.codewords]\n# services = {services}\n" if services else ""
    return derive(parse_script(HEADER.format(tool=tool) + code))


KNOWN = {
    "a keyword": 'client.run("github", {}, path="/readme")',
    "a position": 'client.run("github", {}, "readme")',
    "all by keyword": 'client.run(service_id="github", inputs={}, path="readme")',
    "a slash at the end": 'client.run("github", {}, path="/readme/")',
    "a query": 'client.run("github", path="/readme?repo=a/b")',
    "a query that is made while it runs": 'def f(q):\n    client.run("github", path=f"/readme?q={q}")',
    "an escape": 'client.run("github", path="/read%6De")',
    "an alias of the operation": 'client.run("github", path="/get_readme")',
    "a slash in the id": 'client.run("github/readme")',
    "a slash in the id, and a query": 'client.run("github/readme?repo=a/b", {})',
    "an id that goes on while it runs": 'def f(q):\n    client.run(f"github/readme?q={q}")',
    "a part of the path in the id": 'client.start_service("github/", {}, "readme")',
    "a constant": 'P = "/readme"\nclient.run("github", path=P)',
    "in the background": 'client.start_service("github", {}, "/readme")',
    "another name of the method": 'call = client.run\ncall("github", path="readme")',
    "another name of the class": "from codewords_client import AsyncCodewordsClient as C\n"
    'async def f():\n    async with C() as c:\n        await c.run("github", path="readme")',
    "a function around it": 'def ask(path):\n    return client.run("github", {}, path=path)\nask("/readme")',
    "a partial": 'ask = partial(client.run, "github", path="/readme")\nask({})',
    "a thread": 'async def f():\n    await asyncio.to_thread(client.run, "github", {}, "readme")',
    "the address": 'httpx.post(f"{BASE}/run/github/readme", json={})',
    "the address with a query": 'httpx.get(f"{BASE}/run/github/readme?repo=a/b")',
    "the address with escapes": 'httpx.get(BASE + "/run/github/read%6De/")',
    "the address in the background": 'httpx.post(BASE + "/run_async/github/readme")',
    "a client of the runtime": 'with httpx.Client(base_url=BASE) as c:\n    c.post("/run/github/readme")',
    "a client of the service": 'with httpx.Client(base_url=BASE + "/run/github") as c:\n    c.post("readme")',
    "a client of the service, with slashes": 'with httpx.Client(base_url=f"{BASE}/run/github/") as c:\n    c.post("/readme")',
}


@pytest.mark.requirement("manifest:operations")
@pytest.mark.parametrize("code", KNOWN.values(), ids=KNOWN.keys())
def test_an_operation_that_the_code_names_is_the_only_one(code: str) -> None:
    found = reach(code)
    assert found.manifest.services == ("github: readme",)
    assert found.notes == ()


UNKNOWN = {
    "the input names it": 'def f(path):\n    client.run("github", {}, path=path)',
    "the input names a part": 'def f(what):\n    client.run("github", path=f"search_{what}")',
    "the input names the rest": 'def f(what):\n    client.run("github", path="/readme" + what)',
    "keywords": 'def f(more):\n    client.run("github", **more)',
    "arguments": 'def f(more):\n    client.run("github", *more)',
    "no such operation": 'client.run("github", path="/read_me")',
    "escaped twice": 'client.run("github", path="/read%256De")',
    "no path where one is needed": 'client.run("github", {})',
    "the id names a part": 'def f(what):\n    client.run(f"github/search_{what}")',
    "the id goes on, and a path": 'client.run("github/readme", path="more")',
    "dots": 'client.run("github", path="/readme/../user")',
    "one of two calls": 'def f(p):\n    client.run("github", path="readme")\n    client.run("github", path=p)',
    "the address": 'def f(p):\n    httpx.post(f"{BASE}/run/github/{p}")',
    "a client of the service": 'def f(p):\n    httpx.Client(base_url=BASE + "/run/github").post(p)',
}


@pytest.mark.requirement("manifest:operations", "manifest:asked-not-guessed")
@pytest.mark.parametrize("code", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_operation_that_cannot_be_read_asks_for_the_whole_service_and_says_so(code: str) -> None:
    found = reach(code)
    assert found.manifest.services == ("github",)
    assert found.manifest.lines() == ["services     github: any operation"]
    [note] = found.notes
    assert (note.status, note.line is not None) == ("note", True)
    assert "which operation of `github`" in note.message
    assert 'services = ["github: ' in (note.fix or "")


@pytest.mark.requirement("manifest:operations")
def test_several_operations_and_services_are_listed_each() -> None:
    found = reach(
        'for path in ("posts", "/comments"):\n    client.run("reddit", path=path)\n'
        'client.run("send_email", {"to": "a@b.example"})\nclient.run("pipedream", {"operation": "search"})\n'
        'client.run("files")\nclient.run("slack_trigger", path="/send")'
    )
    assert found.manifest.services == (
        "files: list",
        "pipedream",
        "reddit: comments",
        "reddit: posts",
        "send_email: send",
        "slack_trigger: send_message",
    )


@pytest.mark.requirement("manifest:operations")
@pytest.mark.parametrize(
    ("code", "services", "expected"),
    [
        (UNKNOWN["the input names it"], '["github: get_readme"]', ("github: readme",)),
        (UNKNOWN["one of two calls"], '["github:user"]', ("github: readme", "github: user")),
        (UNKNOWN["the input names it"], '["reddit: posts"]', ("github", "reddit: posts")),
        (KNOWN["a keyword"], '["github: user", "send_email: send"]', ("github: readme", "github: user", "send_email: send")),
        (KNOWN["a keyword"], '["github"]', ("github",)),
        (UNKNOWN["the input names it"], '["github"]', ("github",)),
        ("def f(s, p):\n    client.run(s, path=p)", '["firecrawl: v1/*", "hunter: account"]', ("firecrawl: v1/*", "hunter: account")),
        (KNOWN["a keyword"], "[]", ("github: readme",)),
    ],
)  # fmt: skip
def test_operations_in_the_header_stand_for_those_that_cannot_be_read(
    code: str, services: str, expected: tuple[str, ...]
) -> None:
    found = reach(code, services).manifest
    assert (found.services, found.workflows, found.models) == (expected, (), ())


@pytest.mark.requirement("manifest:operations")
@pytest.mark.parametrize("item", ["github: read_me", "github:", "pipedream: execute", "flow_0a1b2c3d: run"])
def test_a_header_that_names_no_operation_is_refused_with_those_there_are(item: str) -> None:
    with pytest.raises(InvalidScript, match="`services`") as caught:
        reach("", f'["{item}"]')
    assert "github: readme" in (caught.value.hint or "") or "without an operation" in (
        caught.value.hint or ""
    )


@pytest.mark.requirement("manifest:operations")
def test_code_that_cannot_be_followed_may_call_what_its_header_names() -> None:
    tool = '# [tool.codewords]\n# services = ["github: get_readme"]\n'
    script = parse_script(HEADER.format(tool=tool))
    assert derive(replace(script, tree=None)).manifest.services == ("github: readme",)
