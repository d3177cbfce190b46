"""The file `codewords.toml` of a folder: its workflows with their schedules, triggers, permissions and configuration.

The JSON Schema of `ProjectFile` is published as `docs/reference/codewords.schema.json`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from codewords_mcp.runtime.model.base import published_schema
from codewords_mcp.runtime.model.manifest import Manifest, StoredSecret
from codewords_mcp.runtime.model.schedule import CatchUp, Overlap
from codewords_mcp.runtime.model.trigger import DEFAULT_CATCH_UP

PROJECT_FILE = "codewords.toml"
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MOST_WORKFLOWS = 200


class ProjectPart(BaseModel):
    """Base class of the tables of the file: strict, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _relative_file(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".py" or "\\" in value:
        raise ValueError(
            "it is the path of a Python file in this folder, with forward slashes, as in `hello.py`"
        )
    return str(path)


def _secret_name(value: str) -> str:
    if not _SECRET.fullmatch(value):
        raise ValueError("it is the name of a secret, and never its value")
    return value


class ProjectSchedule(ProjectPart):
    """A schedule: either `cron` or `at`, in `timezone`."""

    name: str = Field(default="", max_length=200, description="By which it is found again when it changes.")
    cron: str | None = Field(default=None, description='Five fields, as "0 9 * * MON-FRI", or "@daily".')
    at: str | None = Field(default=None, description='One time, as "2026-12-24T18:00".')
    timezone: str = Field(default="UTC", description="IANA name, as Europe/Berlin.")
    path: str = Field(default="/", description="Route of the workflow that its runs call.")
    method: str = Field(default="POST", description="HTTP method of its runs.")
    input: Any = Field(default=None, description="JSON body of its runs.")
    catch_up: CatchUp = Field(default="once", description="Missed times that are made up for.")
    overlap: Overlap = Field(
        default="skip", description="For a time that comes while the run before goes on."
    )
    jitter: float = Field(
        default=0.0, ge=0, strict=False, description="Seconds over which its runs are spread."
    )
    paused: bool | None = Field(
        default=None, description="Whether it starts nothing; without it, as it is at the runtime."
    )

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if (self.cron is None) == (self.at is None):
            raise ValueError("a schedule has either `cron` or `at`")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        """By which it is the same schedule as one at a runtime: its name, else its times and its route."""
        if self.name:
            return ("name", self.name)
        return (self.cron or self.at or "", self.timezone, self.method, self.path)


class ProjectTrigger(ProjectPart):
    """A webhook or an event source. `GET /triggers/kinds` lists the kinds with their options."""

    kind: str = Field(description="As the list of kinds has them; times of the clock are schedules.")
    name: str = Field(default="", max_length=200, description="By which it is found again when it changes.")
    path: str = Field(default="/", description="Route of the workflow that its runs call.")
    options: dict[str, Any] = Field(default_factory=dict[str, Any], description="Options of the kind.")
    interval_s: float | None = Field(
        default=None, strict=False, description="Seconds between two looks; the source's own without it."
    )
    catch_up: int = Field(
        default=DEFAULT_CATCH_UP, description="Events that are started of those that were missed."
    )
    paused: bool | None = Field(
        default=None, description="Whether it starts nothing; without it, as it is at the runtime."
    )

    @model_validator(mode="after")
    def _no_schedule(self) -> Self:
        if self.kind == "schedule":
            raise ValueError("times of the clock are written as `[[workflow.schedule]]`")
        return self


_Items = Annotated[tuple[str, ...], Field(strict=False)]


class ProjectPermissions(ProjectPart):
    """Permissions of the workflow as they were reviewed. A version that needs more is not pushed.

    The items are those of a manifest. A secret is its name, with `: host, host` where it is put in for these hosts only.
    """

    hosts: _Items = ()
    pages: _Items = ()
    addresses: _Items = ()
    models: _Items = ()
    services: _Items = ()
    recipients: _Items = ()
    browsers: _Items = ()
    workflows: _Items = ()
    schedules: _Items = ()
    actions: _Items = ()
    connections: _Items = ()
    secrets: _Items = ()
    packages: _Items = ()

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The permissions of a manifest."""
        plain = {name: getattr(manifest, name) for name in cls.model_fields if name != "secrets"}
        secrets = tuple(
            secret.name if secret.hosts is None else f"{secret.name}: {', '.join(secret.hosts)}"
            for secret in manifest.secrets
        )
        return cls(**plain, secrets=secrets)

    def manifest(self) -> Manifest:
        """The same as a manifest, for comparisons."""
        plain = {name: getattr(self, name) for name in type(self).model_fields if name != "secrets"}
        secrets: list[StoredSecret] = []
        for item in self.secrets:
            name, has_hosts, hosts = item.partition(":")
            if has_hosts:
                listed = tuple(host.strip() for host in hosts.split(","))
            else:
                listed = None
            secrets.append(StoredSecret(name=name.strip(), hosts=listed))
        return Manifest(**plain, secrets=tuple(secrets))


class ProjectWorkflow(ProjectPart):
    """A workflow of the folder. Without `id` it is found by its name, so that the folder fits several runtimes."""

    file: Annotated[str, AfterValidator(_relative_file)] = Field(
        description="Its Python file, below this folder."
    )
    id: str | None = Field(default=None, description="Its id at the one runtime that the folder is for.")
    name: str | None = Field(
        default=None, min_length=1, max_length=100, description="The file's name without it."
    )
    secrets: list[Annotated[str, AfterValidator(_secret_name)]] = Field(
        default_factory=list[str], description="Names of secrets that have to be there before a push."
    )
    permissions: ProjectPermissions | None = Field(
        default=None, description="What it may reach, as it was reviewed; a push of more stops."
    )
    config: dict[str, str | int | float | bool] | None = Field(
        default=None, description="Plain configuration values that its runs get as variables."
    )
    schedule: list[ProjectSchedule] = Field(default_factory=list[ProjectSchedule])
    trigger: list[ProjectTrigger] = Field(default_factory=list[ProjectTrigger])

    @property
    def title(self) -> str:
        """The workflow's name."""
        return self.name or PurePosixPath(self.file).stem

    @property
    def config_values(self) -> dict[str, str] | None:
        """The configuration as text, as variables have it; None where the file leaves it to the runtime."""
        if self.config is None:
            return None
        return {name: _as_text(value) for name, value in self.config.items()}


class ProjectFile(ProjectPart):
    """The whole file."""

    workflow: list[ProjectWorkflow] = Field(default_factory=list[ProjectWorkflow], max_length=_MOST_WORKFLOWS)


def _as_text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def project_schema() -> dict[str, Any]:
    """The JSON Schema of `codewords.toml`, as it is published."""
    description = "A folder of workflows: docs/guides/projects.md."
    return published_schema(ProjectFile.model_json_schema(), "codewords.toml", description)
