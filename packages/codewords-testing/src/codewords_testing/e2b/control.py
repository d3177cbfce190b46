"""The control plane: what `api.e2b.app` answers about sandboxes and snapshots. Old and new routes, since SDKs differ."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from codewords_testing.e2b.cloud import ApiRefusal, Cloud
from codewords_testing.e2b.state import CloudSandbox, CloudTemplate

Endpoint = Callable[[Request], Awaitable[Response]]
_PAGE = 100
_BAD_KEY = "Invalid API key, please visit https://e2b.dev/docs/api-key for more information."


def endpoint(call: Callable[[Request, Cloud], Awaitable[Response]]) -> Endpoint:
    """With a key, and refusals as the API's errors."""

    async def handle(request: Request) -> Response:
        cloud: Cloud = request.app.state.cloud
        # Without a key of its own the cloud takes any, as long as there is one.
        key, expected = request.headers.get("x-api-key"), cloud.options.api_key
        if not key or (expected is not None and key != expected):
            return JSONResponse({"code": 401, "message": _BAD_KEY}, 401)
        try:
            return await call(request, cloud)
        except ApiRefusal as refusal:
            return JSONResponse(refusal.body, refusal.status)

    return handle


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object; empty where there is none."""
    return json.loads(await request.body() or b"{}")


def _id(request: Request) -> str:
    return str(request.path_params["id"])


@endpoint
async def create(request: Request, cloud: Cloud) -> Response:
    """POST /v2/sandboxes."""
    reply = await cloud.create(await body_of(request), request.headers.get("idempotency-key"))
    return JSONResponse(reply, 201)


@endpoint
async def listing(request: Request, cloud: Cloud) -> Response:
    """GET /v2/sandboxes, by state, metadata and template, in pages."""
    query = request.query_params
    # SDKs encode metadata twice; Starlette has decoded the query string once.
    pairs = urllib.parse.parse_qsl(query.get("metadata", ""))
    requested = {urllib.parse.unquote(key): urllib.parse.unquote(value) for key, value in pairs}
    states = [state for value in query.getlist("state") for state in value.split(",")] or [
        "running",
        "paused",
    ]
    found = [
        sandbox
        for sandbox in cloud.sandboxes.values()
        if sandbox.state in states
        and all(sandbox.metadata.get(key) == value for key, value in requested.items())
        and query.get("template") in (None, sandbox.template.id, *sandbox.template.names)
    ]
    # Newest first, unless asked otherwise.
    found.sort(key=_started, reverse=query.get("order") != "asc")
    start, limit = int(query.get("nextToken", 0)), min(_PAGE, int(query.get("limit", _PAGE)))

    if len(found) > start + limit:
        more = {"x-next-token": str(start + limit)}
    else:
        more = {}

    page = [sandbox.listed() for sandbox in found[start : start + limit]]
    return JSONResponse(page, headers=more)


def _started(sandbox: CloudSandbox) -> float:
    return sandbox.started_at


@endpoint
async def get(request: Request, cloud: Cloud) -> Response:
    """GET /sandboxes/{id}."""
    return JSONResponse(cloud.get(_id(request)).detail(cloud.options.domain))


@endpoint
async def kill(request: Request, cloud: Cloud) -> Response:
    """DELETE /sandboxes/{id}."""
    await cloud.kill(_id(request))
    return Response(status_code=204)


@endpoint
async def connect(request: Request, cloud: Cloud) -> Response:
    """POST /v2/sandboxes/{id}/connect."""
    requested = await body_of(request)
    status, reply = cloud.connect(_id(request), float(requested.get("timeout", 300)))
    return JSONResponse(reply, status)


@endpoint
async def set_timeout(request: Request, cloud: Cloud) -> Response:
    """POST /sandboxes/{id}/timeout."""
    cloud.set_timeout(_id(request), float((await body_of(request))["timeout"]))
    return Response(status_code=204)


@endpoint
async def pause(request: Request, cloud: Cloud) -> Response:
    """POST /sandboxes/{id}/pause."""
    cloud.pause(_id(request))
    return Response(status_code=204)


@endpoint
async def network(request: Request, cloud: Cloud) -> Response:
    """PUT /sandboxes/{id}/network."""
    cloud.update_network(_id(request), await body_of(request))
    return Response(status_code=204)


@endpoint
async def metrics(request: Request, cloud: Cloud) -> Response:
    """GET /sandboxes/{id}/metrics: one point, of now."""
    template = cloud.get(_id(request)).template
    # Clients look at the shape: no machine is measured.
    point = {
        "timestamp": datetime.now(UTC).isoformat(),
        "timestampUnix": int(time.time()),
        "cpuCount": template.cpu_count,
        "cpuUsedPct": 1.5,
        "memUsed": 64 << 20,
        "memTotal": template.memory_mb << 20,
        "memCache": 0,
        "diskUsed": 1 << 30,
        "diskTotal": 10 << 30,
    }
    return JSONResponse([point])


def _snapshot(template: CloudTemplate) -> dict[str, Any]:
    return {"snapshotID": template.id, "names": template.names}


@endpoint
async def snapshot(request: Request, cloud: Cloud) -> Response:
    """POST /sandboxes/{id}/snapshots."""
    requested = await body_of(request)
    return JSONResponse(_snapshot(await cloud.snapshot(_id(request), requested.get("name"))), 201)


@endpoint
async def snapshots(request: Request, cloud: Cloud) -> Response:
    """GET /snapshots, by sandbox and name, in pages."""
    query = request.query_params
    sandbox, name = query.get("sandboxID"), query.get("name")
    found = [
        snapshot
        for snapshot in cloud.templates.snapshots()
        if sandbox in (None, snapshot.source) and (name is None or name in (snapshot.id, *snapshot.names))
    ]
    start, limit = int(query.get("nextToken", 0)), min(_PAGE, int(query.get("limit", _PAGE)))

    if len(found) > start + limit:
        more = {"x-next-token": str(start + limit)}
    else:
        more = {}

    return JSONResponse([_snapshot(snapshot) for snapshot in found[start : start + limit]], headers=more)


ROUTES = [
    *(Route(path, create, methods=["POST"]) for path in ("/v2/sandboxes", "/sandboxes")),
    Route("/v2/sandboxes", listing),
    Route("/sandboxes/{id}", get),
    Route("/sandboxes/{id}", kill, methods=["DELETE"]),
    *(
        Route(path, connect, methods=["POST"])
        for path in ("/v2/sandboxes/{id}/connect", "/sandboxes/{id}/connect")
    ),
    Route("/sandboxes/{id}/timeout", set_timeout, methods=["POST"]),
    Route("/sandboxes/{id}/pause", pause, methods=["POST"]),
    Route("/sandboxes/{id}/network", network, methods=["PUT"]),
    Route("/sandboxes/{id}/metrics", metrics),
    Route("/sandboxes/{id}/snapshots", snapshot, methods=["POST"]),
    Route("/snapshots", snapshots),
]
