"""Workflows whose code names a secret, for a person to know what would lack it."""

from __future__ import annotations

import re

from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.database import Database

_CODES_AT_ONCE = 100
_DECLARED = re.compile(r"""(["'])(\w+)(?=\1|=)""", re.ASCII)


class SecretUses:
    """Names that may be of secrets, in the live code of an owner's workflows."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._named: dict[str, dict[str, frozenset[str]]] = {}

    async def used_by(self, owner: str, name: str) -> list[str]:
        """Names of the owner's workflows whose live header names it."""
        return [workflow for workflow, names in await self.names_in_codes(owner) if name in names]

    async def names_in_codes(self, owner: str) -> list[tuple[str, frozenset[str]]]:
        """(name, what may be names of variables in its live code) of the owner's workflows."""
        live = await self._db.read(workflows.live_versions, owner)
        known = self._named.get(owner, {})
        unknown = [version_id for _, version_id in live if version_id not in known]
        read: dict[str, frozenset[str]] = {}
        for at in range(0, len(unknown), _CODES_AT_ONCE):
            codes = await self._db.read(workflows.codes, unknown[at : at + _CODES_AT_ONCE])
            read |= {version_id: frozenset(_declared(code)) for version_id, code in codes.items()}

        # A version never changes, so each page of a list need not read all codes again. A workflow that
        # was deleted meanwhile has no code.
        named = {version_id: (known | read).get(version_id, frozenset[str]()) for _, version_id in live}
        self._named[owner] = named
        return [(workflow, named[version_id]) for workflow, version_id in live]


def _declared(code: str) -> set[str]:
    """Find what may be names of variables in a script's header: a search of the text, good enough to
    inform a person.
    """
    return {found[2] for found in _DECLARED.finditer(code)}
