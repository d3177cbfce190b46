"""Permissions of a workflow: a person reads them, consents to them, and the runtime enforces them.

A manifest is derived from the code and its header (`workflows/analysis/`) and stored with each
version. The egress proxy checks hosts against it, the service routes check services and workflows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from codewords_mcp.runtime.model.grants import ANY, Grant, grouped, kind_line, numbered
from codewords_mcp.runtime.model.provider import OWN_PROVIDERS
from codewords_mcp.runtime.model.recipients import allows_recipient
from codewords_mcp.runtime.model.service_operations import (
    item_of,
    service_of,
)

ANY_ACTION = "any app: any action (writes)"
ANY_TOOL = "any MCP server: any tool (may write)"
OWN_CHROME = ("chrome_extension", "web_automation_agent")
"""Library services that act in a person's own Chrome if one is paired. Consent to them says so."""
PAGE_SERVICES = ("chrome_extension", "firecrawl", "web_automation_agent", "webpage_to_markdown")
"""Library services that open addresses chosen by the program. They are limited to `hosts` and
`pages` of the manifest.
"""
WORKFLOW_ID = re.compile(r"[a-z0-9_]+_[0-9a-f]{8}")
NOTHING = "reaches nothing: no hosts, services, models, workflows or secrets"


_ACCOUNT = ": account"
MODELS = ": models"
"""End of the item for a named provider's models."""


_TOOL = " (may write)"


def tool_item(server: str, tool: str) -> str:
    """The manifest's item for a tool of an MCP server; without a name, for any tool of it.

    What a tool really does is the server's own word, so each may write.
    """
    return f"{server}: {tool or 'any tool'}{_TOOL}"


def account_item(provider: str) -> str:
    """The manifest's item for the account at a model provider."""
    return f"{provider}{_ACCOUNT} (files, batches, models)"


def models_item(provider: str) -> str:
    """The manifest's item for the models of a provider.

    A named provider has words after its name, so that no service or workflow can be meant by it.
    """
    if provider in OWN_PROVIDERS:
        return provider
    return f"{provider}{MODELS}"


class StoredSecret(BaseModel):
    """A secret that the workflow gets. `hosts`: the egress proxy inserts the value, for these hosts
    only; None: a plain variable.

    `optional`: the variable has a default, which a stored secret replaces.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    hosts: tuple[str, ...] | None = None
    optional: bool = False

    def __str__(self) -> str:
        if self.optional:
            name = f"{self.name}, if it is set"
        else:
            name = self.name
        if self.hosts is None:
            return f"{name} (plain: the code can read it)"
        return f"{name} (never seen by the code: put in for {' and '.join(self.hosts)} only)"


class Manifest(BaseModel):
    """Permissions of a version. All fields are sorted and without duplicates; `*` stands for any.

    `hosts`: names, addresses, or `*.example.com` for every name below. `pages`: the same, for
    library services that read pages (`PAGE_SERVICES`), beyond `hosts`. `addresses`: variables whose
    value names a host. `open_lines`: lines of the code whose address is only known at run time.
    `services`: library services, or single operations of them (`github: search_code`); a service
    alone includes all of its operations. `recipients`: people to whom questions are sent, as
    `model/recipients.py` names them. `browsers`: services that act in the person's own Chrome.
    `actions` read `app: action (writes)`, tools of MCP servers `mcp_server: tool (may write)`.
    `unread`: packages whose connections can't be determined from their code.
    `packages`: those with a doubtful name or age, with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    open_lines: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    browsers: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    service_lines: tuple[int, ...] = ()
    schedules: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    secrets: tuple[StoredSecret, ...] = ()
    unread: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def any_host(self) -> bool:
        """Whether every host of the public internet is allowed."""
        return ANY in self.hosts

    @property
    def outdated(self) -> bool:
        """Whether the manifest lacks the permission for a person's own Chrome, because it is older
        than that permission.
        """
        return not self.browsers and any(name in OWN_CHROME for name in self.service_names)

    @property
    def service_names(self) -> frozenset[str]:
        """Names of the library services with at least one allowed operation."""
        return frozenset(map(service_of, self.services))

    def may_call(self, name: str) -> bool:
        """Whether anything of this service, model provider or workflow may be called; `*` means any
        of its kind.
        """
        return self._lists(name) or name in self.service_names

    def may_operate(self, service: str, operation: str) -> bool:
        """Whether this operation of a library service may be called."""
        return item_of(service, operation) in self.services or self._lists(service)

    def _lists(self, name: str) -> bool:
        """Whether the service, model provider or workflow is listed as a whole."""
        # an account is listed by name: "any service" does not include it
        if _ACCOUNT in name:
            return name in self.models
        if ANY in self.services or name in self.services or name in self.models or name in self.workflows:
            return True
        if ANY in self.workflows and WORKFLOW_ID.fullmatch(name):
            return True
        return name == "schedule_runs" and bool(self.schedules)

    def may_act(self, app: str, action: str) -> bool:
        """Whether this action of an app may be used, both as they are called."""
        name = action.removeprefix(f"{app}-").removeprefix(f"{app}_").removeprefix(f"{app}/")[:60]
        accepted = {
            f"{listed_app}: {listed_action}"
            for listed_app in (app, "any app")
            for listed_action in (name, f"{name} (writes)", "any action (writes)")
        }
        return ANY in self.services or bool(accepted & set(self.actions))

    def may_ask(self, recipient: str) -> bool:
        """Whether a question may be sent to this recipient, named as an item."""
        return ANY in self.services or allows_recipient(self.recipients, recipient)

    def may_use_tool(self, server: str, tool: str) -> bool:
        """Whether this tool of an MCP server may be called. `server` is its name among integrations."""
        return ANY in self.services or not {
            tool_item(server, tool),
            tool_item(server, ""),
            ANY_TOOL,
        }.isdisjoint(self.actions)

    def grants(self) -> list[Grant]:
        """All permissions as a list. Empty if the workflow reaches nothing."""
        kinds = {
            "host": self.hosts,
            "page": self.pages,
            "address": self.addresses,
            "model": self.models,
            "service": self.services,
            "recipient": self.recipients,
            "browser": self.browsers,
            "workflow": self.workflows,
            "schedule": self.schedules,
            "action": self.actions,
            "connection": self.connections,
            "secret": tuple(map(str, self.secrets)),
            "package": self.packages,
        }
        return [Grant(kind, item) for kind, items in kinds.items() for item in items]

    def widens(self, before: Manifest) -> list[Grant]:
        """The permissions that `before` does not include."""
        return [grant for grant in self.grants() if not before.allows(grant, self)]

    def allows(self, grant: Grant, new: Manifest) -> bool:
        """Whether this manifest includes `grant`, a permission of the manifest `new`."""
        kind, item = grant
        if kind in {"host", "address"}:
            return self.any_host or (
                item in self.addresses if kind == "address" else covers(self.hosts, item)
            )
        if kind == "page":
            return self.any_host or covers((*self.hosts, *self.pages), item)
        if kind == "service":
            return item in self.services or self._lists(service_of(item))
        if kind == "recipient":
            return self.may_ask(item)
        if kind in {"model", "workflow"}:
            return self._lists(item)
        if kind == "schedule":
            return bool(self.schedules) or self.may_call("schedule_runs")
        if kind == "action" and item.endswith(_TOOL):
            whole = f"{item.partition(': ')[0]}: any tool{_TOOL}"
            return not {item, whole, ANY_TOOL}.isdisjoint(self.actions)
        if kind == "action":
            return (
                ANY_ACTION in self.actions
                or item in self.actions
                or f"{item.partition(': ')[0]}: any action (writes)" in self.actions
            )
        if kind in {"browser", "connection", "package"}:
            by_kind = {"browser": self.browsers, "connection": self.connections, "package": self.packages}
            return item in by_kind[kind]

        # A grant has only the text of a secret, and the text does not say what exposes more.
        added = next(secret for secret in new.secrets if str(secret) == item)
        return any(_exposes_no_more(added, own) for own in self.secrets if own.name == added.name)

    def lines(self) -> list[str]:
        """The whole manifest in at most ten lines of bounded length."""
        result = [kind_line(kind, items) for kind, items in grouped(self.grants())]
        if self.open_lines and self.any_host:
            result = [
                line + f"; address made while it runs, {numbered(self.open_lines)}"
                if line.startswith("hosts")
                else line
                for line in result
            ]

        if self.service_lines:
            result.append(
                f"{'any call':<12} the service is named while it runs, {numbered(self.service_lines)}"
            )

        return result[:10] or [NOTHING]


def covers(patterns: Iterable[str], host: str) -> bool:
    """Whether a host, or a `*.` pattern of hosts, matches one of the patterns."""
    known = frozenset(patterns)
    if host in known or ANY in known:
        return True
    above = host.removeprefix("*.")
    while "." in above:
        above = above.partition(".")[2]
        if f"*.{above}" in known:
            return True
    return False


def _exposes_no_more(new: StoredSecret, own: StoredSecret) -> bool:
    """Whether `new` exposes the secret to the code and to hosts no more than `own` does."""
    if own.hosts is None:
        return True
    return new.hosts is not None and all(covers(own.hosts, host) for host in new.hosts)
