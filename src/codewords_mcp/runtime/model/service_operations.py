"""Operations of library services by name, for modules that must not import the services themselves.

The table is generated from the services (`service_table.py`). A manifest names an operation as `github: search_code`.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote

from codewords_mcp.runtime.model import service_table
from codewords_mcp.runtime.model.service_table import Change


class ServiceOperation(NamedTuple):
    """One operation: the paths that call it, and its effect. The first path is its name."""

    name: str
    paths: tuple[str, ...]
    change: Change = ""


def operation_name(paths: tuple[str, ...]) -> str:
    """The name of the operation with these paths: the first that is not empty, else "call"."""
    return next((path for path in paths if path), "call")


OPERATIONS: Final = {
    name: tuple(ServiceOperation(*row) for row in rows) for name, rows in service_table.OPERATIONS.items()
}
"""Services with several operations. A service with a single one is named as a whole."""


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
