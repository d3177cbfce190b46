"""The authorities of the runs that go on in this process."""

from __future__ import annotations

from functools import lru_cache

from codewords_mcp.errors import AttemptOver
from codewords_mcp.runtime.auth.authority import (
    Authority,
    Permissions,
    PersonAuthority,
    Refused,
    RunAuthority,
    ignore_refusal,
)
from codewords_mcp.runtime.model.caller import Caller


class Authorities:
    """The authorities of running runs of this process."""

    def __init__(self, on_refused: Refused = ignore_refusal) -> None:
        self._runs: dict[str, RunAuthority] = {}
        self._shown: dict[str, set[str]] = {}
        self._on_refused = on_refused

    def begin(
        self, run_id: str, owner: str, permissions: Permissions, hosts: tuple[str, ...] | None
    ) -> RunAuthority:
        """Start a run of this owner with the owner's agreement. `hosts`: see `RunAuthority`."""
        made = RunAuthority(owner, permissions.service_id, run_id, permissions, hosts, self._on_refused)
        self._runs[run_id] = made
        return made

    def end(self, run_id: str) -> None:
        """The run is over: its key is worth nothing any more. Idempotent."""
        self._runs.pop(run_id, None)
        self._shown.pop(run_id, None)

    def show(self, run_id: str, other: str) -> None:
        """Let a run see another one whose id the runtime passed to it."""
        if run_id in self._runs:
            self._shown.setdefault(run_id, set()).add(other)

    def shows(self, run_id: str, other: str) -> bool:
        """Whether `show` was called with these."""
        return other in self._shown.get(run_id, ())

    def of(self, caller: Caller) -> Authority:
        """Return the authority of this caller. Raises AttemptOver for a run that does not run here."""
        if caller.kind != "run":
            return _of_person(caller.owner)
        found = self._runs.get(caller.run_id or "")
        # Fail closed: a run that isn't registered has ended, or runs on another replica.
        if found is None or found.owner != caller.owner:
            raise AttemptOver
        return found

    def service_of(self, run_id: str) -> str | None:
        """Return the workflow of a run; None for a run that does not run here."""
        found = self._runs.get(run_id)
        if found is None:
            return None
        return found.workflow


@lru_cache(maxsize=256)
def _of_person(owner: str) -> PersonAuthority:
    return PersonAuthority(owner)
