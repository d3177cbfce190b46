"""The permissions that a manifest holds, one by one, and their text for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from codewords_mcp.runtime.model import plain_text as plain
from codewords_mcp.runtime.model.service_operations import (
    OPERATIONS,
    change_of,
    item_of,
    service_of,
)
from codewords_mcp.runtime.model.service_table import SERVICES

ANY = "*"
"""The item that stands for any item of its kind."""
_WORKS_WITHOUT = frozenset({"your REDIS_URL", "your SMTP_URL"})
"""Credentials without which a service does its work in the home: a consent must not say that they are there."""
WITH_CREDENTIALS = {
    name: credential + ", if it is set" * (credential in _WORKS_WITHOUT)
    for name, credential in SERVICES.items()
    if credential
}
"""Library services that use a credential of the person who runs the workflow → its name for that
person.
"""
WIDTH = 200
"""Maximum characters of a line. Items that do not fit are counted."""


class Grant(NamedTuple):
    """One permission. kind: host, page, address, model, service, recipient, browser, workflow,
    schedule, action, connection, secret, package.

    `item` is the text for a person: a host or `*.` pattern, the name of a variable or service, `*`
    for any.
    """

    kind: str
    item: str


def describe_grants(grants: Iterable[Grant]) -> list[str]:
    """The text of a consent question: one line for each kind, and no permission left out."""
    return [kind_line(kind, items, whole=True) for kind, items in _by_kind(grants)]


def tabulate_grants(grants: Iterable[Grant]) -> list[tuple[str, list[str]]]:
    """The same as a table of (kind, items)."""
    return [(_TITLES[kind], items) for kind, items in _by_kind(grants)]


def _by_kind(grants: Iterable[Grant]) -> list[tuple[str, list[str]]]:
    """Items grouped by kind. A service that acts with a credential of the person names the
    credential.
    """
    return grouped(list(grants), credentials=True)


_TITLES = {
    "host": "hosts",
    "page": "pages",
    "address": "hosts in",
    "model": "models",
    "service": "services",
    "recipient": "asks",
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
    "recipient": "anyone, by e-mail, Slack or WhatsApp",
    "workflow": "any workflow",
}
_IN_CHROME = "acts in your own Chrome, signed in as you, where it is paired"


def grouped(grants: list[Grant], *, credentials: bool = False) -> list[tuple[str, list[str]]]:
    """The texts of permissions by kind; with `credentials` those that services act with are named."""
    by_kind: dict[str, list[str]] = {}
    for kind, item in grants:
        if kind == "service":
            text = _service(item, credentials=credentials)
        else:
            text = _item_text(kind, item)
        by_kind.setdefault(kind, []).append(text)
    return list(by_kind.items())


def _service(item: str, *, credentials: bool) -> str:
    """A library service or operation, its effect and, with `credentials`, the credential that it
    uses.
    """
    if item == ANY:
        return _ANY_ITEM["service"]

    service = service_of(item)
    details = [change_of(item)]
    if credentials and service in WITH_CREDENTIALS:
        details.append(f"with {WITH_CREDENTIALS[service]}")
    details = [detail for detail in (*details, _KEEPS.get(service, "")) if detail]

    if item in OPERATIONS:
        name = item_of(item, "any operation")
    else:
        name = item

    return plain.one_line(f"{name} ({', '.join(details)})" if details else name)


_KEEPS = {"database": "keeps its own database"}
"""State that a service keeps for a workflow, in the words of a consent."""


def _item_text(kind: str, item: str) -> str:
    """The text of an item for a person. Names chosen by a program are set apart from the question's
    own text.
    """
    if kind == "recipient" and item != ANY:
        channel, _, target = item.partition(" ")
        return f"{'anyone' if target == ANY else plain.item(target)} by {channel}"
    if item == ANY:
        return _ANY_ITEM.get(kind, item)
    if kind == "browser":
        return f"{plain.item(item)} {_IN_CHROME}"
    if kind in _NAMED:
        return plain.item(item)
    return plain.one_line(item)


_NAMED = frozenset(("host", "page", "address", "model", "workflow", "connection"))
"""Kinds whose items are bare names chosen by a program. Items of the other kinds are sentences of
ours that contain such names.
"""


def kind_line(kind: str, items: list[str], *, whole: bool = False) -> str:
    """The items of a kind as a line of bounded length; with `whole` none is left out."""
    count, size = 0, 0
    for item in items:
        size += len(item) + 2
        if size > WIDTH and count and not whole:
            break
        count += 1

    if count < len(items):
        more = f" and {len(items) - count} more"
    else:
        more = ""

    return f"{_TITLES[kind]:<12} {', '.join(items[:count])}{more}"


def numbered(lines: tuple[int, ...]) -> str:
    """The numbers of these lines of code, in a few words."""
    numbers = ", ".join(map(str, lines[:5])) + (" …" if len(lines) > 5 else "")
    if len(lines) == 1:
        return f"line {numbers}"
    return f"lines {numbers}"
