"""Lock of a home, held by its runtime for life, and the file that tells other processes how to reach it."""

from __future__ import annotations

# ruff: noqa: PTH103, PTH105, PTH108, PTH110, PTH118 - pathlib is not worth its import in the proxy
import contextlib
import json
import os
import time

from codewords_mcp.errors import StorageFailed
from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codewords_mcp.stdio.home import RuntimeInfo

_LOCK_TIMEOUT = 2.0
"""Seconds to try for the lock: somebody who looks whether a runtime lives holds it for an instant."""
_POLL = 0.02


class HomeLocked(StorageFailed):
    """Another runtime holds this home. `pid` is 0 and `url` empty until it has published them."""

    def __init__(self, home: str, pid: int, url: str) -> None:
        if url:
            where = f" and answers at {url}"
        else:
            where = " and is starting or ending"
        super().__init__(
            f"Another runtime (pid {pid}) holds the home {home}{where}.",
            hint="Use that one, end it with `codewords-mcp stop`, or set CODEWORDS_HOME to another folder.",
        )
        self.pid = pid
        self.url = url


class HomeLock:
    """The lock on a home, as long as this object lives in this process.

    `recovered`: the runtime before left `runtime.json` behind, so it did not end in order.
    Raises Held, and StorageFailed for a home that cannot be written.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        try:
            os.makedirs(home, mode=0o700, exist_ok=True)
            self._fd = os.open(
                os.path.join(home, homes.LOCK), os.O_RDWR | os.O_CREAT | locks.CLOSE_ON_EXEC, 0o600
            )
        except OSError as error:
            raise StorageFailed(
                f"The home {home} cannot be used: {(error.strerror or str(error)).lower()}.",
                hint="Make it writable, or set CODEWORDS_HOME to a folder that is.",
            ) from error

        try:
            self._lock()
        except HomeLocked:
            os.close(self._fd)
            raise

        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.write(self._fd, f"{os.getpid()}\n".encode())
        # `retire` removes the file in an orderly end, so one that is still there tells of a
        # crash.
        self.recovered = os.path.exists(os.path.join(home, homes.INFO))
        self.retire()

    def _lock(self) -> None:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            if locks.try_lock(self._fd):
                return
            pid = homes.holder(self.home)
            # A holder that has written its pid is a runtime. Without a pid it may be a
            # process that only looks, so the lock is tried again for a moment.
            if (pid and pid != os.getpid()) or time.monotonic() > deadline:
                info = homes.find_local(self.home)
                raise HomeLocked(self.home, pid or 0, info.url if info else "")
            time.sleep(_POLL)

    def publish(self, info: RuntimeInfo) -> None:
        """Tell how this runtime is reached, in one step, to its owner only. Raises StorageFailed."""
        path = os.path.join(self.home, homes.INFO)
        fresh = f"{path}.{os.getpid()}"

        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)
            # O_EXCL with the mode: the key in the file must never be readable to others, not
            # even between creation and a chmod.
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | locks.CLOSE_ON_EXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(info.to_dict(), file)
            # Readers poll this path without a lock and must see the old file or the whole new
            # one.
            os.replace(fresh, path)
        except OSError as error:
            raise StorageFailed(
                f"The home {self.home} cannot be written: {(error.strerror or str(error)).lower()}.",
                hint="Free some space or make it writable.",
            ) from error

    def retire(self) -> None:
        """Remove the published address. A process that needs a runtime waits for the lock from now on."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.home, homes.INFO))

    def release(self) -> None:
        """Remove the published address and release the lock."""
        self.retire()
        os.close(self._fd)
