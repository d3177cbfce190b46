"""A home's runtime in a container: started once, found again, updated and stopped. Standard library only.

    home/
      container.json   the container's name, port, version and engine
      api.key          the admin key, made here and given to the container
      start.lock       as for a runtime on this machine

What is deployed is in a volume of the engine and not in the home: databases and hard links need a Linux file system. A
runtime counts as living while its port takes connections, in a process that asked the engine first.
"""

from __future__ import annotations

# ruff: noqa: PTH100, PTH118, PTH120, PTH123 - pathlib is not worth its import in the proxy
import hashlib
import json
import os
import secrets
import socket
import sys
import time
from datetime import UTC, datetime

from codewords_mcp import __version__
from codewords_mcp.common.counts import counted
from codewords_mcp.errors import Conflict, RuntimeUnavailable
from codewords_mcp.stdio import engines
from codewords_mcp.stdio import home as homes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, Any

    from codewords_mcp.stdio.engines import ContainerEngine
    from codewords_mcp.stdio.home import RuntimeInfo, Say

FILE = "container.json"
KEY_FILE = "api.key"
START_TIMEOUT = 180.0
"""Seconds for a start, which may fetch the image."""
_IMAGE = "codewords-mcp:{version}"
_PORTS = range(8765, 8866)
_CONNECT = 0.5
_POLL = 0.1
_LOOK_EVERY = 1.0
_TELL_EVERY = 3.0
_STOP_SECONDS = 30
_REASON_LIMIT = 300
_PASSED_ON = ("CODEWORDS_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "E2B_", "OTEL_")
_OF_THIS_MACHINE = frozenset(
    {"CODEWORDS_HOME", "CODEWORDS_HOST", "CODEWORDS_PORT", "CODEWORDS_API_KEY", "CODEWORDS_PUBLIC_URL"}
)
_verified: set[str] = set()
"""Homes whose container the engine has told this process of, and whose port has taken connections since."""
_PREFIXES_OF_COMMANDS = ("CODEWORDS_RUNTIME", "CODEWORDS_CONTAINER_", "CODEWORDS_READY_")


def find(home: str) -> RuntimeInfo | None:
    """The runtime of the home's container, None if none takes connections, or none that this process asked the engine for.

    Another program may have taken the port since the container ended, and would be given the key.
    """
    found = _answering(home) if home in _verified else None
    if found is None:
        _verified.discard(home)
    return found


def _answering(home: str) -> RuntimeInfo | None:
    record = _read(home)
    key = _key(home)
    if record is None or not key or not _connects(record["port"]):
        return None
    return homes.RuntimeInfo(
        f"http://127.0.0.1:{record['port']}",
        0,
        record["version"],
        key,
        record["started_at"],
        missed_port=record.get("missed_port") or 0,
    )


def ensure(home: str, say: Say, deadline: float) -> RuntimeInfo:
    """The runtime of the home's container, started if there is none. Raises RuntimeUnavailable, StorageFailed."""
    from codewords_mcp.stdio import spawn

    spawn.make_folders(home)
    with spawn.start_lock(home, deadline):
        engine = engines.engine_here()
        name = container_name(home)
        state = engine.state(name)
        if state is not None and state.is_running:
            found = _answering(home)
        else:
            found = None
        if found is None:
            # An ended container still has the name. What is deployed is in its volume, which stays.
            if state is not None:
                engine.call("rm", "--force", name)
            found = _start(home, engine, name, say, deadline)

    _verified.add(home)
    return found


def stop(home: str, *, only_idle: bool) -> RuntimeInfo | None:
    """Stop the home's container and remove it; its volume stays. Returns what it was, None if none ran. Raises Conflict
    with `only_idle` while runs are active.
    """
    record = _read(home)
    if record is None:
        return None
    engine = engines.engine_here()
    name = container_name(home)
    state = engine.state(name)
    if state is None:
        return None

    info = _answering(home)
    if only_idle and info is not None:
        from codewords_mcp.stdio import spawn

        if active := spawn.runs_active(info):
            raise Conflict(
                f"The runtime in the container {name} has {counted(active, 'run')} active.",
                hint="Wait for them, or end it with `codewords-mcp stop`.",
            )

    # Runs get their time to end, as after a SIGTERM elsewhere.
    engine.call("stop", "--time", str(_STOP_SECONDS), name, timeout=_STOP_SECONDS + engines.COMMAND_TIMEOUT)
    engine.call("rm", "--force", name)
    return info


def run_command(
    home: str, words: Sequence[str], *, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
) -> tuple[int, str]:
    """Run a `codewords` command on the volume of the home's container, whether or not that one runs.

    Returns its exit code and what it wrote to stderr. Raises RuntimeUnavailable without an engine or the image.
    """
    engine = engines.engine_here()
    image = image_name()
    _require_image(engine, image)
    command = engine.command_words(image, words, variables=_variables(), volume=container_name(home))
    return engine.pipe(command, stdin=stdin, stdout=stdout)


def container_name(home: str) -> str:
    """The name of a home's container and volume: `codewords` for the usual home, others have a mark of their own."""
    usual = {name: value for name, value in os.environ.items() if name != "CODEWORDS_HOME"}
    if home == homes.home_folder(usual):
        return "codewords"
    return f"codewords-{hashlib.sha256(home.encode()).hexdigest()[:8]}"


def image_name() -> str:
    """The image of CODEWORDS_CONTAINER_IMAGE, else the one of this version."""
    return os.environ.get("CODEWORDS_CONTAINER_IMAGE") or _IMAGE.format(version=__version__)


def profile_path() -> str:
    """The seccomp profile that lets the runtime make sandboxes inside a container."""
    return os.path.join(
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "container", "seccomp.json"
    )


def _start(home: str, engine: ContainerEngine, name: str, say: Say, deadline: float) -> RuntimeInfo:
    image = image_name()
    _require_image(engine, image)
    before = _read(home) or {}
    port, missed = _choose_port(before.get("port"))
    key = _key(home) or _make_key(home)
    say(f"starting the runtime of {home} in a container of {engine.title}")
    words = engine.run_words(
        name, image, version=__version__, port=port, profile=_profile_for(engine), volume=name,
        variables=["CODEWORDS_API_KEY", *_variables()],
    )  # fmt: skip
    _run(engine, words, key, deadline)

    record: dict[str, Any] = {
        "name": name, "engine": list(engine.words), "image": image, "port": port, "missed_port": missed,
        "version": __version__, "started_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    # The record is written only of a runtime that is ready: other processes connect by it.
    _wait_until_ready(engine, name, port, say, deadline)
    _write(home, FILE, json.dumps(record))
    found = _answering(home)
    if found is None:
        raise _failed(engine, name)
    return found


def _require_image(engine: ContainerEngine, image: str) -> None:
    """Raises RuntimeUnavailable."""
    if not engine.has_image(image) and not os.environ.get("CODEWORDS_CONTAINER_IMAGE"):
        raise RuntimeUnavailable(
            f"The image {image} is not on this machine.",
            hint=f"From a clone: {' '.join(engine.words)} build -f packaging/container/Containerfile -t {image} .",
        )


def _run(engine: ContainerEngine, words: list[str], key: str, deadline: float) -> None:
    # The engine's program takes the key from its environment: an argument would be in every list of processes.
    env = {**os.environ, "CODEWORDS_API_KEY": key}
    done = engine.call(*words, timeout=max(deadline - time.monotonic(), 1.0), env=env)
    if done.returncode:
        reason = " ".join(done.stderr.split())[-_REASON_LIMIT:].rstrip(".")
        raise RuntimeUnavailable(
            f"{engine.title} could not start the container: {reason or 'it gave no reason'}."
        )


def _wait_until_ready(engine: ContainerEngine, name: str, port: int, say: Say, deadline: float) -> None:
    began = looked = reported = time.monotonic()
    while not _is_ready(port):
        now = time.monotonic()
        if now > deadline:
            raise RuntimeUnavailable(
                f"The runtime in the container {name} did not become ready in time.",
                hint=f"`{' '.join(engine.words)} logs {name}` says more.",
            )
        # Asking the engine starts a program, so it is done less often than asking the port.
        if now - looked > _LOOK_EVERY:
            looked = now
            state = engine.state(name)
            if state is None or not state.is_running:
                raise _failed(engine, name)
        if now - reported > _TELL_EVERY:
            reported = now
            say(f"the container is still starting ({now - began:.0f} s)")
        time.sleep(_POLL)


def _failed(engine: ContainerEngine, name: str) -> RuntimeUnavailable:
    reason = engine.last_line(name)[:_REASON_LIMIT].rstrip(".")
    return RuntimeUnavailable(
        f"The runtime in the container {name} ended: {reason or 'it wrote nothing'}.",
        hint=f"`{' '.join(engine.words)} logs {name}` says more.",
    )


def _is_ready(port: int) -> bool:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        # The engine's own proxy accepts connections before anything listens in the container.
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_CONNECT).close()
    except OSError:
        return False
    return True


def _choose_port(previous: object) -> tuple[int, int]:
    """(a free port, the kept one if another program has it, else 0)."""
    named = os.environ.get("CODEWORDS_PORT", "")
    own = 0
    if named.isdigit() and named != "0":
        own = int(named)
    elif isinstance(previous, int):
        own = previous

    for port in ([own] if own else []) + [port for port in _PORTS if port != own]:
        if _is_free(port):
            return port, own if own and port != own else 0
    raise RuntimeUnavailable("127.0.0.1 has no free port.", hint="Name one with CODEWORDS_PORT.")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _profile_for(engine: ContainerEngine) -> str:
    # Podman's and WSL2's Linux machine on Windows does not see this file by its path.
    remote = sys.platform == "win32" and (engine.kind == "podman" or len(engine.words) > 1)
    return "unconfined" if remote else profile_path()


def _variables() -> list[str]:
    """Names of variables that the runtime in the container is given: settings and keys of model providers."""
    return sorted(
        name
        for name in os.environ
        if name.startswith(_PASSED_ON)
        and name not in _OF_THIS_MACHINE
        and not name.startswith(_PREFIXES_OF_COMMANDS)
    )


def _read(home: str) -> dict[str, Any] | None:
    try:
        with open(os.path.join(home, FILE), encoding="utf-8") as file:
            record = json.load(file)
        return {**record, "port": int(record["port"]), "version": str(record["version"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(home: str) -> str:
    if configured := os.environ.get("CODEWORDS_API_KEY"):
        return configured
    try:
        with open(os.path.join(home, KEY_FILE), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _make_key(home: str) -> str:
    key = f"cwk-{secrets.token_urlsafe(32)}"
    _write(home, KEY_FILE, f"{key}\n")
    return key


def _write(home: str, name: str, text: str) -> None:
    from codewords_mcp.stdio import spawn

    path = os.path.join(home, name)
    fresh = f"{path}.{os.getpid()}"
    try:
        # The mode from the beginning, since one of these files holds the key.
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(fresh, path)  # noqa: PTH105
    except OSError as error:
        raise spawn.not_writable(home, error) from error
