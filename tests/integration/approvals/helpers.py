"""A workflow that asks and waits, and the person who answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.integration.recording.resume_ground import ResumeGround
from tests.integration.runtime.helpers import deployed, serving
from tests.support.background_runs import with_options
from tests.support.counting_host import counting_host
from tests.support.http_runtime import Door
from tests.support.resumable_runs import resumable
from tests.support.runtime import ADMIN, make_home, open_runtime, until_run, workflow
from tests.support.waiting import until, until_async

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.run_wait import ApprovalInfo, PersonAnswer

SERVICES = 'services = ["approvals", "wait"]'
SUSPENDED = ("queued", "answer")
YES = PersonAnswer("approve", {}, "a test")


# The program sees its address only when it runs; what it waits for is in its input.
_WAITS_FOR_REQUEST = """
import os, httpx

@app.post("/")
async def act(body: dict):
    async with httpx.AsyncClient(timeout=60, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        client.headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
        made = (await client.post("/run/wait/", json={"new_webhook": True} | body.get("new", {}))).json()
        print("ADDRESS", made["url"], flush=True)
        if body.get("first"):
            await client.post("/run/wait/", json={"seconds": body["first"]})
        waited = await client.post("/run/wait/", json={"for_webhook": made["id"]} | body.get("for", {}))
        again = await client.post("/run/wait/", json={"for_webhook": made["id"]})
    return {"made": made, "waited": waited.json(), "again": again.json() == waited.json()}
"""
WAITS_FOR_REQUEST = with_options(workflow(_WAITS_FOR_REQUEST, title="Hooked"), 'services = ["wait"]')
"""A workflow that makes an address and waits for a request to it; its header lists the service, so that its runs keep a journal."""


@asynccontextmanager
async def approval_ground(tmp_path: Path, *, grace: float, **settings: Any) -> AsyncGenerator[ResumeGround]:
    """Open a runtime whose workflow asks, in a new home or the one that is there.

    Runs that wait give their sandboxes back after `grace` seconds.
    """
    home = tmp_path / "home"
    if not home.exists():
        make_home(home)
    with counting_host() as host:
        allowed = [f"127.0.0.1:{host.port}"]
        async with (
            open_runtime(home, egress_allow_private=allowed, waiting_grace=grace, **settings) as runtime,
            serving(runtime),
        ):
            yield ResumeGround(runtime, await deployed(runtime, asking()), host)


def asking(title: str = "Asking", *, notifies: bool = False) -> str:
    """The script of a workflow that may ask, and send its questions to anyone; its header asks for no retries."""
    code = resumable("0", SERVICES, title=title)
    return code.replace('@app.post("/")', 'MAY_HAVE = "notify"\n\n@app.post("/")') if notifies else code


def ask(title: str = "Go on?", **more: Any) -> list[Any]:
    """A call that asks a person."""
    return ["POST", "/run/approvals/", {"title": title, **more}]


def wait(**data: Any) -> list[Any]:
    """A call that waits for a time."""
    return ["POST", "/run/wait/", data]


async def question(runtime: Runtime, run_id: str) -> ApprovalInfo:
    """The question of a run, as soon as it is asked."""

    async def first() -> ApprovalInfo | None:
        found = await runtime.approvals.of_run(ADMIN, run_id)
        return found[0] if found else None

    found = await until_async(first, f"a question of {run_id}")
    assert found is not None
    return found


async def suspended(runtime: Runtime, run_id: str) -> ApprovalInfo:
    """The question of a run, as soon as the run has given its sandbox back."""
    await until_run(
        runtime, run_id, lambda run: run.status == "queued" and run.waits_for in {"answer", "wait"}
    )
    return await question(runtime, run_id)


def deploy_over(door: Door, code: str, name: str = "Asking") -> str:
    """Deploy a workflow over the API; its id."""
    with door.client() as http:
        reply = http.post("/deploy", json={"code": code, "name": name, "allow": True}, timeout=300)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["service_id"])


def start_asking(http: httpx.Client, service: str, **more: Any) -> str:
    """Start a run that asks a person, over the API; its id."""
    steps = {"steps": [[ask(**more)]]}
    return str(http.post(f"/run_async/{service}/", json=steps).json()["request_id"])


def asked_over(http: httpx.Client, run_id: str) -> dict[str, Any]:
    """The question of a run, as the API shows it."""

    def first() -> dict[str, Any]:
        found = http.get(f"/runs/{run_id}/approvals").json()["items"]
        return found[0] if found else {}

    return until(first, f"a question of {run_id}")


def address(http: httpx.Client, run_id: str) -> str:
    """The path of a run's address, as soon as its log has it."""

    def look() -> str:
        text = http.get(f"/logs/{run_id}", params={"follow": "false"}).text
        return (
            text.partition("/webhook/")[2].split('"')[0].split("\\")[0].split()[0]
            if "/webhook/" in text
            else ""
        )

    return "/webhook/" + until(look, "the address")
