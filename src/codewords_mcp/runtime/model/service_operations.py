"""Operations of library services by name, for modules that must not import the services themselves.

The table is generated from the services (`service_table.py`). A manifest names an operation as `github: search_code`.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model import service_table
from codewords_mcp.runtime.model.service_table import Change


class ServiceOperation(NamedTuple):
    """One operation: the paths that call it, and its effect. The first path is its name."""

    name: str
    paths: tuple[str, ...]
    change: Change = ""


class ReadingInput(NamedTuple):
    """Bodies with which an operation that may write only reads: `names` are of a field that has one of `values`; without
    them, a body has `known` fields only.
    """

    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    def has(self, body: JsonObject) -> bool:
        """Whether a call with this body only reads."""
        if not self.names:
            return set(body) <= set(self.known)
        sent = [body[name] for name in self.names if name in body]
        # A body may have several names of the field, and which one counts is up to the service.
        return bool(sent) and all(value in self.values for value in sent)


def operation_name(paths: tuple[str, ...]) -> str:
    """The name of the operation with these paths: the first that is not empty, else "call"."""
    return next((path for path in paths if path), "call")


OPERATIONS: Final = {
    name: tuple(ServiceOperation(*row) for row in rows) for name, rows in service_table.OPERATIONS.items()
}
"""Services with several operations. A service with a single one is named as a whole."""


READING_INPUTS: Final = {item: ReadingInput(*row) for item, row in service_table.READING_INPUTS.items()}
"""Of operations that may write, by service, or by item where it has several."""


def only_reads(service: str, path: str, body: JsonObject | None) -> bool:
    """Whether a call of a library service reads and does nothing else. `body` is None where it cannot be read."""
    operation = find_operation(service, path)
    if operation is None:
        item, reads = service, service in service_table.READING_SERVICES
    else:
        item, reads = item_of(service, operation.name), operation.change == ""

    reading = READING_INPUTS.get(item)
    return reads or (reading is not None and body is not None and reading.has(body))


def item_of(service: str, operation: str) -> str:
    """The manifest's item for one operation of a service."""
    return f"{service}: {operation}"


def service_of(item: str) -> str:
    """The service of a manifest's item. An item is a service or one operation of it."""
    return item.partition(":")[0]


def declared_item(item: str) -> str | None:
    """The item for `service: operation` as a header writes it, aliases included. None if there is
    no such operation.
    """
    service, colon, path = item.partition(":")
    if colon:
        operation = find_operation(service, path.strip())
    else:
        operation = None
    if operation:
        return item_of(service, operation.name)
    return None


def find_operation(service: str, path: str) -> ServiceOperation | None:
    """The operation called by a whole path, as a program writes it: with slashes, query and
    escapes.
    """
    bare = _bare(path)
    operations = OPERATIONS.get(service, ())
    exact = (operation for operation in operations if bare in operation.paths)
    below = (operation for operation in operations if any(map(bare.startswith, _prefixes(operation))))
    return next(exact, None) or next(below, None)


def find_by_beginning(service: str, beginning: str) -> ServiceOperation | None:
    """The operation called by every path with this beginning. None if several are possible."""
    if beginning.partition("?")[0].partition("#")[0] != beginning:
        return find_operation(service, beginning)
    bare = unquote(beginning).lstrip("/")
    operations = OPERATIONS.get(service, ())
    # What follows the beginning may make it any of these.
    if any(path.startswith(bare) for operation in operations for path in operation.paths):
        return None
    return next(
        (operation for operation in operations if any(map(bare.startswith, _prefixes(operation)))), None
    )


def change_of(item: str) -> Change:
    """The effect of an operation, or the strongest effect of a service's operations."""
    service, _, name = item.partition(": ")
    changes = {operation.change for operation in OPERATIONS.get(service, ()) if name in {"", operation.name}}

    if "writes" in changes:
        return "writes"
    if "may write" in changes:
        return "may write"
    return ""


def _bare(path: str) -> str:
    return unquote(path.partition("?")[0].partition("#")[0]).strip("/")


def _prefixes(operation: ServiceOperation) -> list[str]:
    return [path[:-1] for path in operation.paths if path.endswith("*")]
