"""All library services: built-in ones, and those of other packages by their entry points.

A service's module is imported at its first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import structlog

from codewords_mcp.runtime.auth.access_table import service_rule
from codewords_mcp.runtime.model.service_table import SERVICES
from codewords_mcp.runtime.services.base import Service

ENTRY_POINT_GROUP = "codewords_mcp.services"
"""The group of entry points by which another package adds a service: name → `module:SERVICE`."""

_BUILT_IN = {name: f"{name}:SERVICE" for name in SERVICES} | {
    "anthropic": "model_prompt.services:ANTHROPIC",
    "gemini": "model_prompt.services:GEMINI",
    "openai": "model_prompt.services:OPENAI",
}
log = structlog.get_logger(__name__)


class Registry:
    """Finds services by name. A service of another package never replaces a built-in one."""

    def __init__(self, others: Mapping[str, EntryPoint] | None = None) -> None:
        self._others = dict(others if others is not None else _installed())
        self._known: dict[str, Service] = {}

    @property
    def names(self) -> list[str]:
        """Names of all services, those of other packages last."""
        return [*sorted(_BUILT_IN), *sorted(set(self._others) - set(_BUILT_IN))]

    def find(self, name: str) -> Service | None:
        """Return the service of this name; None if there is none, or another package's fails to
        load.
        """
        known = self._known.get(name)
        if known is None:
            known = self._load(name)
            if known is not None:
                self._known[name] = known
        return known

    def all(self) -> list[Service]:
        """Every service that loads."""
        return [service for name in self.names if (service := self.find(name)) is not None]

    def _load(self, name: str) -> Service | None:
        if name in _BUILT_IN:
            module, _, attribute = _BUILT_IN[name].partition(":")
            built_in: Service = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
            # A built-in service that nobody may call is a mistake to be found at once.
            _require_rules(built_in)
            return built_in
        if name not in self._others:
            return None

        try:
            found: object = self._others[name].load()
            if isinstance(found, Service):
                _require_rules(found)
        except Exception:
            # An import can raise anything, and the runtime must start regardless.
            log.exception("service of another package failed to load", service=name)
            return None

        # Else a package could answer under another service's name.
        if not isinstance(found, Service) or found.name != name:
            log.error("entry point has no service of its name", service=name)
            return None

        return found


def _require_rules(service: Service) -> None:
    """Raise LookupError if an operation is missing in the access table."""
    for operation in service.operations:
        service_rule(service.name, operation.path, operation.effect)


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
