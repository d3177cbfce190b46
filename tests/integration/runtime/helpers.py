"""A workflow that does with its key whatever its input says, on a runtime that its sandbox reaches.

Imports of the runtime are in the functions that need it: the attacks need the workflow only, in five processes.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.support.runtime import ADMIN, ALLOWED, fetch, workflow
from tests.support.waiting import until_async

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.schedule import Schedule

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

ANN, BEN = Caller("ann", "user"), Caller("ben", "user")
_ACTS = """
import httpx, os

@app.post("/")
async def act(request: Request):
    asked = await request.json()
    read = {name: os.environ.get(name) for name in asked.get("read", [])}
    replies = []
    async with httpx.AsyncClient(timeout=60) as c:
        make = getattr(c, "".join(["build", "_", "request"]))  # so that nobody can read what is called
        for call in asked.get("calls", []):
            method, path, data, headers = (call + [None, None])[:4]
            url = os.environ["CODEWORDS_RUNTIME_URI"] + path
            auth = {"Authorization": os.environ["CODEWORDS_API_KEY"], **(headers or {})}
            reply = await c.send(make(method, url, json=data, headers=auth))
            replies.append([reply.status_code, reply.text])
    return {"read": read, "replies": replies, "caller": request.headers.get("codewords-caller-id")}
"""


def acting(tool: str = "", *, env: tuple[str, ...] = (), title: str = "Acts", more: str = "") -> str:
    """The script. `tool` are lines of [tool.codewords]; what it calls cannot be read from its code, and is nothing without."""
    tool += "" if "services" in tool else "services = []\n"
    code = workflow(_ACTS + more, env=env, title=title)
    lines = "".join(f"# {line}\n" for line in ["[tool.codewords]", *tool.splitlines()])
    return code.replace("# ///\nfrom fastapi", f"{lines}# ///\nfrom fastapi", 1)


@asynccontextmanager
async def serving(runtime: Runtime) -> AsyncGenerator[None]:
    """The HTTP door of this runtime, for calls of its sandboxes."""
    import uvicorn

    from codewords_mcp.http.app import create_app

    listener = socket.create_server(("127.0.0.1", 0))
    runtime.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(runtime, runtime.settings, None, on_stop=lambda: None)
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


async def deployed(runtime: Runtime, code: str, *, caller: Caller = ADMIN, **more: Any) -> str:
    """Deploy as this caller, who agrees; the id."""
    return (await runtime.workflows.deploy(caller, code=code, consent=ALLOWED, **more)).service_id


async def act(
    runtime: Runtime,
    service_id: str,
    *calls: list[Any],
    caller: Caller = ADMIN,
    read: tuple[str, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """What a run saw that made these calls, [method, path, data, headers], with its key; `id` is the run's.

    Replies are (status, the answer as JSON where it is that).
    """
    status, body, run_id = await fetch(
        runtime, service_id, {"calls": calls, "read": read}, caller=caller, **more
    )
    assert status == 200, body
    found = json.loads(body)
    found["replies"] = [(status, _json(text)) for status, text in found["replies"]]
    return found | {"id": run_id}


def code_of(reply: tuple[int, Any]) -> str:
    """The code of an error, "" where the call passed."""
    return reply[1]["error"]["code"] if reply[0] >= 400 else ""


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def come(runtime: Runtime, schedule: Schedule, *, ago: int = 1_000_000) -> None:
    """Its next time has come, so many µs ago."""
    from codewords_mcp.runtime.store import schedules as rows
    from codewords_mcp.runtime.store.clock import now

    container = runtime._container  # pyright: ignore[reportPrivateUsage]  # no clock of ours can be moved from outside
    await container.database.write(lambda c: rows.change(c, schedule.id, {"next_at": now() - ago}))
    container.scheduler.wake()


async def started(runtime: Runtime, schedule: Schedule, *, after: str | None = None) -> str:
    """The id of the run that it starts, another than `after`."""

    async def newest() -> str | None:
        run_id = (await runtime.schedules.get(ADMIN, schedule.id)).last_run_id
        return None if run_id == after else run_id

    run_id = await until_async(newest)
    assert run_id is not None
    return run_id
