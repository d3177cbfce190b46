"""Finds the isolation tier by trying: a sandbox is started that attempts the forbidden acts.

A tier counts only where the acts fail. What was found is kept beside the sandboxes' folders for as long as the kernel,
its boot, this user, this Python and this version stay the same; failures are tried again each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import platform
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit, Limits, SandboxSpec, Tier
from codewords_mcp.runtime.sandboxes.host import cgroups, diagnosis
from codewords_mcp.runtime.sandboxes.host.setup_log import expect_failures
from codewords_mcp.runtime.sandboxes.namespaces.sandbox import LocalSandbox

_PROBE = Path(__file__).with_name("probe.py")
_LIMITS = Limits(memory=48 << 20, disk=16 << 20, processes=12, start_timeout=10)
_SECONDS = 15.0

Start = Callable[[SandboxSpec], Awaitable[LocalSandbox]]


@dataclass(frozen=True, slots=True)
class IsolationFinding:
    """The self-test's result. `transparent`: every TCP connection can be caught, not only those of polite clients."""

    tier: Tier
    transparent: bool


async def run(start: Start, folder: Path, slice_: cgroups.Slice | None) -> IsolationFinding:
    """Start the probe by `start` and judge. `folder` is written to. Raises nothing: a failure is tier D."""
    # A machine that hangs must not hold up the start of the runtime.
    try:
        with expect_failures():
            async with asyncio.timeout(_SECONDS):
                return await _try(start, folder, slice_)
    except CodewordsError as error:
        return IsolationFinding(diagnosis.none(error.message), transparent=False)
    except TimeoutError:
        return IsolationFinding(
            diagnosis.none(f"The self-test did not end within {_SECONDS:g} seconds."), transparent=False
        )


async def _try(start: Start, folder: Path, slice_: cgroups.Slice | None) -> IsolationFinding:
    with contextlib.ExitStack() as stack:
        facts = _canaries(folder, stack)
        spec = SandboxSpec(
            id=f"self-test {secrets.token_hex(4)}",
            environment=_own_python(folder),
            code=_PROBE.read_text(encoding="utf-8"),
            env={"PROBE": json.dumps(facts)},
            limits=_LIMITS,
        )
        sandbox = await start(spec)

        try:
            printed = b"".join([chunk.data async for chunk in sandbox.output() if chunk.stream == "stdout"])
            exit_ = await sandbox.wait()
        finally:
            await sandbox.kill()

    acts, survived = _read_report(printed)
    # One act that is not refused is enough; a probe that printed nothing proves nothing.
    broken = [act for act, refused in acts.items() if not refused]
    if broken or not acts:
        if broken:
            reason = f"the self-test found that not so: {', '.join(broken)}"
        else:
            reason = "the self-test could not run"

        return IsolationFinding(diagnosis.none(f"Isolation does not hold here; {reason}."), transparent=False)

    # The probe ends by taking too much memory: an exact limit is one that killed it.
    memory_limited = not survived and exit_ == Exit("out_of_memory")
    return IsolationFinding(
        _tier(slice_, memory_limited=memory_limited, acts=list(acts)),
        transparent=sandbox.isolation.transparent,
    )


def _tier(slice_: cgroups.Slice | None, *, memory_limited: bool, acts: list[str]) -> Tier:
    own = "Each run has its own user, processes, files, network and IPC, a system call filter and no capabilities."
    tried = f"The self-test tried {len(acts)} forbidden acts, and all were refused."
    if slice_ is not None and memory_limited:
        exact = f"Memory, processes and CPU share are limited by cgroups (v{slice_.version})."
        facts = (own, exact, tried)
        return Tier("A", "Full isolation by Linux namespaces", facts)
    best = "Memory is limited by resource limits and a watchdog, best effort, since no cgroup can be created here."
    return Tier(
        "B", "Isolation by Linux namespaces, limits best effort", (own, best, tried), diagnosis.exact_limits()
    )


def _canaries(folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Things of the host that the probe must not reach, and where they are."""
    file = folder / "canary"
    # Another user could read it outside: only the sandbox's root keeps it out of sight.
    file.write_text("seen", encoding="utf-8")
    file.chmod(0o644)
    stack.callback(file.unlink, missing_ok=True)
    loopback = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    # Abstract sockets have no file, so only a network namespace hides them.
    abstract = f"codewords-{secrets.token_hex(8)}"
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind("\0" + abstract)
    listener.listen()

    return {
        "file": str(file),
        "port": str(loopback.getsockname()[1]),
        "abstract": abstract,
        "pid": str(os.getpid()),
        "processes": str(_LIMITS.processes),
        "memory": str(_LIMITS.memory),
    }


def _own_python(folder: Path) -> EnvironmentRef:
    """An environment that is nothing but the Python which runs the runtime."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix).resolve()
    inside = Path("/usr" if prefix == Path("/usr") else "/python")
    bin_ = folder / "self-test" / "bin"
    bin_.mkdir(parents=True, exist_ok=True)
    # Several runtimes of one user may test themselves at the same time.
    with contextlib.suppress(FileExistsError):
        (bin_ / "python").symlink_to(inside / "bin" / f"python{version}")
    return EnvironmentRef(bin_.parent, prefix, version)


def _read_report(printed: bytes) -> tuple[dict[str, bool], bool]:
    acts: dict[str, bool] = {}
    survived = False
    with contextlib.suppress(ValueError):
        for line in printed.splitlines():
            report = json.loads(line)
            survived = survived or report.pop("survived", False)
            acts |= report
    return acts, survived


def _key(slice_: cgroups.Slice | None) -> str:
    # A finding is valid for this kernel since its boot, this user, this Python and this probe.
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    parts = (
        boot, platform.release(), str(os.geteuid()), sys.executable, sys.version, metadata.version("codewords-mcp"),
        str(slice_ and slice_.version), hashlib.sha256(_PROBE.read_bytes()).hexdigest(),
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recall(path: Path, slice_: cgroups.Slice | None) -> IsolationFinding | None:
    """The finding kept at `path`, if it is of this very machine state."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, metadata.PackageNotFoundError):
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] == _key(slice_):
            tier = stored["tier"] | {"facts": tuple(stored["tier"]["facts"])}
            return IsolationFinding(Tier(**tier), stored["transparent"])
    return None


def remember(path: Path, slice_: cgroups.Slice | None, finding: IsolationFinding) -> None:
    """Keep a finding, but no failure."""
    # Losing it only costs another test, so nothing is raised.
    if finding.tier.id == "D":
        return
    with contextlib.suppress(OSError, metadata.PackageNotFoundError):
        stored = {"key": _key(slice_), "tier": asdict(finding.tier), "transparent": finding.transparent}
        # Renamed whole: two runtimes may write at the same time.
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(stored), encoding="utf-8")
        partial.replace(path)
