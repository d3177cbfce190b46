"""What the facade tells of integrations: apps, their actions, accounts that are connected, and what a call gave."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model

Status = Literal["connected", "missing", "unhealthy", "not_required", "not_configured"]
Backend = Literal["native", "connect"]
"""native: carried out by the runtime itself, with the caller's own token. connect: by the Pipedream project."""


class App(Model):
    """An app. `auth`: how an account is connected. `weight`: how much it is used, more is more."""

    slug: str
    name: str
    description: str = ""
    words: str = ""
    auth: Literal["oauth", "keys", "none", ""] = ""
    weight: float = 0.0


class Prop(Model):
    """One field of an action. `options`: the values that it takes, where they are known; `remote`: the app tells them
    (`get_integration` with `prop`); `reloads`: what else there is depends on its value.
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
        """Whether a caller gives it: accounts and the broker's own services are put in for them."""
        return self.type not in {"app", "alert"} and not self.type.startswith("$.service")


class Action(Model):
    """What can be done in an app. `writes`: it may change something there."""

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
        """The props that a caller gives."""
        return [prop for prop in self.props if prop.is_field]


class Account(Model):
    """An account of the person's that is connected. `healthy` is false once its access has ended."""

    id: str
    app: str
    name: str = ""
    healthy: bool = True
    created_at: str = ""
    backend: Backend = "connect"


class Connection(Model):
    """Whether an app can be used. `message` says how it stands, `how` what to do; `env_var` declares it in a workflow."""

    app: str
    status: Status
    connected: bool
    env_var: str
    message: str
    how: str = ""
    accounts: tuple[Account, ...] = ()
    connect_link_url: str | None = Field(
        default=None, description="A page of this runtime; works for an hour."
    )


class Hit(Model):
    """An action that answers a search."""

    key: str
    app: str
    name: str
    writes: bool
    backend: Backend


class FoundActions(Model):
    """The best first. `apps` are those whose own name was asked for. `note` says what a reader should know of the list."""

    actions: tuple[Hit, ...] = ()
    apps: tuple[App, ...] = ()
    note: str = ""


class Option(Model):
    """A value that a field takes, and what people call it."""

    label: str
    value: Any


class Detail(Model):
    """An app: its actions, or the one that was asked for with its fields, or the values of one field."""

    app: str
    actions: tuple[Hit, ...] = ()
    total: int = 0
    action: Action | None = None
    dynamic_props_id: str | None = None
    options: tuple[Option, ...] = ()
    note: str = ""


class ActionOutcome(Model):
    """What an action gave: `ret` as the app returned it, `exports` with `$summary`, `os` what it logged."""

    action: str
    backend: Backend
    account: str | None = None
    summary: str = ""
    ret: Any = None
    exports: dict[str, Any] = Field(default_factory=dict)
    os: tuple[dict[str, Any], ...] = ()
    files: tuple[dict[str, Any], ...] = ()


def variable_of(app: str) -> str:
    """The variable by which a workflow declares that it uses the app."""
    return f"PIPEDREAM_{app.upper()}_ACCESS"
