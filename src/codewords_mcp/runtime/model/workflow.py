"""Workflows, their versions and deployments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.forecast import Forecast
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run import Run, RunStatus
from codewords_mcp.runtime.model.validation import Check


class DeployChanges(Model):
    """The difference of a deployed version to `version`, which was live before.

    `code` is the drawn difference (`code_difference`). `permissions` begin with "+" for what it may do in addition, and
    with "-" for what it may not do any more. `behaviour` are lines of the replays of recorded runs and of recorded tests,
    `cost` what a run of these cost before and now; "" where none was replayed.
    """

    version: int
    code: str = ""
    lines_added: int = 0
    lines_removed: int = 0
    permissions: list[str] = Field(default_factory=list[str])
    behaviour: list[str] = Field(default_factory=list[str])
    cost: str = ""


class DraftReview(Model):
    """Review of a draft before its deploy. `version` is the number that it would get of `service_id`, None for a new workflow.

    `changed` is false if the code is live already. `changes`: beside the live version; None for a new workflow. `asks` are
    the permissions and the behaviour that a person would have to agree to.
    """

    revision: int
    service_id: str | None = None
    name: str
    version: int
    changed: bool = True
    changes: DeployChanges | None = None
    capabilities: list[str] = Field(default_factory=list[str])
    asks: list[str] = Field(default_factory=list[str])
    notes: list[Check] = Field(default_factory=list[Check])


class TriggerInput(Model):
    """An input that a trigger will send to a route."""

    method: str = "POST"
    path: str = "/"
    data: Any = None


class CodeReview(Model):
    """Review of code before its deploy. `version` is the live one of `service_id`, 0 for a new workflow.

    `changed` is false if the code is live already. `manifest` is what the new version may reach, `capabilities` the same in
    lines. `permissions` and `behaviour` are what a person would have to agree to: what the version may do in addition, and
    what it does in replays and recorded tests. `key_agrees`: whether the caller's key vouches for a person's consent; if it
    does not, only an answer on the question's page `url` lets it be deployed, and `answer` is that answer. `misfits`: why the
    version refuses each of the inputs that were asked about, null where it takes it.
    """

    service_id: str | None = None
    name: str
    version: int
    changed: bool = True
    changes: DeployChanges | None = None
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
    permissions: list[str] = Field(default_factory=list[str])
    behaviour: list[str] = Field(default_factory=list[str])
    notes: list[Check] = Field(default_factory=list[Check])
    key_agrees: bool = True
    url: str | None = None
    answer: Literal["agreed", "declined"] | None = None
    misfits: list[str | None] = Field(default_factory=list[str | None])


class Deployment(Model):
    """The live version of a workflow. `version` counts from 1; `version_id` names this immutable
    version.

    `changed` is false if the code was already live and nothing was done. `isolation` is the sandbox
    tier. `capabilities`: the permissions in lines for a person; `manifest`: the same as data, None
    for a version without one. `availability`: the lifetime of the address. `forecast`: what its runs cost, None without a run.
    `changes`: beside the version before; None for a new workflow, and where nothing was done.
    """

    service_id: str
    name: str
    version: int
    version_id: str
    url: str
    description: str = ""
    public: bool = False
    created_at: datetime
    changed: bool = True
    isolation: str
    notes: list[Check] = Field(default_factory=list[Check])
    timings_ms: dict[str, float] = Field(default_factory=dict[str, float])
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
    availability: Availability | None = None
    forecast: Forecast | None = None
    changes: DeployChanges | None = None


class WorkflowConfig(Model):
    """Plain configuration values of a workflow by variable. `notes`: which of them reach no run, and why."""

    values: dict[str, str]
    notes: list[str] = Field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's consent to a version's permissions. `allow`: consent to all. `confirm`: the token
    of one question.

    `by_person`: the caller vouches that a person approved this token (CLI, HTTP). If false, the
    approval must be recorded on the consent page. `asker` names the origin of the request in the
    question. `gallery`: consent to a new workflow that is a template of the gallery as it stands, whose
    code no model wrote. `way` is the way of an `allow` in the audit trail; "" where that is no person's
    answer of its own: they agreed to the call before, or make it by their own key.
    """

    allow: bool = False
    confirm: str | None = None
    by_person: bool = False
    asker: str = ""
    gallery: bool = False
    way: Literal["", "allow", "gallery"] = "allow"


class WorkflowSummary(Model):
    """One item of a list.

    `services`: the library services and model providers that its live version may call, `apps` the apps whose accounts
    it uses, by all of their names.
    """

    service_id: str
    name: str
    version: int
    url: str
    description: str = ""
    updated_at: datetime
    services: list[str] = Field(default_factory=list[str])
    apps: list[str] = Field(default_factory=list[str])


class RecentRun(Model):
    """One of the last runs of a workflow, as its mark in a list needs it."""

    id: str
    status: RunStatus


class ListedWorkflow(WorkflowSummary):
    """The same with its last runs, the newest first, and how many schedules it has; None where they were not asked for."""

    recent: list[RecentRun] | None = None
    schedules: int | None = None


class Version(Model):
    """An immutable version of a workflow.

    `deployed_by`: the key, the chat host by its own name, or the console; null for versions from before this was kept.
    """

    version: int
    version_id: str
    created_at: datetime
    active: bool
    description: str = ""
    deployed_by: str | None = None


class WorkflowDetail(Model):
    """A workflow with its routes, versions and last runs; `code` on request only.

    `capabilities` and `manifest` are as in `Deployment`, for the version shown. `example` is an
    input to try it with: `given` with the version, by its header or its draft, or `derived` from
    its schema; `expect` are fields of its answer that the header declares.
    `docs` is the path of the app's own documentation, None where it has none.
    `env` has `name`, `default`, `required`, and `provided` where the runtime sets it.
    `published_by` is its owner where that is somebody else, who made it public: then code, versions, variables and example are
    left out, and it is shown as it runs for the caller.
    `public`: others of this runtime may run it; `template`: its category among its owner's templates, None where it is none.
    `tried`: how the version was tried at its deploy, by replays of recorded runs and recorded tests, and how the replays ended
    that went on after it.
    """

    service_id: str
    name: str
    description: str
    url: str
    version: int
    routes: list[dict[str, Any]]
    docs: str | None = "/docs"
    env: list[dict[str, Any]]
    dependencies: list[str]
    versions: list[Version]
    last_runs: list[Run] = Field(default_factory=list[Run])
    code: str | None = None
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
    example: Any = None
    example_from: Literal["given", "derived"] | None = None
    expect: list[str] = Field(default_factory=list[str])
    tried: list[Check] = Field(default_factory=list[Check])
    published_by: str | None = None
    public: bool = False
    template: str | None = None
