"""The nouns of the loopback E2B: templates, sandboxes, and the lists of both."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from codewords_testing.e2b.machine import Layers, Machine

ENVD_PORT = 49983
ENVD_VERSION = "0.6.13"
"""What the sandboxes say; SDKs decide by it what they may ask of envd."""
_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str = "i") -> str:
    """Like E2B's: lower-case letters and digits, since it becomes part of a host name."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(19))


def stamp(at: float) -> str:
    """RFC 3339, as the API has it."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


@dataclass(slots=True)
class CloudTemplate:
    """A template or snapshot to make sandboxes from. `start` runs in each, `ready` succeeds once it is up; both may be empty."""

    id: str
    names: list[str]
    layers: Layers = field(default_factory=Layers)
    start: str = ""
    ready: str = ""
    env: dict[str, str] = field(default_factory=dict[str, str])
    cpu_count: int = 2
    memory_mb: int = 512
    kind: Literal["template", "snapshot"] = "template"
    source: str = ""
    """The sandbox that a snapshot was taken of."""


@dataclass(slots=True, eq=False)
class CloudSandbox:
    """One sandbox as E2B knows it."""

    id: str
    template: CloudTemplate
    machine: Machine
    metadata: dict[str, str]
    env: dict[str, str]
    end_at: float
    auto_pause: bool = False
    auto_resume: bool = False
    network: dict[str, Any] = field(default_factory=dict[str, Any])
    state: Literal["running", "paused"] = "running"
    started_at: float = field(default_factory=time.time)
    token: str = field(default_factory=partial(secrets.token_hex, 16))
    traffic_token: str | None = None
    processes: dict[int, Any] = field(default_factory=dict[int, Any])
    """envd's view of the processes that it started, by pid."""

    def pause(self) -> None:
        """Freeze it."""
        self.machine.freeze()
        self.state = "paused"

    def resume(self, timeout: float) -> None:
        """Let it go on for `timeout` seconds."""
        self.machine.thaw()
        self.state = "running"
        self.end_at = time.time() + timeout

    def created(self, domain: str) -> dict[str, Any]:
        """The reply to create and connect."""
        body: dict[str, Any] = {
            "templateID": self.template.id,
            "sandboxID": self.id,
            "clientID": "loopback",
            "alias": self.template.names[0] if self.template.names else self.template.id,
            "envdVersion": ENVD_VERSION,
            "envdAccessToken": self.token,
            "domain": domain,
        }
        return body | ({"trafficAccessToken": self.traffic_token} if self.traffic_token else {})

    def listed(self) -> dict[str, Any]:
        """One of the reply to list."""
        return {
            "templateID": self.template.id,
            "sandboxID": self.id,
            "clientID": "loopback",
            "alias": self.template.names[0] if self.template.names else self.template.id,
            "startedAt": stamp(self.started_at),
            "endAt": stamp(self.end_at),
            "cpuCount": self.template.cpu_count,
            "memoryMB": self.template.memory_mb,
            "diskSizeMB": 10240,
            "state": self.state,
            "envdVersion": ENVD_VERSION,
            "metadata": self.metadata,
        }

    def detail(self, domain: str) -> dict[str, Any]:
        """The reply to get."""
        return self.listed() | {
            "domain": domain,
            "lifecycle": {
                "autoResume": self.auto_resume,
                "onTimeout": "pause" if self.auto_pause else "kill",
            },
            "network": self.network,
        }


class Templates:
    """Templates and snapshots, found by id or by name, with or without a tag."""

    def __init__(self) -> None:
        self._all: dict[str, CloudTemplate] = {}

    def add(self, template: CloudTemplate) -> CloudTemplate:
        """A name that is taken goes to the newest."""
        for other in self._all.values():
            other.names = [name for name in other.names if name not in template.names]
        self._all[template.id] = template
        return template

    def find(self, reference: str) -> CloudTemplate | None:
        """By id, or `[team/]name[:tag]`."""
        name = reference.rpartition("/")[2]
        if reference in self._all:
            return self._all[reference]
        names = (name, name.removesuffix(":default"))
        return next((template for template in self._all.values() if set(names) & set(template.names)), None)

    def snapshots(self) -> list[CloudTemplate]:
        """In the order in which they were taken."""
        return [template for template in self._all.values() if template.kind == "snapshot"]

    def remove(self, template: CloudTemplate) -> None:
        """Sandboxes that were made from it go on."""
        self._all.pop(template.id, None)


@dataclass(slots=True)
class Options:
    """Options of a loopback E2B. `api_key` None takes any key; `creates` is sandboxes a second, None unlimited."""

    domain: str = "e2b.test"
    api_key: str | None = None
    sandboxes: int = 20
    creates: float | None = None
    longest: float = 3600.0
    """Seconds that a sandbox may be kept at most."""
    show: tuple[Path, ...] = ()
    """Folders of this host, below /tmp or /run, that machines see."""
    env: dict[str, str] = field(default_factory=dict[str, str])
    """Variables that every process of every machine has."""
    on_end: Callable[[Path], None] | None = None
    """Called, in a thread, with the folder of what a sandbox has changed of its disk, when it has ended and before that
    is removed. For what machines share with this host, as its cgroups."""
