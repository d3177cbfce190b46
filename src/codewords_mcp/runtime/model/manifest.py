"""What a workflow may do, as a person reads it, agrees to it and has it enforced.

A manifest is derived from the code and its header (`workflows/reach/`), stored with each version, and held against
what the workflow does: hosts at the egress, services and workflows at their door.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from codewords_mcp.runtime.model import plain_text as plain
from codewords_mcp.runtime.model.service_operations import OPERATIONS, change_of, item_of, service_of

ANY = "*"
"""In place of an item: any of its kind."""
ANY_ACTION = "any app: any action (writes)"
OWN_CHROME = ("chrome_extension", "web_automation_agent")
"""Library services that act in a person's own Chrome, where one is paired: that is agreed to as such."""
PAGE_SERVICES = ("chrome_extension", "firecrawl", "web_automation_agent", "webpage_to_markdown")
"""Library services that go to addresses which a program gives: to hosts of the manifest, and to its `pages`."""
WITH_CREDENTIALS = {
    "firecrawl": "your FIRECRAWL_API_KEY",
    "github": "your GITHUB_TOKEN",
    "hunter": "your HUNTER_API_KEY",
    "pipedream": "the accounts that you connected",
    "reddit": "your REDDIT_CLIENT_ID",
    "redis_coordinator": "your REDIS_URL",
    "searchapi": "your SEARCHAPI_API_KEY",
    "send_email": "your SMTP_URL",
    "slack_trigger": "your SLACK_BOT_TOKEN",
    "user_login": "your SMTP_URL",
    "web_automation_agent": "your key of a model provider",
    "whatsapp_trigger": "your WHATSAPP_ACCESS_TOKEN",
}
"""Library services that act with a credential of the person who runs the workflow → which, as that person reads it."""
WORKFLOW_ID = re.compile(r"[a-z0-9_]+_[0-9a-f]{8}")
WIDTH = 200
"""Characters of a line; what does not fit is counted."""
NOTHING = "reaches nothing: no hosts, services, models, workflows or secrets"


_ACCOUNT = ": account"


def account_item(provider: str) -> str:
    """How a manifest lists the account at a model provider."""
    return f"{provider}{_ACCOUNT} (files, batches, models)"


class Grant(NamedTuple):
    """One thing that is asked for. kind: host, page, address, model, service, browser, workflow, schedule, action,
    connection, secret, package.

    `item` is what a person reads: a host or `*.` pattern, the name of a variable or service, `*` for any.
    """

    kind: str
    item: str


class StoredSecret(BaseModel):
    """A secret that the workflow gets. `hosts`: it is put in by the egress, for these only; None: a plain variable.

    `optional`: the variable has a default, and the secret takes its place where one is set.
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
    """What a version may do. Everything is sorted and without duplicates; `*` stands for any.

    `hosts`: names, addresses, or `*.example.com` for every name below. `pages`: the same, for library services that read
    pages (`PAGE_SERVICES`), beyond `hosts`. `addresses`: variables whose value names a host.
    `open_lines`: lines of the code whose address is only known when it runs. `services` are library services, or single
    operations of them (`github: search_code`); a service alone stands for all of its operations. `browsers` are those that
    act in the person's own Chrome, `actions` read `app: action (writes)`. `unread`: packages of which
    nobody can read here what they connect to. `packages` are those whose name or age makes them doubtful, with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    open_lines: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
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
        """Whether every host of the public internet may be reached."""
        return ANY in self.hosts

    @property
    def outdated(self) -> bool:
        """Whether it is of before people were asked about their own Chrome, and would ask for it now."""
        return not self.browsers and any(name in OWN_CHROME for name in self.service_names)

    @property
    def service_names(self) -> frozenset[str]:
        """The library services of which something may be called."""
        return frozenset(map(service_of, self.services))

    def may_call(self, name: str) -> bool:
        """Whether anything of this service, model provider or workflow may be called; `*` asks for any of its kind."""
        return self._lists(name) or name in self.service_names

    def may_operate(self, service: str, operation: str) -> bool:
        """Whether this operation of a library service may be called."""
        return item_of(service, operation) in self.services or self._lists(service)

    def _lists(self, name: str) -> bool:
        """Whether the service, model provider or workflow is listed as a whole."""
        if _ACCOUNT in name:  # never by "any service": it is named as such
            return name in self.models
        if ANY in self.services or name in self.services or name in self.models or name in self.workflows:
            return True
        if ANY in self.workflows and WORKFLOW_ID.fullmatch(name):
            return True
        return name == "schedule_runs" and bool(self.schedules)

    def may_act(self, app: str, action: str) -> bool:
        """Whether this action of an app may be used, both as they are called."""
        name = action.removeprefix(f"{app}-").removeprefix(f"{app}_").removeprefix(f"{app}/")[:60]
        said = {
            f"{one}: {do}"
            for one in (app, "any app")
            for do in (name, f"{name} (writes)", "any action (writes)")
        }
        return ANY in self.services or bool(said & set(self.actions))

    def grants(self) -> list[Grant]:
        """All that it asks for; empty where it reaches nothing."""
        kinds = {
            "host": self.hosts,
            "page": self.pages,
            "address": self.addresses,
            "model": self.models,
            "service": self.services,
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
        """What of this `before` did not allow."""
        return [grant for grant in self.grants() if not before.allows(grant, self)]

    def allows(self, grant: Grant, asked: Manifest) -> bool:
        """Whether `grant`, of the manifest `asked`, is within this one."""
        kind, item = grant
        if kind in {"host", "address"}:
            return self.any_host or (
                item in self.addresses if kind == "address" else covers(self.hosts, item)
            )
        if kind == "page":
            return self.any_host or covers((*self.hosts, *self.pages), item)
        if kind == "service":
            return item in self.services or self._lists(service_of(item))
        if kind in {"model", "workflow"}:
            return self._lists(item)
        if kind == "schedule":
            return bool(self.schedules) or self.may_call("schedule_runs")
        if kind == "action":
            return (
                ANY_ACTION in self.actions
                or item in self.actions
                or f"{item.partition(': ')[0]}: any action (writes)" in self.actions
            )
        if kind in {"browser", "connection", "package"}:
            return (
                item
                in {"browser": self.browsers, "connection": self.connections, "package": self.packages}[kind]
            )

        secret = next(one for one in asked.secrets if str(one) == item)
        return any(_holds_as_much(own, secret) for own in self.secrets if own.name == secret.name)

    def lines(self) -> list[str]:
        """The whole manifest in at most ten lines, each of a bounded length."""
        found = [_line(kind, items) for kind, items in _grouped(self.grants())]
        if self.open_lines and self.any_host:
            found = [
                line + f"; address made while it runs, {_numbers(self.open_lines)}"
                if line.startswith("hosts")
                else line
                for line in found
            ]

        if self.service_lines:
            found.append(
                f"{'any call':<12} the service is named while it runs, {_numbers(self.service_lines)}"
            )

        return found[:10] or [NOTHING]


def covers(patterns: Iterable[str], host: str) -> bool:
    """Whether a host, or a `*.` pattern of hosts, is among the patterns or below one of them."""
    known = frozenset(patterns)
    if host in known or ANY in known:
        return True
    above = host.removeprefix("*.")
    while "." in above:
        above = above.partition(".")[2]
        if f"*.{above}" in known:
            return True
    return False


def described(grants: Iterable[Grant]) -> list[str]:
    """Every one of these grants, none left out, one line a kind: what a person is asked to agree to."""
    return [_line(kind, items, whole=True) for kind, items in _asked(grants)]


def tabled(grants: Iterable[Grant]) -> list[tuple[str, list[str]]]:
    """The same as a table: what kind of thing, and each of it."""
    return [(_TITLES[kind], items) for kind, items in _asked(grants)]


def _asked(grants: Iterable[Grant]) -> list[tuple[str, list[str]]]:
    """Grouped by kind. A service that acts with a credential of the person says which."""
    return _grouped(list(grants), credentials=True)


_TITLES = {
    "host": "hosts",
    "page": "pages",
    "address": "hosts in",
    "model": "models",
    "service": "services",
    "browser": "your Chrome",
    "workflow": "workflows",
    "schedule": "schedules",
    "action": "actions",
    "connection": "accounts",
    "secret": "secrets",
    "package": "packages",
}
_ANY_ITEM = {
    "host": "any host of the internet",
    "page": "any page, read by a service",
    "model": "any model provider",
    "service": "any service or workflow",
    "workflow": "any workflow",
}


_IN_CHROME = "acts in your own Chrome, signed in as you, where it is paired"


def _grouped(grants: list[Grant], *, credentials: bool = False) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for kind, item in grants:
        if kind == "service":
            shown = _service(item, credentials=credentials)
        else:
            shown = _said(kind, item)
        found.setdefault(kind, []).append(shown)
    return list(found.items())


def _service(item: str, *, credentials: bool) -> str:
    """A library service or an operation of one, with what it changes and, if asked for, whose credential it uses."""
    if item == ANY:
        return _ANY_ITEM["service"]

    service = service_of(item)
    details = [change_of(item)]
    if credentials and service in WITH_CREDENTIALS:
        details.append(f"with {WITH_CREDENTIALS[service]}")
    details = [detail for detail in details if detail]

    if item in OPERATIONS:
        name = item_of(item, "any operation")
    else:
        name = item

    return plain.one_line(f"{name} ({', '.join(details)})" if details else name)


def _said(kind: str, item: str) -> str:
    """An item as a person reads it: what a program chose can be told from the question's own words."""
    if item == ANY:
        return _ANY_ITEM.get(kind, item)
    if kind == "browser":
        return f"{plain.item(item)} {_IN_CHROME}"
    if kind in _NAMED:
        return plain.item(item)
    return plain.one_line(item)


_NAMED = frozenset(("host", "page", "address", "model", "workflow", "connection"))
"""Kinds whose items are bare names of a program's choice; those of the others are sentences of ours around such names."""


def _line(kind: str, items: list[str], *, whole: bool = False) -> str:
    shown, size = 0, 0
    for item in items:
        size += len(item) + 2
        if size > WIDTH and shown and not whole:
            break
        shown += 1

    if shown < len(items):
        more = f" and {len(items) - shown} more"
    else:
        more = ""

    return f"{_TITLES[kind]:<12} {', '.join(items[:shown])}{more}"


def _numbers(lines: tuple[int, ...]) -> str:
    told = ", ".join(map(str, lines[:5])) + (" …" if len(lines) > 5 else "")
    if len(lines) == 1:
        return f"line {told}"
    return f"lines {told}"


def _holds_as_much(own: StoredSecret, asked: StoredSecret) -> bool:
    """Whether `asked` shows the workflow no more of the secret, and to no other host, than `own`."""
    if own.hosts is None:
        return True
    return asked.hosts is not None and all(covers(own.hosts, host) for host in asked.hosts)
