"""Proves a confinement by trying: a program is started in it that attempts the forbidden acts, and does the needed ones.

The tier counts only where every forbidden act fails and every needed one works. What was found is kept as long as the
machine, this user, this Python and this version stay the same; failures are tried again each time.
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
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import (
    EnvironmentRef,
    Exit,
    Limits,
    Network,
    NetworkHandle,
    SandboxSockets,
    SandboxSpec,
    Tier,
)
from codewords_mcp.runtime.sandboxes.host import cgroups, diagnosis
from codewords_mcp.runtime.sandboxes.host.setup_log import expect_failures
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock, ProvedFacts
from codewords_mcp.runtime.sandboxes.landlock.sandbox import LandlockSandbox

_PROBE: Final = Path(__file__).with_name("probe.py")
_LIMITS: Final = Limits(memory=64 << 20, disk=16 << 20, processes=16, start_timeout=10)
_SECONDS: Final = 20.0
_NOTHING: Final = ProvedFacts(0, by_address=False, exact=False)
PASSWORD: Final = "CODEWORDS_SELF_TEST"  # noqa: S105
"""A variable of a host process that the probe must not be able to read."""

StartIn = Callable[[SandboxSpec, Network | None], Awaitable[LandlockSandbox]]


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The probe's output: for each act whether it was refused, for each need whether it was met."""

    acts: dict[str, bool] = field(default_factory=dict[str, bool])
    needs: dict[str, bool] = field(default_factory=dict[str, bool])
    survived: bool = False


@dataclass(frozen=True, slots=True)
class LandlockFinding:
    """The self-test's result."""

    tier: Tier
    proved: ProvedFacts = _NOTHING


async def run(start: StartIn, landlock: Landlock, folder: Path, *, exact: bool) -> LandlockFinding:
    """Start the probe by `start` and judge. `folder` is written to. Raises nothing: a failure is tier D."""
    missing = landlock.missing()
    if missing:
        return LandlockFinding(diagnosis.none(missing))

    try:
        with expect_failures():
            # A probe that hangs proves nothing, and the start of the runtime waits for it.
            async with asyncio.timeout(_SECONDS):
                return await _try(start, landlock, folder, exact=exact)
    except CodewordsError as error:
        return LandlockFinding(diagnosis.none(error.message))
    except TimeoutError:
        return LandlockFinding(diagnosis.none(f"The self-test did not end within {_SECONDS:g} seconds."))


async def _try(start: StartIn, landlock: Landlock, folder: Path, *, exact: bool) -> LandlockFinding:
    with contextlib.ExitStack() as stack:
        facts = _canaries(folder, stack)
        spec = SandboxSpec(
            id=f"self-test {secrets.token_hex(4)}",
            environment=_own_python(folder),
            code=_PROBE.read_text(encoding="utf-8"),
            env={"PROBE": json.dumps(facts)},
            limits=_LIMITS,
        )
        sandbox = await start(spec, _Greeter())

        try:
            printed = b"".join([chunk.data async for chunk in sandbox.output() if chunk.stream == "stdout"])
            exit_ = await sandbox.wait()
        finally:
            await sandbox.kill()

    report = _read_report(printed)
    # One act that is not refused is enough; a probe that printed nothing proves nothing.
    broken = [act for act, refused in report.acts.items() if not refused]
    broken += [f"not {need}" for need, met in report.needs.items() if not met]
    if broken or not report.acts:
        if broken:
            reason = f"the self-test found that not so: {', '.join(broken)}"
        else:
            reason = "the self-test could not run"

        return LandlockFinding(diagnosis.none(f"Isolation does not hold here; {reason}."))

    # The probe ends by taking too much memory: an exact limit is one that killed it.
    exact_memory = not report.survived and exit_ == Exit("out_of_memory")
    proved = ProvedFacts(len(report.acts), by_address=sandbox.by_address, exact=exact and exact_memory)
    return LandlockFinding(landlock.tier(proved), proved)


class _Greeter:
    """A network whose runtime says a word to whoever connects: the probe must be able to hear it."""

    async def attach(self, sandbox_id: str, sockets: SandboxSockets) -> NetworkHandle:
        """See `Network`."""
        del sandbox_id
        server = await asyncio.start_server(self._greet, sock=sockets.runtime)
        return _Greeting(server, sockets.connect)

    async def _greet(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"runtime")
        writer.close()


class _Greeting:
    def __init__(self, server: asyncio.Server, other: socket.socket | None) -> None:
        self._server = server
        self._other = other

    async def close(self) -> None:
        self._server.close()
        if self._other is not None:
            self._other.close()


def _canaries(folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Things of the host that the probe must not reach, and where they are."""
    file = folder / "canary"
    file.write_text("seen", encoding="utf-8")
    # Everybody could write it: only Landlock keeps the probe from it.
    file.chmod(0o666)
    stack.callback(file.unlink, missing_ok=True)
    loopback = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    named = stack.enter_context(socket.socket(socket.AF_UNIX))
    # Relative: a socket's path holds 107 bytes, and a home's may be longer.
    named.bind(os.path.relpath(folder / "named"))
    named.listen()
    stack.callback((folder / "named").unlink, missing_ok=True)
    facts = {
        "file": str(file),
        "folder": str(folder),
        "port": str(loopback.getsockname()[1]),
        "named": str(folder / "named"),
        "runtime": str(os.getpid()),
        "victim": str(_victim(stack)),
        "processes": str(_LIMITS.processes),
        "memory": str(_LIMITS.memory),
    }
    abstract = f"codewords-{secrets.token_hex(8)}"
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind("\0" + abstract)
    listener.listen()
    facts["abstract"] = abstract

    return facts


def _victim(stack: contextlib.ExitStack) -> int:
    """A process of this user's, to be signalled, traced and read."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={PASSWORD: "seen", "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")},
    )
    stack.enter_context(process)
    stack.callback(process.kill)

    return process.pid


def _own_python(folder: Path) -> EnvironmentRef:
    """An environment that is nothing but the Python which runs the runtime."""
    bin_ = folder / "self-test" / "bin"
    bin_.mkdir(parents=True, exist_ok=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return EnvironmentRef(bin_.parent, Path(sys.base_prefix).resolve(), version)


def _read_report(printed: bytes) -> ProbeReport:
    acts: dict[str, bool] = {}
    needs: dict[str, bool] = {}
    survived = False
    with contextlib.suppress(ValueError, KeyError, TypeError):
        for line in printed.splitlines():
            part: dict[str, Any] = json.loads(line)
            survived = survived or bool(part.get("survived"))
            acts |= part.get("acts", {})
            needs |= part.get("needs", {})
    return ProbeReport(acts, needs, survived)


def _path(run_dir: Path) -> Path:
    return run_dir / "tier-landlock.json"


def _key(landlock: Landlock, slice_: cgroups.Slice | None) -> str:
    parts = (
        *landlock.key(), platform.release(), str(os.geteuid()), sys.executable, sys.version, metadata.version("codewords-mcp"),
        str(slice_ and slice_.version), hashlib.sha256(_PROBE.read_bytes()).hexdigest(),
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recall(run_dir: Path, landlock: Landlock, slice_: cgroups.Slice | None) -> LandlockFinding | None:
    """The finding kept in `run_dir`, if it is of this very machine state."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, metadata.PackageNotFoundError):
        stored: dict[str, Any] = json.loads(_path(run_dir).read_text(encoding="utf-8"))
        if stored["key"] == _key(landlock, slice_):
            tier = stored["tier"] | {"facts": tuple(stored["tier"]["facts"])}
            return LandlockFinding(Tier(**tier), ProvedFacts(**stored["proved"]))
    return None


def remember(
    run_dir: Path, landlock: Landlock, slice_: cgroups.Slice | None, finding: LandlockFinding
) -> None:
    """Keep a finding, but no failure."""
    # Losing it only costs another test, so nothing is raised.
    if finding.tier.id == "D":
        return
    with contextlib.suppress(OSError, metadata.PackageNotFoundError):
        stored = {"key": _key(landlock, slice_), **asdict(finding)}
        path = _path(run_dir)
        # Renamed whole: two runtimes may write at the same time.
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(stored), encoding="utf-8")
        partial.replace(path)
