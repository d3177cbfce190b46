"""The fork servers of one driver, and the decision which programs are forked from them.

At most `MAX_SERVERS` run, those that were used last; each takes some 40 MiB.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.forkserver.fork_server import DriverResources, ForkServer
from codewords_mcp.runtime.sandboxes.forkserver.warm_pool import IDLE, ForkWarmPool
from codewords_mcp.runtime.sandboxes.namespaces import spawn

MAX_SERVERS: Final = 8
MAX_READY: Final = 32
"""Prepared isolations and warm sandboxes of all environments; those of the environment that was used last are always kept."""
SERVER_IDLE: Final = 900.0
"""Seconds without a start after which an environment's server ends. Waiting costs it no processor time at all."""
_SWEEP: Final = 30.0
_OLDEST_PYTHON: Final = (3, 11)
_AT_START: Final = (
    "PYTHON",
    "LD_",
    "LC_",
    "MALLOC_",
    "PYDANTIC_",
    "OPENBLAS_",
    "OMP_",
    "MKL_",
    "NPY_",
    "NUMPY_",
)
_ALSO_AT_START: Final = frozenset(
    {
        "LANG", "LANGUAGE", "FORCE_COLOR", "NO_COLOR", "GLIBC_TUNABLES", "OPENSSL_CONF", "OPENSSL_MODULES",
        "SSL_CERT_FILE", "SSL_CERT_DIR",
    }
)  # fmt: skip
_ANY_TIME: Final = frozenset({"PYTHONASYNCIODEBUG", "PYTHONBREAKPOINT"})

_Key = tuple[str, int, int]


class ForkServerPool:
    """The warm pools of one driver, by environment. All methods for one event loop; none raises."""

    def __init__(self, resources: DriverResources, max_warm: int) -> None:
        self._resources = resources
        self._max_warm = max_warm
        self._pools: dict[_Key, ForkWarmPool] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, spec: SandboxSpec) -> ForkIsolation | None:
        """An isolation for a program; None where it has to be started by exec."""
        pool = self._pool_for(spec)
        return await pool.take(network=spec.network, ahead=spec.ahead) if pool is not None else None

    async def server(self, spec: SandboxSpec) -> ForkServer | None:
        """The server that a program would be forked from, without an isolation for it."""
        pool = self._pool_for(spec)
        return await pool.server(network=False) if pool is not None else None

    def prepare(self, environment: EnvironmentRef) -> None:
        """Start an environment's fork server in the background."""
        if _suited_python(environment) and (pool := self._pool_of(environment)) is not None:
            pool.prepare()

    def suspect(self, isolation: ForkIsolation) -> None:
        """Replace the fork server of `isolation`: its fork failed."""
        for pool in self._pools.values():
            if pool.has(isolation.server):
                pool.suspect()

    @property
    def names(self) -> set[str]:
        """Folder names of servers, warm sandboxes and prepared isolations."""
        return {name for pool in self._pools.values() for name in pool.names}

    def describe(self) -> list[dict[str, Any]]:
        """One entry an environment: whether its programs are forked, and if not, why."""
        return [pool.describe() for pool in self._pools.values()]

    async def close(self) -> None:
        """End servers and what is ready, after every other sandbox was ended."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        pools = list(self._pools.values())
        self._pools.clear()
        # Pools end together: each waits for its server's processes.
        await asyncio.gather(*(pool.close() for pool in pools), *self._ending)

    def _pool_for(self, spec: SandboxSpec) -> ForkWarmPool | None:
        return None if unsuited(spec) else self._pool_of(spec.environment)

    def _pool_of(self, environment: EnvironmentRef) -> ForkWarmPool | None:
        """The environment's pool, made if need be."""
        # One that was built anew at the same path has another inode, and its old server still shows
        # the old one.
        try:
            info = environment.path.stat()
        except OSError:
            return None

        key = (str(environment.path), info.st_dev, info.st_ino)
        pool = self._pools.pop(key, None)
        if self._closed:
            return None

        if pool is None:
            pool = ForkWarmPool(environment, self._resources, self._max_warm)
        # Put last: the order of use is the order of the dictionary.
        self._pools[key] = pool
        self._bound()
        return pool

    def _bound(self) -> None:
        now = time.monotonic()
        while len(self._pools) > MAX_SERVERS:
            # The one whose last use is the longest ago.
            self._end(next(iter(self._pools)))
        for key, pool in list(self._pools.items()):
            if now - pool.last_used > SERVER_IDLE:
                self._end(key)
            else:
                pool.trim(IDLE)

        ready = sum(pool.ready for pool in self._pools.values())
        # The environment used last keeps what it has ready.
        for pool in list(self._pools.values())[:-1]:
            if ready > MAX_READY:
                ready -= pool.ready
                pool.trim(-1)

        if self._sweep is None and self._pools:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP, self._on_sweep)

    def _on_sweep(self) -> None:
        self._sweep = None
        if not self._closed:
            self._bound()

    def _end(self, key: _Key) -> None:
        task = asyncio.create_task(self._pools.pop(key).close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def unsuited(spec: SandboxSpec) -> str:
    """The reason why a program needs an interpreter of its own; empty if a fork will do."""
    if spec.folders:
        return "it sees folders of its own"
    if spec.own_interpreter:
        return "it runs long and seldom starts"
    if not _suited_python(spec.environment):
        return f"Python {spec.environment.python_version} is too old for it"

    own = spawn.defaults(spec.environment.base_prefix)
    for name, value in spec.env.items():
        # Read before any code of the program: a fork, whose interpreter runs already, would ignore it.
        read_early = name.startswith(_AT_START) or name in _ALSO_AT_START
        if read_early and name not in _ANY_TIME and own.get(name) != value:
            return f"it sets {name}, which Python or a package reads as it starts"

    return ""


def _suited_python(environment: EnvironmentRef) -> bool:
    parts = environment.python_version.split(".")
    return tuple(int(part) for part in parts if part.isdigit()) >= _OLDEST_PYTHON
