"""Operations of library services that the calls name."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from codewords_mcp.runtime.model.service_operations import (
    OPERATIONS,
    declared_item,
    find_by_beginning,
    find_operation,
    item_of,
    service_of,
)
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.analysis.values import Text


class Operations:
    """The operations that were read, and the calls whose operation could not be read."""

    def __init__(self) -> None:
        self._items: set[str] = set()
        self._open: dict[str, int] = {}
        """Service → the first line that calls an operation of it which is not known."""

    def add(self, service: str, path: Text, line: int) -> None:
        """Count a call of a service at this path."""
        if service not in OPERATIONS:
            return

        whole = path.constant
        if whole is None:
            # A path with a hole still names its operation if only one begins like this.
            operation = find_by_beginning(service, path.start)
        else:
            operation = find_operation(service, whole)

        if operation is None:
            self.add_unknown(service, line)
        else:
            self._items.add(item_of(service, operation.name))

    def add_unknown(self, service: str, line: int) -> None:
        """Count a call of a service whose path cannot be read."""
        if service in OPERATIONS:
            self._open[service] = min(line, self._open.get(service, line))

    def items(self, services: Iterable[str], declared: frozenset[str]) -> set[str]:
        """The items of a manifest for these services. `declared`: the `services` of the header.

        Operations in the header stand for those that cannot be read.
        """
        declared_items = {item for name in declared if (item := declared_item(name))}
        found: set[str] = set()

        for service in services:
            closed = {item for item in declared_items if service_of(item) == service}
            named = {item for item in self._items if service_of(item) == service} | closed

            # Without a name for each call the whole service is asked for; a list in the header
            # stands in for the calls that can't be read.
            is_whole = service in declared or not named or (service in self._open and not closed)
            found |= {service} if is_whole else named

        return found

    def notes(self, items: Iterable[str], declared: frozenset[str]) -> list[Check]:
        """A note for each service that is asked for as a whole because a call does not name its operation."""
        whole = {item for item in items if item in self._open and item not in declared}
        return [_unknown(service, self._open[service]) for service in sorted(whole)]


def expands(call: ast.Call) -> bool:
    """Whether a call has `*arguments` or `**keywords`, which may contain anything."""
    return any(isinstance(argument, ast.Starred) for argument in call.args) or any(
        keyword.arg is None for keyword in call.keywords
    )


def _unknown(service: str, line: int) -> Check:
    example = item_of(service, OPERATIONS[service][0].name)
    return Check(
        id="reach",
        status="note",
        line=line,
        message=f"The code does not say which operation of `{service}` it calls, so the workflow asks for all of them.",
        fix=f'Name the operation as text in `path`, or list it. Under # [tool.codewords]: # services = ["{example}"]',
    )
