"""Start a home's runtime detached, and end it: the seldom-used half of `home`, imported when needed."""

from __future__ import annotations

# ruff: noqa: PTH103, PTH105, PTH118, PTH123, PTH202 - pathlib is not worth its import in the proxy
import contextlib
import errno
import functools
import json
import os
import select
import signal
import sys
import time
from _thread import start_new_thread

from codewords_mcp.common.counts import counted
from codewords_mcp.errors import Conflict, RuntimeUnavailable, StorageFailed
from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from codewords_mcp.stdio.home import RuntimeInfo, Say

_POLL = 0.02
"""Seconds between two looks at a lock that somebody else holds: flock cannot be waited for with a bound."""
_ANSWER = 10.0
_TELL_EVERY = 3.0
_REASON_LIMIT = 600
PYTHON_OPTIONS = ("-P", "-X", "no_debug_ranges")
"""Isolated from the folder a chat host was started in: `-P` keeps its files from being imported. Columns of the code are 1.2 MiB,
and only point at a part of a line in a traceback.
"""
_TRY_AGAIN = "`codewords-mcp stop` ends it; then try again."


def start(home: str, say: Say, deadline: float) -> RuntimeInfo:
    """Start the runtime for `lifecycle.ensure`, which found none. Waits for one that another process starts or ends."""
    make_folders(home)
    with start_lock(home, deadline):
        # Whoever held the lock before us started one, or one is ending in order and has to be waited for.
        _until(
            functools.partial(_answers_or_gone, home),
            deadline,
            f"the runtime of {home} is neither answering nor gone",
        )
        found = homes.find_local(home)
        if found is not None:
            return found

        say(f"starting the runtime of {home}")
        return _spawn_and_wait(home, say, deadline)


def stop(home: str, deadline: float, *, only_idle: bool) -> RuntimeInfo | None:
    """See `lifecycle.stop`."""
    info = homes.find_local(home)
    if info is None:
        # It starts, or it ends already. Neither is signalled: a second signal would cut off the runs of one that ends.
        info = _until_published_or_gone(home, homes.holder(home), deadline)

    if info is None:
        return None

    # HTTP first: the answer tells that the request was accepted, which a signal doesn't.
    if not _ask_to_stop(info, only_idle=only_idle):
        # Not answering, and the lock proves that this pid is the runtime.
        with contextlib.suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGTERM)

    _until_gone(home, info.pid, deadline)
    return info


def _until_published_or_gone(home: str, pid: int | None, deadline: float) -> RuntimeInfo | None:
    """Wait until the runtime that holds the home has published its address. None if it has ended instead."""
    found: RuntimeInfo | None = None

    def settled() -> bool:
        nonlocal found, pid
        found = homes.find_local(home)
        holder = homes.holder(home)
        pid = pid or holder  # 0 until it has said its pid
        return found is not None or holder is None or holder not in {0, pid}

    _until(
        settled,
        deadline,
        f"the runtime (pid {pid}) is still starting or ending",
        hint=f"Try again, or end it with `kill {pid}`.",
    )
    if found is not None and found.pid == pid:
        return found

    return None


def _answers_or_gone(home: str) -> bool:
    return homes.find_local(home) is not None or homes.holder(home) is None


def _is_gone(home: str, pid: int | None) -> bool:
    return pid is None or homes.holder(home) != pid


def _until_gone(home: str, pid: int | None, deadline: float) -> None:
    _until(
        functools.partial(_is_gone, home, pid),
        deadline,
        f"the runtime (pid {pid}) has not ended yet",
        hint=f"Wait, or end it with `kill -9 {pid}`: runs that go on are recorded as interrupted, nothing is lost.",
    )


def _ask_to_stop(info: RuntimeInfo, *, only_idle: bool) -> bool:
    """Ask the runtime to stop. True if it accepted. Raises Conflict with `only_idle` while it has active runs."""
    if only_idle and (active := runs_active(info)):
        raise Conflict(
            f"The runtime (pid {info.pid}) has {counted(active, 'run')} active.",
            hint="Wait for them, or end it with `codewords-mcp stop`.",
        )
    return _call(info, "POST", "/stop") is not None


def runs_active(info: RuntimeInfo) -> int:
    """Count the runs of a runtime that are active or wait. 0 if it doesn't answer."""
    try:
        runs = json.loads(_call(info, "GET", "/status") or b"")["runs"]
        return int(runs["active"]) + int(runs["queued"])
    except (ValueError, KeyError, TypeError):
        return 0  # it does not even answer that, or is of another kind


def _call(info: RuntimeInfo, method: str, path: str) -> bytes | None:
    """Send a request to the runtime. Returns the body of a successful response, None for every other."""
    import http.client

    connection = http.client.HTTPConnection(info.url.split("://", 1)[-1], timeout=_ANSWER)

    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {info.token}"})
        answer = connection.getresponse()
        if answer.status < 300:
            return answer.read()

        return None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def make_folders(home: str) -> None:
    """Make a home and its folder of logs. Raises StorageFailed."""
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        os.makedirs(os.path.join(home, "logs"), mode=0o700, exist_ok=True)
    except OSError as error:
        raise not_writable(home, error) from error


def not_writable(home: str, error: OSError) -> StorageFailed:
    """The error for a home that can't be written, with its reason."""
    if error.errno:
        reason = os.strerror(error.errno)
    else:
        reason = "it cannot be written"
    return StorageFailed(
        f"The home {home} cannot be used: {reason.lower()}.",
        hint="Make it writable, or set CODEWORDS_HOME to a folder that is.",
    )


@contextlib.contextmanager
def start_lock(home: str, deadline: float) -> Generator[None]:
    """Hold the home's lock of starts: of many processes that need a runtime, one starts it. Raises RuntimeUnavailable."""
    try:
        fd = os.open(os.path.join(home, "start.lock"), os.O_RDWR | os.O_CREAT | locks.CLOSE_ON_EXEC, 0o600)
    except OSError as error:
        raise not_writable(home, error) from error

    try:
        _until(
            functools.partial(locks.try_lock, fd),
            deadline,
            f"another program has been starting the runtime of {home} all the while",
        )
        yield
    finally:
        # Closing gives the lock back, as the end of the process would.
        os.close(fd)


def _until(done: Callable[[], bool], deadline: float, otherwise: str, hint: str = _TRY_AGAIN) -> None:
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeUnavailable(f"The runtime did not become ready in time: {otherwise}.", hint=hint)
        time.sleep(_POLL)


def _spawn_and_wait(home: str, say: Say, deadline: float) -> RuntimeInfo:
    reader, writer = os.pipe()
    try:
        # Python's descriptors are close-on-exec; the runtime reports its start on this one.
        os.set_inheritable(writer, True)
        pid = _spawn(home, writer)
    except OSError as error:
        os.close(reader)
        raise not_writable(home, error) from error
    finally:
        # The parent's copy must be closed: otherwise the pipe never ends when the child dies.
        os.close(writer)

    try:
        outcome = _listen(reader, say, deadline)
    finally:
        os.close(reader)

    info = homes.find_local(home) if outcome == "ready" else None
    if info is not None:
        # A child that ends is a zombie until it is waited for; nobody else in this process will.
        start_new_thread(_reap, (pid,))
        return info

    raise _failure(home, pid, outcome)


def _spawn(home: str, writer: int) -> int:
    if sys.platform == "win32":
        # `lifecycle.ensure` refuses before: no runtime is started there.
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    log = homes.log_path(home)
    _rotate(log)
    env = {**os.environ, "CODEWORDS_HOME": home, homes.READY_FD: str(writer)}
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    argv = [sys.executable, *PYTHON_OPTIONS, "-m", "codewords_mcp", "serve", "--detached"]

    # setsid: the runtime outlives the chat host, and a Ctrl-C in its terminal is not for it.
    return os.posix_spawn(sys.executable, argv, env, file_actions=actions, setsid=True)


def _rotate(log: str) -> None:
    with contextlib.suppress(OSError):
        # Only at a start: nobody else has the file open then.
        if os.path.getsize(log) > homes.LOG_LIMIT:
            os.replace(log, log + ".1")


def _listen(reader: int, say: Say, deadline: float) -> str:
    """Return the starting runtime's report.

    "ready", "failed WHY", "" if it died without a report, or "slow" after the deadline.
    """
    outcome = b""
    began = time.monotonic()

    while b"\n" not in outcome:
        left = deadline - time.monotonic()
        if left <= 0:
            # Reported apart from a death: the process lives and must be ended by the caller.
            return "slow"
        if not select.select([reader], [], [], min(left, _TELL_EVERY))[0]:
            say(f"the runtime is still starting ({time.monotonic() - began:.0f} s)")
            continue

        part = os.read(reader, 4096)
        if not part:
            break

        outcome += part

    return outcome.decode(errors="replace").strip()


def _failure(home: str, pid: int, outcome: str) -> RuntimeUnavailable:
    log = homes.log_path(home)
    if outcome == "slow":
        with contextlib.suppress(ProcessLookupError):
            # It would otherwise go on starting and hold the home after this process gave up on
            # it.
            os.kill(pid, signal.SIGTERM)
        start_new_thread(_reap, (pid,))
        return RuntimeUnavailable(
            "The runtime did not come to answer in time and was ended.", hint=f"Its log says more: {log}"
        )

    how = _reap(pid)
    if outcome.startswith("failed "):
        reason = outcome.removeprefix("failed ")
    else:
        reason = _last_line(log)

    if reason:
        reason_text = f": {reason[:_REASON_LIMIT].rstrip('.')}."
    else:
        reason_text = f", {how}."

    return RuntimeUnavailable(
        f"The runtime could not be started{reason_text}", hint=f"Its log says more: {log}"
    )


def _reap(pid: int) -> str:
    try:
        _, status = os.waitpid(pid, 0)
    except OSError as error:
        # SIGCHLD may be ignored, as inherited from the chat host: the kernel has reaped it.
        if error.errno == errno.ECHILD:
            return ""
        return str(error)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"it ended with exit code {code}"
    return f"it was ended by {signal.Signals(-code).name}"


def _last_line(log: str) -> str:
    try:
        with open(log, "rb") as file:
            # A log may be long, and only its last line is shown.
            file.seek(max(0, os.path.getsize(log) - 4096))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")
