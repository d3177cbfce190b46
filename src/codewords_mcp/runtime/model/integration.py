"""Data models of integrations: apps, their actions, connected accounts and results of actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.model.base import Model

Status = Literal["connected", "missing", "unhealthy", "not_required", "not_configured"]
Backend = Literal["native", "connect", "mcp"]
"""native: executed by the runtime with the caller's own token. connect: executed by the Pipedream
project. mcp: executed by an MCP server that the caller connected.
"""


class App(Model):
    """An app. `auth`: the method of connecting an account. `weight`: popularity, more is more."""

    slug: str
    name: str
    description: str = ""
    words: str = ""
    auth: Literal["oauth", "keys", "none", ""] = ""
    weight: float = 0.0


class Prop(Model):
    """One field of an action. `options`: its allowed values, if they are known. `remote`: the app
    lists the values (`get_integration` with `prop`). `reloads`: the other fields depend on its
    value.
    """

    name: str
    type: str = "string"
    label: str = ""
    description: str = ""
    required: bool = False
    default: Any = None
    options: tuple[Any, ...] = ()
    remote: bool = False
    reloads: bool = False
    secret: bool = False
    with_label: bool = False
    app: str | None = None

    @property
    def is_field(self) -> bool:
        """Whether a caller sets it. The broker sets accounts and its own services."""
        return self.type not in {"app", "alert"} and not self.type.startswith("$.service")


class Action(Model):
    """An action of an app. `writes`: it may change something there."""

    key: str
    app: str
    name: str
    description: str = ""
    version: str = ""
    writes: bool = True
    backend: Backend = "connect"
    stash: bool = False
    props: tuple[Prop, ...] = ()

    @property
    def fields(self) -> list[Prop]:
        """The props that a caller sets."""
        return [prop for prop in self.props if prop.is_field]


class AppUser(Model):
    """A workflow that uses an app. `triggers`: what starts it, in words."""

    workflow_id: str
    name: str
    triggers: tuple[str, ...] = ()


class Account(Model):
    """A connected account of the person. `healthy` is false after its access ended. `used_by`: the workflows that may use it."""

    id: str
    app: str
    name: str = ""
    healthy: bool = True
    created_at: str = ""
    backend: Backend = "connect"
    used_by: tuple[AppUser, ...] = ()


class Connection(Model):
    """The state of an app's connection. `message` describes it, `how` says what to do; `env_var`
    declares the app in a workflow.
    """

    app: str
    status: Status
    connected: bool
    env_var: str
    message: str
    how: str = ""
    remedy: Remedy | None = None
    accounts: tuple[Account, ...] = ()
    connect_link_url: str | None = Field(
        default=None, description="A page of this runtime; works for an hour."
    )


class Hit(Model):
    """An action that matches a search."""

    key: str
    app: str
    name: str
    writes: bool
    backend: Backend


class FoundActions(Model):
    """Matches, the best first. `apps`: apps whose own name matched. `note`: a remark on the list
    for the reader.
    """

    actions: tuple[Hit, ...] = ()
    apps: tuple[App, ...] = ()
    note: str = ""


class Option(Model):
    """A value of a field, and its label for people."""

    label: str
    value: Any


class Detail(Model):
    """An app with its actions, or one action with its fields, or the values of one field. `about`: the app itself."""

    app: str
    about: App | None = None
    actions: tuple[Hit, ...] = ()
    total: int = 0
    action: Action | None = None
    dynamic_props_id: str | None = None
    options: tuple[Option, ...] = ()
    note: str = ""


class ActionOutcome(Model):
    """The result of an action: `ret` as the app returned it, `exports` with `$summary`, `os` its
    log output.
    """

    action: str
    backend: Backend
    account: str | None = None
    summary: str = ""
    ret: Any = None
    exports: dict[str, Any] = Field(default_factory=dict)
    os: tuple[dict[str, Any], ...] = ()
    files: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class AppEventChoice:
    """An event of an app as a person names it. `event` is its key, or words; without `account` the newest healthy one."""

    app: str
    event: str
    props: dict[str, Any]
    account: str | None = None


@dataclass(frozen=True, slots=True)
class EmittedEvent:
    """An event of a deployed trigger. `at_ms` is in milliseconds since 1970, `data` the app's own."""

    id: str
    at_ms: int
    summary: str
    data: JsonValue


@dataclass(frozen=True, slots=True)
class AppResponse:
    """A response of an app's API. `headers` have lower-case names; `body` is its JSON."""

    status: int
    headers: Mapping[str, str]
    body: JsonValue


def variable_of(app: str) -> str:
    """The variable by which a workflow declares that it uses the app."""
    return f"PIPEDREAM_{app.upper()}_ACCESS"
