"""The list of checks, in the order of their modules."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Final

from codewords_mcp.runtime.sandboxes.base import Capability
from codewords_mcp.testing.sandboxes.model import ConformanceCheck, Need

if TYPE_CHECKING:
    from codewords_mcp.testing.sandboxes.stage import Context

Run = Callable[["Context"], Awaitable[None]]

_SECONDS: Final = 60.0
_found: dict[str, ConformanceCheck] = {}


def check(name: str, *needs: Need | Capability, seconds: float = _SECONDS) -> Callable[[Run], Run]:
    """Register the decorated function as the check with this id; its docstring is the sentence."""

    def register(run: Run) -> Run:
        sentence = " ".join((run.__doc__ or "").split())
        if name in _found or not sentence:
            raise ValueError(f"The check {name} has no docstring, or its name is taken.")
        _found[name] = ConformanceCheck(name, sentence, frozenset(needs), seconds, run)
        return run

    return register


def checks(only: Collection[str] | None = None) -> list[ConformanceCheck]:
    """Every check, or those whose id or area (`limits` of `limits.heap`) is in `only`.

    Raises ValueError for a name that no check has.
    """
    # Imported here: the catalog imports this module.
    from codewords_mcp.testing.sandboxes import catalog

    for module in catalog.MODULES:
        importlib.import_module(f"{catalog.__name__}.{module}")
    found = list(_found.values())
    if only is None:
        return found

    unknown = {name for name in only if not any(_called(check, name) for check in found)}
    if unknown:
        # An unknown name would silently check nothing.
        raise ValueError(f"No check or area is called {', '.join(sorted(unknown))}.")

    return [check for check in found if any(_called(check, name) for name in only)]


def _called(check: ConformanceCheck, name: str) -> bool:
    return name in (check.id, check.id.partition(".")[0])
