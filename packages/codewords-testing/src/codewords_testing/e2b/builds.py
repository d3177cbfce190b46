"""Template builds: the steps are run, one after the other, in a machine; what it has changed is the template.

The image that a build starts from is this host: `fromImage` is noted and ignored.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from codewords_testing.e2b.cloud import ApiRefusal, Cloud
from codewords_testing.e2b.control import body_of, endpoint
from codewords_testing.e2b.errors import MachineFailed
from codewords_testing.e2b.machine import Layers
from codewords_testing.e2b.state import CloudTemplate, new_id, stamp

_PAGE = 100
_BUILDER_SECONDS = 900


@dataclass(slots=True)
class Build:
    """One build of a template, with its log."""

    id: str
    template: str
    names: list[str]
    cpu_count: int
    memory_mb: int
    status: Literal["waiting", "building", "ready", "error"] = "waiting"
    log: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    reason: str = ""
    request: dict[str, Any] = field(default_factory=dict[str, Any])

    def add_line(self, message: str) -> None:
        """Add a line."""
        self.log.append({"timestamp": stamp(time.time()), "message": message, "level": "info"})


class Builds:
    """All builds of a cloud, and the files that were uploaded for them."""

    def __init__(self, cloud: Cloud, url: str) -> None:
        self.all: dict[str, Build] = {}
        self._cloud = cloud
        self.url = url
        self._files = cloud.folder("uploads")
        self._files.mkdir()

    def file(self, digest: str) -> Path:
        """Path of an upload, which need not exist yet."""
        return self._files / f"{digest}.tar"

    def begin(self, body: dict[str, Any]) -> Build:
        """Note a build that will be triggered."""
        name, _, tag = str(body.get("name") or body.get("alias")).partition(":")
        more: list[str] = body.get("tags") or []
        tags = [*([tag] if tag else []), *more]
        names = [name, *(f"{name}:{tag}" for tag in tags)]
        # A name that is known means another build of the same template, whose id stays.
        known = self._cloud.templates.find(name)
        build = Build(
            new_id("b"), known.id if known else new_id("t"), names,
            int(body.get("cpuCount", 2)), int(body.get("memoryMB", 1024)),
        )  # fmt: skip
        self.all[build.id] = build

        return build

    async def run(self, build: Build) -> None:
        """Do the steps. What goes wrong is the build's status."""
        build.status = "building"
        base = build.request.get("fromTemplate")

        if base:
            parent = self._cloud.templates.find(base)
        else:
            parent = None

        # A template of its own, so that what the steps set does not reach the parent.
        builder = CloudTemplate(
            new_id("t"), [f"builder-{build.id}"], parent.layers if parent else Layers(),
            env=dict(parent.env) if parent else {}, cpu_count=build.cpu_count, memory_mb=build.memory_mb,
        )  # fmt: skip
        self._cloud.templates.add(builder)
        try:
            await self._steps(build, builder)
            build.status = "ready"
        except (MachineFailed, ApiRefusal) as error:
            build.reason = str(error)
            build.add_line(str(error))
            build.status = "error"
        finally:
            self._cloud.templates.remove(builder)

    async def _steps(self, build: Build, builder: CloudTemplate) -> None:
        cloud, request = self._cloud, build.request
        created = await cloud.create({"templateID": builder.id, "timeout": _BUILDER_SECONDS}, None)
        sandbox_id = created["sandboxID"]

        try:
            user, folder = "user", "/home/user"
            for step in request.get("steps", []):
                kind: str = step["type"]
                arguments: list[str] = step.get("args") or []
                if kind == "ENV":
                    # ENV has names and values in turns.
                    builder.env |= dict(zip(arguments[::2], arguments[1::2], strict=True))
                elif kind == "WORKDIR":
                    folder = arguments[0]
                elif kind == "USER":
                    # Only noted: every process of a machine runs as the user of this host.
                    user = arguments[0]
                elif kind == "RUN":
                    await self._command(build, sandbox_id, f"cd {shlex.quote(folder)} && {arguments[0]}")
                elif kind == "COPY":
                    await self._copy(build, sandbox_id, step, folder)

            build.add_line(f"Finished as {user}; taking the snapshot")
            made = await cloud.snapshot(sandbox_id, None)
            template = CloudTemplate(
                build.template, build.names, made.layers, request.get("startCmd") or "", request.get("readyCmd") or "",
                dict(builder.env), build.cpu_count, build.memory_mb,
            )  # fmt: skip
            # Its layers are the template's from here on; under its own name nobody may find it.
            cloud.templates.remove(made)
            await self._try(build, template)
        finally:
            await cloud.kill(sandbox_id)

    async def _try(self, build: Build, template: CloudTemplate) -> None:
        """A template whose start command does not get ready is no template."""
        self._cloud.templates.add(template)
        if template.start:
            build.add_line("Running start command")
            try:
                created = await self._cloud.create({"templateID": template.id, "timeout": 60}, None)
            except ApiRefusal as error:
                self._cloud.templates.remove(template)
                raise MachineFailed("start or ready command failed") from error
            # Only the proof counts: sandboxes boot by themselves.
            await self._cloud.kill(created["sandboxID"])

    async def _command(self, build: Build, sandbox_id: str, command: str) -> None:
        build.add_line(f"RUN {command}")
        out = self._files / f"log-{build.id}"
        sandbox = self._cloud.get(sandbox_id)
        status = await (await self._cloud.shell(sandbox, command, out))
        lines = await asyncio.to_thread(_read_and_remove, out)
        for line in lines:
            build.add_line(line)
        if status:
            last = lines[-1] if lines else "no output"
            raise MachineFailed(f"failed to run command '{command}': exit status {status}: {last}")

    async def _copy(self, build: Build, sandbox_id: str, step: dict[str, Any], folder: str) -> None:
        """Unpack what was uploaded to where it belongs: a folder's content into the folder, a file to its name."""
        source, target = step["args"][0], step["args"][1]
        upload = self.file(str(step["filesHash"]))
        if not upload.exists():
            raise MachineFailed(f"the files of '{source}' were not uploaded")

        build.add_line(f"COPY {source} {target}")
        # Not a folder of this host: the machine has a /tmp of its own.
        inside = f"/tmp/{upload.name}"  # noqa: S108
        sandbox = self._cloud.get(sandbox_id)
        # The machine's /tmp is a folder of this host.
        await asyncio.to_thread(_copy_file, upload, sandbox.machine.folder / "tmp" / upload.name)
        name, to = shlex.quote(source), shlex.quote(target)
        script = f"""set -e
            cd {shlex.quote(folder)}
            rm -rf /tmp/unpacked
            mkdir -p /tmp/unpacked "$(dirname {to})"
            tar -xf {inside} -C /tmp/unpacked
            if [ -d /tmp/unpacked/{name} ]; then mkdir -p {to}; cp -a /tmp/unpacked/{name}/. {to}/
            else case {to} in */) mkdir -p {to} ;; esac; cp -a /tmp/unpacked/{name} {to}; fi
            rm -rf /tmp/unpacked {inside}"""
        status = await (await self._cloud.shell(sandbox, script))
        if status:
            raise MachineFailed(f"failed to copy '{source}' to '{target}'")


def _read_and_remove(out: Path) -> list[str]:
    if out.exists():
        lines = out.read_text(encoding="utf-8", errors="replace").splitlines()
    else:
        lines = []
    out.unlink(missing_ok=True)
    return lines


def _copy_file(upload: Path, target: Path) -> None:
    target.write_bytes(upload.read_bytes())


def _builds(request: Request) -> Builds:
    return request.app.state.builds


@endpoint
async def begin(request: Request, _: Cloud) -> Response:
    """POST /v3/templates."""
    build = _builds(request).begin(await body_of(request))
    name, tags = build.names[0], [name.partition(":")[2] for name in build.names[1:]]
    reply = {
        "templateID": build.template, "buildID": build.id, "public": False, "names": [f"loopback/{name}"],
        "tags": tags, "aliases": [name],
    }  # fmt: skip
    return JSONResponse(reply, 202)


@endpoint
async def upload_link(request: Request, _: Cloud) -> Response:
    """GET /templates/{id}/files/{digest}."""
    digest = str(request.path_params["digest"])
    builds = _builds(request)
    # `present` spares the SDK an upload of files that are here already.
    return JSONResponse(
        {"present": builds.file(digest).exists(), "url": f"{builds.url}/uploads/{digest}"}, 201
    )


async def upload(request: Request) -> Response:
    """PUT /uploads/{digest}, without a key: the link is the secret."""
    data = await request.body()
    await asyncio.to_thread(_builds(request).file(str(request.path_params["digest"])).write_bytes, data)
    return Response()


@endpoint
async def trigger(request: Request, cloud: Cloud) -> Response:
    """POST /v2/templates/{id}/builds/{build}."""
    builds = _builds(request)
    build = _build(request)
    build.request = json.loads(await request.body())
    # The build goes on after the answer; the SDK asks for its status.
    cloud.background(builds.run(build))
    return Response(status_code=202)


def _build(request: Request) -> Build:
    build = _builds(request).all.get(str(request.path_params["build"]))
    if build is None:
        raise ApiRefusal(404, "Build not found")
    return build


@endpoint
async def status(request: Request, _: Cloud) -> Response:
    """GET /templates/{id}/builds/{build}/status."""
    build = _build(request)
    start = int(request.query_params.get("logsOffset", 0))
    entries = build.log[start : start + _PAGE]
    body: dict[str, Any] = {
        "logs": [entry["message"] for entry in entries], "logEntries": entries, "templateID": build.template,
        "buildID": build.id, "status": build.status,
    }  # fmt: skip
    if build.reason:
        body["reason"] = {"message": build.reason}
    return JSONResponse(body)


@endpoint
async def alias(request: Request, cloud: Cloud) -> Response:
    """GET /templates/aliases/{name}."""
    template = cloud.templates.find(str(request.path_params["name"]))
    if template is None:
        raise ApiRefusal(404, "template not found")
    return JSONResponse({"templateID": template.id, "public": False})


@endpoint
async def delete(request: Request, cloud: Cloud) -> Response:
    """DELETE /templates/{id}, for snapshots too."""
    template = cloud.templates.find(str(request.path_params["id"]))
    if template is None:
        raise ApiRefusal(404, "template not found")
    cloud.templates.remove(template)
    return Response(status_code=204)


ROUTES = [
    *(Route(path, begin, methods=["POST"]) for path in ("/v3/templates", "/v2/templates")),
    Route("/templates/aliases/{name}", alias),
    Route("/templates/{id}/files/{digest}", upload_link),
    Route("/uploads/{digest}", upload, methods=["PUT"]),
    Route("/v2/templates/{id}/builds/{build}", trigger, methods=["POST"]),
    Route("/templates/{id}/builds/{build}/status", status),
    Route("/templates/{id}", delete, methods=["DELETE"]),
]
