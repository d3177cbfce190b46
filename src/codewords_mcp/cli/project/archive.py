"""One workflow with what belongs to it in a file: written from one runtime, read into another, whatever their databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._refs import part
from codewords_mcp.cli.project.archived_recordings import (
    ArchivedRecording,
    export_recordings,
    import_recordings,
)
from codewords_mcp.cli.project.live import LiveWorkflow, id_of, read_live, read_version, secret_names
from codewords_mcp.cli.project.plan import plan_parts
from codewords_mcp.cli.project.pull import schedule_entry, trigger_entry
from codewords_mcp.cli.project.push import push_schedule, push_trigger
from codewords_mcp.cli.project.workflow_plan import PlannedChange
from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import Conflict, InvalidInput
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.project import ProjectPart, ProjectSchedule, ProjectTrigger, ProjectWorkflow

FORMAT = "codewords-workflow/1"
_MAX_BYTES = 256 << 20
Deploy = Callable[[Json], Json]
"""Deploys a body of `POST /deploy`, and asks a person where that is needed."""


class ArchivedVersion(ProjectPart):
    """A version: its number at the runtime that it came from, and its code."""

    version: int
    code: str
    description: str = ""


class ArchivedTool(ProjectPart):
    """A published tool of the workflow."""

    tool: str
    toolset: str
    path: str
    read_only: bool = False


class WorkflowArchive(ProjectPart):
    """The whole file. `secrets` are names that its live version uses, never values. `live` is the number of that version.

    `template` is its category among templates, None where it is none.
    """

    format: Literal["codewords-workflow/1"]
    name: str
    live: int
    versions: list[ArchivedVersion] = Field(min_length=1, max_length=10_000)
    schedules: list[ProjectSchedule] = Field(default_factory=list[ProjectSchedule])
    triggers: list[ProjectTrigger] = Field(default_factory=list[ProjectTrigger])
    config: dict[str, str] = Field(default_factory=dict[str, str])
    tools: list[ArchivedTool] = Field(default_factory=list[ArchivedTool])
    secrets: list[str] = Field(default_factory=list[str])
    public: bool = False
    template: str | None = None
    recordings: list[ArchivedRecording] = Field(default_factory=list[ArchivedRecording])


@dataclass(slots=True)
class ImportedWorkflow:
    """The outcome of an import. `left_out` are versions that do not pass the checks here, `missing` names of secrets."""

    service_id: str
    version: int
    left_out: list[int] = field(default_factory=list[int])
    missing: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    """Sentences on recordings that were left out."""


def export_workflow(
    client: RuntimeClient, workflow_id: str, file: Path, recordings: int = 0
) -> WorkflowArchive:
    """Write a workflow into a file, with its latest `recordings` and its tests where that is not 0.

    Raises InvalidInput where the file cannot be written, NotFound.
    """
    live = read_live(client, workflow_id)
    detail = client.record("GET", f"/workflows/{part(workflow_id)}")
    versions = [
        ArchivedVersion(version=one["version"], code=code, description=one.get("description") or "")
        for one in sorted(detail["versions"], key=_number)
        if (code := read_version(client, workflow_id, one["version"])) is not None
    ]
    tools = [
        ArchivedTool(tool=one["tool"], toolset=one["toolset"], path=one["path"], read_only=one["read_only"])
        for one in client.items("/published")
        if one["workflow_id"] == workflow_id
    ]
    archive = WorkflowArchive(
        format=FORMAT,
        name=live.name,
        live=live.version,
        versions=versions,
        schedules=[
            ProjectSchedule.model_validate(schedule_entry(one))
            for one in live.schedules
            # A single time that is over is no longer known, and starts nothing.
            if one["cron"] or one["next_at"]
        ],
        triggers=[ProjectTrigger.model_validate(trigger_entry(one)) for one in live.triggers],
        config=live.config,
        tools=tools,
        secrets=[secret.name for secret in (live.manifest or Manifest()).secrets],
        public=bool(detail.get("public")),
        template=detail.get("template"),
        recordings=export_recordings(client, workflow_id, recordings) if recordings else [],
    )
    text = json.dumps(archive.model_dump(mode="json", exclude_none=True), ensure_ascii=False, indent=1)
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error
    return archive


def _number(version: Json) -> int:
    return int(version["version"])


def read_archive(file: Path) -> WorkflowArchive:
    """Read an exported file. Raises InvalidInput for another one."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InvalidInput(f"{file} is larger than an exported workflow can be.")
        return WorkflowArchive.model_validate(parse(file.read_bytes()))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(key)[:60] for key in fault["loc"])
        raise InvalidInput(f"{file} is no exported workflow: `{place}`: {fault['msg']}.") from None
    except ValueError:
        raise InvalidInput(f"{file} is no exported workflow: it is not JSON.") from None


def import_archive(
    client: RuntimeClient, archive: WorkflowArchive, name: str, deploy: Deploy
) -> ImportedWorkflow:
    """Make the workflow with its versions, configuration, schedules, triggers and tools. An import that broke off goes on.

    Raises Conflict where another workflow has the name, and what a deploy raises for the live version.
    """
    found = id_of(client, name)
    # Versions that are there from an import that broke off are told by their code: numbers differ by runtime.
    done = _deployed(client, found, archive) if found else []
    imported = ImportedWorkflow(found or "", 0)
    numbers: dict[str, int] = dict(done)
    for version in archive.versions[_next(done, archive) :]:
        body: Json = {
            "code": version.code,
            "name": name,
            "replay": False,
            "tests": False,
            # With each version, since its checks start it with these values.
            "config": archive.config,
        }
        if archive.public:
            body["public"] = True
        if version.description:
            body["description"] = version.description
        if imported.service_id:
            body["service_id"] = imported.service_id
        try:
            deployment = deploy(body)
        except RemoteError as error:
            # The live version is the reason for the import. Without an earlier one the workflow still works.
            if error.code != "validation_failed" or version.version == archive.live:
                raise
            imported.left_out.append(version.version)
            continue
        imported.service_id = str(deployment["service_id"])
        numbers[version.code] = int(deployment["version"])

    _set_live(client, imported, archive, numbers)
    _add_parts(client, imported.service_id, archive)
    here = {one.version: numbers[one.code] for one in archive.versions if one.code in numbers}
    imported.notes = import_recordings(client, imported.service_id, archive.recordings, here)
    imported.missing = sorted(set(archive.secrets) - secret_names(client) - set(archive.config))
    return imported


def _deployed(client: RuntimeClient, workflow_id: str, archive: WorkflowArchive) -> list[tuple[str, int]]:
    """Codes and numbers of the versions that an earlier import made. Raises Conflict for any other workflow."""
    detail = client.record("GET", f"/workflows/{part(workflow_id)}")
    codes = {version.code for version in archive.versions}
    found: list[tuple[str, int]] = []
    for one in sorted(detail["versions"], key=_number):
        code = read_version(client, workflow_id, one["version"]) or ""
        if code not in codes:
            raise Conflict(
                f"Another workflow of yours is called {archive.name}.", hint="Import it under another --name."
            )
        found.append((code, int(one["version"])))
    return found


def _next(done: list[tuple[str, int]], archive: WorkflowArchive) -> int:
    """The position of the first version of the archive that is not there yet."""
    if not done:
        return 0
    codes = [version.code for version in archive.versions]
    # Codes may repeat: the last place of the newest one, so that nothing is made twice.
    return len(codes) - codes[::-1].index(done[-1][0])


def _set_live(
    client: RuntimeClient, imported: ImportedWorkflow, archive: WorkflowArchive, numbers: dict[str, int]
) -> None:
    code = next(version.code for version in archive.versions if version.version == archive.live)
    imported.version = numbers[code]
    # Each deploy makes its version live, so an older live version of the archive is rolled back to.
    live = read_live(client, imported.service_id)
    if live.version != imported.version:
        path = f"/workflows/{part(imported.service_id)}/rollback"
        client.call("POST", path, body={"version": imported.version})


def _add_parts(client: RuntimeClient, service_id: str, archive: WorkflowArchive) -> None:
    """Add the schedules, triggers and tools that are not there yet."""
    live = read_live(client, service_id)
    for change in _missing_parts(archive, live):
        if change.subject == "schedule":
            push_schedule(client, service_id, change)
        else:
            push_trigger(client, service_id, change)
    if archive.config and live.config != archive.config:
        client.call("PUT", f"/workflows/{part(service_id)}/config", body={"values": archive.config})

    if archive.template is not None:
        path = f"/workflows/{part(service_id)}/template"
        client.call("PUT", path, body={"category": archive.template})

    published = {str(one["tool"]) for one in client.items("/published") if one["workflow_id"] == service_id}
    for tool in archive.tools:
        if tool.tool not in published:
            body = tool.model_dump(mode="json")
            client.call("POST", f"/workflows/{part(service_id)}/publish", body=body)


def _missing_parts(archive: WorkflowArchive, live: LiveWorkflow) -> list[PlannedChange]:
    declared = ProjectWorkflow(
        file="main.py", name=archive.name, schedule=archive.schedules, trigger=archive.triggers
    )
    return [change for change in plan_parts(declared, live) if change.action == "add"]
