"""Which programs start as forks: those whose environment has a well fork server and that want nothing of the interpreter.

At most so many servers are kept, the ones that were used last; each of them some 40 MiB.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver.fork_server import DriverResources, ForkIsolation
from codewords_mcp.runtime.sandboxes.forkserver.warm_pool import IDLE, ForkWarmPool
from codewords_mcp.runtime.sandboxes.namespaces import spawn

MAX_SERVERS: Final = 8
MAX_READY: Final = 32
"""Shells and blank sandboxes of all environments; those of the environment that was used last are always kept."""
SERVER_IDLE: Final = 900.0
"""Seconds without a start after which an environment's server ends. Waiting costs it no processor time at all."""
_SWEEP: Final = 30.0
_OLDEST_PYTHON: Final = (3, 11)
_AT_START: Final = ("PYTHON", "LD_", "LC_", "MALLOC_", "PYDANTIC_", "OPENBLAS_", "OMP_", "MKL_")
_ALSO_AT_START: Final = frozenset(
    {"LANG", "LANGUAGE", "FORCE_COLOR", "NO_COLOR", "GLIBC_TUNABLES", "OPENSSL_CONF", "OPENSSL_MODULES"}
)
_ANY_TIME: Final = frozenset({"PYTHONASYNCIODEBUG", "PYTHONBREAKPOINT"})

_Key = tuple[str, int, int]


class ForkServerPool:
    """The nurseries of one driver. All methods for one event loop; none raises."""

    def __init__(self, ground: DriverResources, blanks: int) -> None:
        self._ground = ground
        self._blanks = blanks
        self._nurseries: dict[_Key, ForkWarmPool] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def cell(self, spec: SandboxSpec) -> ForkIsolation | None:
        """A cell for a program; None where it has to be started by exec."""
        if not unsuited(spec):
            nursery = self._nursery(spec.environment)
        else:
            nursery = None
        if nursery is not None:
            return await nursery.cell(network=spec.network)
        return None

    def prepare(self, environment: EnvironmentRef) -> None:
        """Have a fork server for an environment soon."""
        if _suited_python(environment) and (nursery := self._nursery(environment)) is not None:
            nursery.prepare()

    def suspect(self, cell: ForkIsolation) -> None:
        """A fork failed that should not have."""
        for nursery in self._nurseries.values():
            if nursery.has(cell.server):
                nursery.suspect()

    @property
    def names(self) -> set[str]:
        """Folder names of servers, blanks and shells."""
        return {name for nursery in self._nurseries.values() for name in nursery.names}

    def describe(self) -> list[dict[str, Any]]:
        """One entry an environment: whether its programs are forked, and if not, why."""
        return [nursery.describe() for nursery in self._nurseries.values()]

    async def close(self) -> None:
        """End servers and what is ready, after every other sandbox was ended."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        nurseries = list(self._nurseries.values())
        self._nurseries.clear()
        await asyncio.gather(*(nursery.close() for nursery in nurseries), *self._ending)

    def _nursery(self, environment: EnvironmentRef) -> ForkWarmPool | None:
        """The environment's, made if need be. One that was built anew at the same path is another one."""
        try:
            info = environment.path.stat()
        except OSError:
            return None

        key = (str(environment.path), info.st_dev, info.st_ino)
        nursery = self._nurseries.pop(key, None)
        if self._closed:
            return None

        if nursery is None:
            nursery = ForkWarmPool(environment, self._ground, self._blanks)
        self._nurseries[key] = nursery  # the last one is the one used last
        self._bound()
        return nursery

    def _bound(self) -> None:
        now = time.monotonic()
        while len(self._nurseries) > MAX_SERVERS:
            self._end(next(iter(self._nurseries)))
        for key, nursery in list(self._nurseries.items()):
            if now - nursery.last_used > SERVER_IDLE:
                self._end(key)
            else:
                nursery.trim(IDLE)

        ready = sum(nursery.ready for nursery in self._nurseries.values())
        for nursery in list(self._nurseries.values())[:-1]:
            if ready > MAX_READY:
                ready -= nursery.ready
                nursery.trim(-1)

        if self._sweep is None and self._nurseries:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP, self._on_sweep)

    def _on_sweep(self) -> None:
        self._sweep = None
        if not self._closed:
            self._bound()

    def _end(self, key: _Key) -> None:
        task = asyncio.create_task(self._nurseries.pop(key).close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def unsuited(spec: SandboxSpec) -> str:
    """Why a program needs an interpreter of its own; empty where it does not."""
    if spec.folders:
        return "it sees folders of its own"
    if not _suited_python(spec.environment):
        return f"Python {spec.environment.python_version} is too old for it"

    own = spawn.defaults(spec.environment.base_prefix)
    for name, value in spec.env.items():
        read_early = name.startswith(_AT_START) or name in _ALSO_AT_START
        if read_early and name not in _ANY_TIME and own.get(name) != value:
            return f"it sets {name}, which Python or a package reads as it starts"

    return ""


def _suited_python(environment: EnvironmentRef) -> bool:
    parts = environment.python_version.split(".")
    return tuple(int(part) for part in parts if part.isdigit()) >= _OLDEST_PYTHON
