"""Memory, disk and processors that a header asks for, within the limits of the home."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow_header import SIZE
from codewords_mcp.runtime.sandboxes.base import Limits

RESOURCE_KEYS: Final = frozenset({"memory", "disk", "cpu"})
_SIZE = re.compile(SIZE)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MIN_BYTES: Final = {"memory": 64 << 20, "disk": 1 << 20}
_MIN_CPU, _MAX_CPU = 0.05, 256
_SETTINGS = {"memory": "CODEWORDS_MEMORY_LIMIT", "disk": "CODEWORDS_DISK_LIMIT"}


def parse_size(value: object) -> int | None:
    """The bytes of a text like "512MB" or "2 GB"; None for anything else. Units are powers of 1024."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return None
    return int(found[1]) * _UNITS[found[2].upper()]


def resource_fault(table: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """(key, message, hint) of the first wrong resource in `[tool.codewords]`; None where all are right."""
    for key, least in _MIN_BYTES.items():
        size = parse_size(table[key]) if key in table else least
        if size is None or size < least:
            message = f"`{key}` in [tool.codewords] is not a size of at least {_shown(least)}."
            return key, message, f'Write it with its unit: `# {key} = "512MB"`.'
    cpu = table.get("cpu", 1)
    # bool is an int in Python: `cpu = true` would be 1.
    if isinstance(cpu, bool) or not isinstance(cpu, int | float) or not _MIN_CPU <= cpu <= _MAX_CPU:
        message = f"`cpu` in [tool.codewords] is not a number of processors from {_MIN_CPU} to {_MAX_CPU}."
        return "cpu", message, "It may be a part of one: `# cpu = 0.5`."
    return None


def limits_for(limits: Limits, table: Mapping[str, Any]) -> Limits:
    """The limits of a workflow's sandboxes: those of its header, never more than the home's."""
    memory, disk = parse_size(table.get("memory")), parse_size(table.get("disk"))
    processors = float(table["cpu"]) if "cpu" in table else None
    if limits.processors is not None:
        processors = min(limits.processors, processors or limits.processors)
    return replace(
        limits,
        memory=min(limits.memory, memory or limits.memory),
        disk=min(limits.disk, disk or limits.disk),
        processors=processors,
    )


def check_resources(table: Mapping[str, Any], limits: Limits, *, groups: bool) -> list[Check]:
    """A failed check for each resource beyond the home's limits; else one that tells them, where the header names some.

    `groups`: whether the sandboxes of this machine are held by cgroups, without which processors' time is not limited.
    """
    if RESOURCE_KEYS.isdisjoint(table):
        return []

    checks: list[Check] = []
    for key, most in (("memory", limits.memory), ("disk", limits.disk)):
        size = parse_size(table.get(key))
        if size is not None and size > most:
            checks.append(
                Check(
                    id="resources",
                    status="failed",
                    message=f"It asks for {_shown(size)} of {key}, and a run gets at most {_shown(most)} here.",
                    fix=f"Ask for less, or raise {_SETTINGS[key]} of the runtime.",
                )
            )
    if checks:
        return checks

    own = limits_for(limits, table)
    parts = [f"{_shown(own.memory)} of memory", f"{_shown(own.disk)} of disk"]
    if own.processors is not None:
        parts.append(f"{own.processors:g} processors")
    checks.append(Check(id="resources", status="passed", message=f"A run of it gets {', '.join(parts)}."))
    if "cpu" in table and not groups:
        message = "This machine has no cgroup for sandboxes, so `cpu` is not held here."
        checks.append(Check(id="resources", status="warning", message=message))
    return checks


def _shown(size: int) -> str:
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20)):
        if size >= factor:
            return f"{size / factor:.4g} {unit}"
    return f"{size} bytes"
