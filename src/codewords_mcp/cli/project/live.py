"""Read from a runtime what is live of a project's workflows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient, pages
from codewords_mcp.cli._refs import part
from codewords_mcp.cli.project.file import FolderWorkflow
from codewords_mcp.cli.project.history import last_pushed
from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.model.manifest import Manifest

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class LiveWorkflow:
    """A deployed workflow with everything that a project's file says of it.

    Schedules and webhooks that runs of it made are left out: they are the program's.
    """

    id: str
    name: str
    version: int
    code: str
    manifest: Manifest | None
    schedules: list[Json] = field(default_factory=list[Json])
    triggers: list[Json] = field(default_factory=list[Json])
    config: dict[str, str] = field(default_factory=dict[str, str])
    deployed_at: str = ""
    """The time of its live version, as the runtime writes it."""


def find_live(client: RuntimeClient, workflow: FolderWorkflow) -> LiveWorkflow | None:
    """The workflow that a file is deployed as; None for one that would be new.

    It is the one of the file's `id`, else the one of its name, else the one that the file was pushed as last. Raises NotFound
    for an `id` that the runtime does not have.
    """
    declared = workflow.declared
    if declared.id is not None:
        try:
            return read_live(client, declared.id)
        except RemoteError as error:
            if error.code != "not_found":
                raise
            raise NotFound(
                f"{declared.file}: the runtime has no workflow {declared.id}.",
                hint="Take the `id` out of codewords.toml, so that the workflow is found by its name or made anew.",
            ) from error

    known = last_pushed(workflow.path)
    by_name = id_of(client, declared.title)
    # A workflow that was renamed in the file is still the one that the file was pushed as.
    for workflow_id in (by_name, known and known.workflow):
        if workflow_id is None:
            continue
        try:
            return read_live(client, workflow_id)
        except RemoteError as error:
            if error.code != "not_found":
                raise
    return None


def id_of(client: RuntimeClient, name: str) -> str | None:
    """The id of the workflow of this name; None without one."""
    # The query finds names that contain the text, so equality is checked here.
    found = pages(client, "/workflows", {"query": name[:100]}, _MOST)
    return next((str(item["service_id"]) for item in found if item["name"] == name), None)


def list_live(client: RuntimeClient) -> list[Json]:
    """All workflows of the owner, as `GET /workflows` lists them."""
    return pages(client, "/workflows", {}, _MOST)


def read_live(client: RuntimeClient, workflow_id: str) -> LiveWorkflow:
    """Read one workflow. Raises RemoteError, `not_found` also for another owner's."""
    path = f"/workflows/{part(workflow_id)}"
    detail = client.record("GET", path, params={"code": 1})
    if detail.get("published_by"):
        raise RemoteError(404, {"code": "not_found", "message": f"{workflow_id} is another owner's."})

    of_workflow = {"service_id": workflow_id}
    triggers = pages(client, "/triggers", of_workflow, _MOST)
    manifest = detail.get("manifest")
    return LiveWorkflow(
        id=workflow_id,
        name=str(detail["name"]),
        version=int(detail["version"]),
        code=str(detail["code"]),
        manifest=Manifest.model_validate(manifest) if manifest else None,
        schedules=[
            one["schedule"] for one in triggers if one.get("schedule") and not one["schedule"].get("maker")
        ],
        triggers=[one for one in triggers if not one.get("schedule") and not _made_by_run(one)],
        config=dict(client.record("GET", f"{path}/config")["values"]),
        deployed_at=next((str(one["created_at"]) for one in detail["versions"] if one["active"]), ""),
    )


def _made_by_run(trigger: Json) -> bool:
    webhook: Json | None = trigger.get("webhook")
    return webhook is not None and webhook.get("maker") is not None


def read_version(client: RuntimeClient, workflow_id: str, version: int) -> str | None:
    """The code of a version; None where it is gone."""
    try:
        detail = client.record(
            "GET", f"/workflows/{part(workflow_id)}", params={"code": 1, "version": version}
        )
    except RemoteError as error:
        if error.code != "not_found":
            raise
        return None
    return str(detail["code"])


def secret_names(client: RuntimeClient) -> set[str]:
    """The names of the secrets that have a value."""
    return {str(secret["name"]) for secret in client.items("/secrets")}


def moment(text: Any) -> datetime | None:
    """A time of a record; None where it has none."""
    if not text:
        return None
    return datetime.fromisoformat(str(text))
