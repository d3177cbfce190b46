"""The machine: its local driver, its network, and the one environment that it has."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from codewords_mcp.agent.egress import MachineNetwork
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import protocol
from codewords_mcp.runtime.sandboxes.host import descriptors
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

_NOTES: Final = "agent.json"


class AgentMachine:
    """Make it with `open`; close its driver at the end. `home` is where environments are built."""

    def __init__(
        self, home: Path, driver: LocalDriver, network: MachineNetwork, environment: EnvironmentRef | None
    ) -> None:
        self.home = home
        self.driver = driver
        self.network = network
        self.environment = environment
        """The environment of its programs; a machine has one at most."""

    @classmethod
    async def open(cls, home: Path) -> AgentMachine:
        """Raises what opening the local driver does."""
        descriptors.raise_limit()
        known = await asyncio.to_thread(_read_notes, home)
        network = MachineNetwork()
        # A machine that boots with its environment serves one program: a fork server would come too late for it. One that
        # is to be snapshotted with its memory has it beforehand.
        driver = await LocalDriver.open(network, home / "run", forking=known is None)
        return cls(home, driver, network, protocol.to_environment(known) if known else None)

    def adopt(self, environment: EnvironmentRef) -> None:
        """This is the machine's environment, also after it has booted again."""
        self.environment = environment
        notes = json.dumps(protocol.from_environment(environment))
        # The notes are part of the snapshot that the host takes next.
        (self.home / _NOTES).write_text(notes, encoding="utf-8")

    def describe(self) -> dict[str, Any]:
        """The machine's description for the host's first message."""
        tier = self.driver.tier
        return {
            "version": protocol.VERSION,
            "tier": tier.id,
            "title": tier.title,
            "facts": list(tier.facts),
            "capabilities": sorted(self.driver.capabilities),
            "environment": self.environment is not None,
        }


def _read_notes(home: Path) -> dict[str, Any] | None:
    """The environment that this machine has, if it was snapshotted with one."""
    home.mkdir(parents=True, exist_ok=True)
    notes = home / _NOTES
    if notes.exists():
        return json.loads(notes.read_text(encoding="utf-8"))
    return None
