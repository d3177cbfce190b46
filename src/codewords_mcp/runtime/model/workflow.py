"""Workflows, their versions and deployments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.validation import Check


class Deployment(Model):
    """A workflow as it is served now. `version` counts from 1; `version_id` names this immutable version.

    `changed` is false when the code was already live and nothing was done. `isolation` is the sandbox tier.
    `capabilities` is what it may do, in lines for a person; `manifest` the same as data, None for a version of before.
    `availability` says whether the address lasts.
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


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's yes to what a version may do. `allow`: to all of it. `confirm`: the token of one certain question.

    `by_person`: whoever calls answers for a person having said yes to that token; else the page has to have it.
    `asker`: who asks, as the question tells it.
    """

    allow: bool = False
    confirm: str | None = None
    by_person: bool = False
    asker: str = ""


class WorkflowSummary(Model):
    """One line of a list."""

    service_id: str
    name: str
    version: int
    url: str
    description: str = ""
    updated_at: datetime


class Version(Model):
    """An immutable version of a workflow."""

    version: int
    version_id: str
    created_at: datetime
    active: bool
    description: str = ""


class WorkflowDetail(Model):
    """A workflow with its routes, versions and last runs; `code` only when asked for.

    `capabilities` and `manifest` are as in `Deployment`, of the version that is shown. `example` is an input to try it
    with: `given` with the version, by its header or its draft, or `derived` from its schema.
    """

    service_id: str
    name: str
    description: str
    url: str
    version: int
    routes: list[dict[str, Any]]
    env: list[dict[str, Any]]
    dependencies: list[str]
    versions: list[Version]
    last_runs: list[Run] = Field(default_factory=list[Run])
    code: str | None = None
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
    example: Any = None
    example_from: Literal["given", "derived"] | None = None
