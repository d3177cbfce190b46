"""A scripted assistant that takes a workflow its whole way over MCP, knowing only what the tools answer, and what that costs.

It never sees a key or a secret: a person, who has no part in the conversation, agrees to questions and goes to the pages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from mcp import Client
from mcp_types import ElicitRequestURLParams, ElicitResult

WISH = "Post the first line of a list to a Slack channel every morning, signed with our own key"
SECRET = "SIGNING_KEY"
CODE = '''# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["codewords-client==0.4.11", "fastapi==0.115.12", "httpx==0.28.1", "pydantic==2.11.3"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "PIPEDREAM_SLACK_ACCESS", "SIGNING_KEY"]
# ///
"""Post the first line of a list to a Slack channel, signed."""

import hashlib
import os

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Morning line", description=__doc__)


class Morning(BaseModel):
    channel: str
    lines: list[str]


class Posted(BaseModel):
    posted: str
    signature: str


@app.post("/", response_model=Posted)
async def post(request: Morning) -> Posted:
    logger.info("STEPLOG START post")
    line = request.lines[0]
    signature = hashlib.sha256((os.environ["SIGNING_KEY"] + lines).encode()).hexdigest()[:8]
    async with AsyncCodewordsClient() as client:
        inputs = {"app": "slack", "action": "send-message", "props": {"channel": request.channel, "text": line}}
        reply = await client.run(service_id="pipedream", path="", inputs=inputs)
        reply.raise_for_status()
    logger.info("posted to " + request.channel)
    return Posted(posted=line, signature=signature)


if __name__ == "__main__":
    run_service(app)
'''
"""What the model writes from the brief; a name in it does not exist."""
GREETS = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["codewords-client==0.4.11", "fastapi==0.115.12", "httpx==0.28.1", "pydantic==2.11.3"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LOGLEVEL=INFO"]
# ///
from codewords_client import run_service
from fastapi import FastAPI

app = FastAPI(title="Greets briefly")


@app.post("/")
async def greet(name: str = "Ada"):
    print(f"greeting {name}", flush=True)
    return {"message": f"Hello {name}!"}


if __name__ == "__main__":
    run_service(app)
"""
FAULT = {"old": '["SIGNING_KEY"] + lines)', "new": '["SIGNING_KEY"] + line)'}
EMPTY = {
    "old": "    line = request.lines[0]\n",
    "new": '    line = request.lines[0] if request.lines else "Nothing today."\n',
}
"""How it mends a run that failed on an empty list."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what the model wrote and what it got, as text and as data (hosts show it one of the two)."""

    step: str
    tool: str
    arguments: str
    text: str
    data: str


@dataclass
class Person:
    """Agrees to forms, types `value` where a secret is asked for, connects accounts; on the pages, as a browser would, signed
    in to the runtime at `url` with `key`, as `codewords open` does it.
    """

    url: str
    key: str
    value: str = "typed-by-a-person"
    visited: list[str] = field(default_factory=list[str])
    agreed: list[str] = field(default_factory=list[str])

    async def __call__(self, context: object, params: Any) -> ElicitResult:  # noqa: ARG002  # the SDK's signature
        if isinstance(params, ElicitRequestURLParams):
            await asyncio.to_thread(self._visit, params.url)
            return ElicitResult(action="accept")
        self.agreed.append(params.message)
        return ElicitResult(action="accept", content={})

    def _visit(self, url: str) -> None:
        page = url.split("/")[3]
        self.visited.append(page)
        origin = {"Origin": "/".join(url.split("/")[:3]), "Sec-Fetch-Site": "same-origin"}
        with httpx.Client(trust_env=False, timeout=30) as browser:
            self._sign_in(browser)
            if page == "connect":
                onward = browser.get(f"{url}/go", headers={"Sec-Fetch-Site": "same-origin"}).headers[
                    "location"
                ]
                browser.get(browser.post(onward).headers["location"]).raise_for_status()
                return
            form = {"value": self.value} if page == "secrets" else {"answer": "agree"}
            browser.get(url).raise_for_status()
            browser.post(url, data=form, headers=origin).raise_for_status()

    def _sign_in(self, browser: httpx.Client) -> None:
        made = browser.post(f"{self.url}/sign-ins", json={}, headers={"Authorization": f"Bearer {self.key}"})
        opened = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        answer = browser.get(made.raise_for_status().json()["url"], headers=opened, follow_redirects=True)
        answer.raise_for_status()


class Assistant:
    """Calls tools through a client and keeps what was said."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.calls: list[Call] = []
        self._step = ""

    async def go(self) -> None:
        """The whole way; `calls` has what it took. Raises AssertionError where a tool did not do what it said."""
        await self._write()
        await self._prepare()
        workflow = await self._live()
        await self._repair(workflow)
        await self._keep(workflow)

    async def go_briefly(self) -> None:
        """Code deployed, run, its log read, and deleted."""
        self._step = "deploy"
        live = await self._call("deploy_workflow", code=GREETS)
        workflow = live["workflow_id"]
        self._step = "run"
        run = await self._call("run_workflow", workflow_id=workflow)
        assert run["result"] == {"message": "Hello Ada!"}, run
        self._step = "log"
        assert "greeting Ada" in (await self._call("get_run", run_id=run["run_id"]))["logs"]
        self._step = "delete"
        await self._call("delete_workflow", workflow_id=workflow)

    async def _write(self) -> None:
        self._step = "find a template"
        found = await self._call("list_templates", query=WISH)
        assert found["templates"]
        self._step = "generate"
        brief = await self._call("generate_workflow", description=WISH)
        assert brief["status"] == "brief", brief
        assert "PEP 723" in self.calls[-1].text
        self._step = "validate"
        report = await self._call("validate_workflow", code=CODE)
        [fault] = [one for one in report["checks"] if "lines" in one["message"]]
        assert fault["status"] == "failed", report
        assert fault["line"] == 1 + CODE[: CODE.index(FAULT["old"])].count("\n")

    async def _prepare(self) -> None:
        self._step = "edit"
        written = await self._call("edit_workflow", code=CODE.replace(FAULT["old"], FAULT["new"]))
        self._draft = written["draft"]["draft_id"]
        lacks = json.dumps(written["draft"]["checks"])
        assert SECRET in lacks, lacks
        assert "PIPEDREAM_SLACK_ACCESS" in lacks, lacks
        self._step = "set a secret"
        stored = await self._call("set_secret", name=SECRET)
        assert stored["status"] == "stored", stored
        self._step = "connect"
        hits = await self._call("search_integrations", query="send a message in slack")
        assert hits["actions"][0]["app"].startswith("slack"), hits
        state = await self._call("connect_integration", app="slack")
        assert state["connected"], state

    async def _live(self) -> str:
        self._step = "deploy"
        live = await self._call("deploy_workflow", draft_id=self._draft)
        assert live["status"] == "deployed", live
        assert any("slack" in line for line in live["capabilities"])
        workflow = str(live["workflow_id"])
        self._step = "run"
        given = {"channel": "#general", "lines": ["Good morning", "and more"]}
        begun = await self._call("run_workflow", workflow_id=workflow, input=given, wait_seconds=0)
        self._step = "follow the log"
        run = await self._call("get_run", run_id=begun["run_id"], wait_seconds=40)
        assert run["status"] == "succeeded", run
        assert run["result"]["posted"] == "Good morning"
        assert any("posted to #general" in line for line in run["logs"]), run["logs"]
        return workflow

    async def _repair(self, workflow: str) -> None:
        self._step = "a run that fails"
        given: dict[str, Any] = {"channel": "#general", "lines": []}
        failed = await self._call("run_workflow", workflow_id=workflow, input=given)
        assert failed["status"] == "failed", failed
        assert "IndexError" in failed["diagnosis"]["error"], failed
        assert "request.lines[0]" in failed["diagnosis"]["at"][-1], failed
        self._step = "mend and deploy"
        edited = await self._call("edit_workflow", workflow_id=workflow, edits=[EMPTY])
        assert edited["draft"]["ready"], edited
        ready = edited["draft"]
        live = await self._call("deploy_workflow", draft_id=ready["draft_id"], revision=ready["revision"])
        assert (live["workflow_id"], live["version"]) == (workflow, 2), live
        run = await self._call("run_workflow", workflow_id=workflow, input=given)
        assert run["result"]["posted"] == "Nothing today.", run

    async def _keep(self, workflow: str) -> None:
        self._step = "schedule"
        given = {"channel": "#general", "lines": ["Good morning"]}
        timed = await self._call(
            "schedule_workflow",
            workflow_id=workflow,
            when="0 9 * * MON-FRI",
            timezone="Europe/Lisbon",
            input=given,
        )
        assert timed["next"], timed
        self._step = "roll back"
        shown = await self._call("get_workflow", workflow_id=workflow)
        earlier = min(one["version"] for one in shown["versions"])
        back = await self._call("rollback_workflow", workflow_id=workflow, version=earlier)
        assert back["version"] == 1, back

    async def _call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The data of a tool's answer; asks once more where it says that it still works."""
        while True:
            result: Any = await self._client.call_tool(tool, arguments)
            text = "\n".join(getattr(item, "text", "") for item in result.content)
            data: dict[str, Any] = result.structured_content or {}
            told = (json.dumps(arguments), text, json.dumps(data, separators=(",", ":"), ensure_ascii=False))
            self.calls.append(Call(self._step, tool, *told))
            assert not result.is_error, f"{tool}: {text}"
            if data.get("status") not in {"building", "working"}:
                return data


def steps(calls: list[Call], count: Callable[[list[str]], list[int]]) -> dict[str, dict[str, int]]:
    """{step: calls, tokens the model wrote, tokens it was shown as text, and those of the data}, in order."""
    found: dict[str, dict[str, int]] = {}
    wrote, text, data = (
        count([getattr(call, name) for call in calls]) for name in ("arguments", "text", "data")
    )
    for call, *tokens in zip(calls, wrote, text, data, strict=True):
        row = found.setdefault(call.step, {"calls": 0, "wrote": 0, "shown": 0, "data": 0})
        row["calls"] += 1
        for name, number in zip(("wrote", "shown", "data"), tokens, strict=True):
            row[name] += number
    return found
