"""The runtime itself: liveness, status, keys and stopping."""

from __future__ import annotations

from typing import Literal

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp import __version__
from codewords_mcp.http.bodies import Body, page_query, query_flag, read_body
from codewords_mcp.http.operations import PAGE_PARAMETERS, HttpOperation, Parameter, page_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import AppState, app_state, caller, runtime
from codewords_mcp.mcp_server.toolsets import parse_toolsets
from codewords_mcp.runtime.model.caller import Scope
from codewords_mcp.runtime.model.key import KeyInfo


class KeyBody(Body):
    """`expires_in` is seconds; without it the key lives until it is revoked.

    `models` are names and patterns (`gpt-4o*`, `anthropic/*`) of the only models that it may ask, by itself and by its runs.
    `scopes` are all that it may do (`read`, `run`, `write`); `toolsets` all that it sees, and then over MCP only.
    `member` is the id or name of the member of the home that it belongs to, whose role limits it.
    """

    owner: str | None = None
    kind: Literal["admin", "user"] = "user"
    one_time: bool = False
    expires_in: float | None = None
    models: list[str] | None = None
    scopes: list[Scope] | None = None
    toolsets: list[str] | None = None
    member: str | None = None


class CreatedKey(KeyInfo):
    """A new key with its text, which is shown this once."""

    key: str


async def healthz(_request: Request) -> Response:
    """Liveness: no key, nothing private."""
    return JsonReply({"status": "ok", "version": __version__})


async def readyz(request: Request) -> Response:
    """Readiness: no key, and no details for who has none; `codewords doctor` and the log name the part."""
    ready = not await runtime(request.scope).status.problems()
    return JsonReply({"ready": ready}, status_code=200 if ready else 503)


async def status(request: Request) -> Response:
    """Describe the runtime, as `codewords status` and `codewords doctor` show it."""
    deep = query_flag(request, "deep", default=False)
    return JsonReply(await runtime(request.scope).status.describe(caller(request.scope), deep=deep))


async def create_key(request: Request) -> Response:
    """Make a key; its text is in this answer and nowhere else."""
    body = await read_body(request, KeyBody)
    text, info = await runtime(request.scope).keys.create(
        caller(request.scope),
        owner=body.owner,
        kind=body.kind,
        one_time=body.one_time,
        expires_in=body.expires_in,
        models=body.models,
        scopes=body.scopes,
        toolsets=None if body.toolsets is None else sorted(parse_toolsets(",".join(body.toolsets))),
        member=body.member,
    )
    return JsonReply(CreatedKey(key=text, **info.model_dump()), status_code=201)


async def list_keys(request: Request) -> Response:
    """Keys without their text."""
    return JsonReply(await runtime(request.scope).keys.page(caller(request.scope), **page_query(request)))


async def revoke_key(request: Request) -> Response:
    """The key is refused from now on."""
    await runtime(request.scope).keys.revoke(caller(request.scope), request.path_params["key_id"])
    return Response(status_code=204)


async def stop(request: Request) -> Response:
    """Answer, then ask the process to end."""
    reply = JsonReply({"stopping": True}, status_code=202)
    # After the response: the process could otherwise end before the client reads it.
    reply.background = BackgroundTask(_stop, app_state(request.scope))
    return reply


class ResumeBody(Body):
    """`cancel_waiting`: what waited in the backup is cancelled, and not carried out."""

    cancel_waiting: bool = False


async def resume(request: Request) -> Response:
    """Let a home that was restored from a backup start runs by itself again."""
    body = await read_body(request, ResumeBody)
    resumed = await runtime(request.scope).status.resume(
        caller(request.scope), cancel_waiting=body.cancel_waiting
    )
    return JsonReply({"resumed": resumed})


async def _stop(parts: AppState) -> None:
    # A coroutine, since a plain function would be called in a thread, where the server's loop must not be touched.
    parts.on_stop()


OPERATIONS = [
    HttpOperation(
        "GET", "/healthz", "Liveness", healthz, tag="runtime",
        reply={"type": "object", "properties": {"status": {"type": "string"}, "version": {"type": "string"}}},
    ),
    HttpOperation(
        "GET", "/readyz", "Readiness", readyz, tag="runtime",
        description="503 while the database or the sandbox driver is not ready. Answers within seconds.",
        reply={"type": "object", "required": ["ready"], "properties": {"ready": {"type": "boolean"}}},
    ),
    HttpOperation("GET", "/status", "What works here and what doesn't", status, tag="runtime", reply={"type": "object"},
        parameters=(Parameter("deep", "Read all files of environments for damage.", {"type": "boolean"}),),
    ),
    HttpOperation(
        "GET", "/keys", "List keys, oldest first", list_keys, tag="keys",
        reply=page_of(KeyInfo), parameters=PAGE_PARAMETERS,
    ),
    HttpOperation("POST", "/keys", "Make a key", create_key, tag="keys", body=KeyBody, reply=CreatedKey, status=201),
    HttpOperation("DELETE", "/keys/{key_id}", "Revoke a key", revoke_key, tag="keys", status=204),
    HttpOperation(
        "POST", "/resume", "Go on after a restore", resume, tag="runtime", body=ResumeBody,
        description="A restored home starts with its schedules, triggers and waiting runs paused.",
        reply={"type": "object", "required": ["resumed"], "properties": {"resumed": {"type": "boolean"}}},
    ),
    HttpOperation(
        "POST", "/stop", "End the runtime", stop, tag="runtime", status=202,
        reply={"type": "object", "properties": {"stopping": {"type": "boolean"}}},
    ),
]  # fmt: skip
