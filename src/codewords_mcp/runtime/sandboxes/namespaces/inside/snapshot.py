"""A script's start from a snapshot: taken once, after its import and before its server, and gone on from in each run.

A script may name two functions: `__before_snapshot__` is called before its snapshot is taken, `__after_restore__` in each
run, before the server starts, also where the run begins without a snapshot (`boot`).
"""

from __future__ import annotations

import gc
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from . import fitness, image, mapped

_HEADER_SIZE: Final = 1 << 16
MAX_IMAGE: Final = 256 << 20


def read_description(fd: int) -> dict[str, Any] | None:
    """An image's description of itself, from the program; None where it can't be read."""
    head = os.pread(fd, _HEADER_SIZE, 0)
    try:
        length: int = struct.unpack_from("<q", head)[0]
        found: Any = json.loads(head[8 : 8 + length].decode()) if 0 < length <= _HEADER_SIZE - 8 else None
    except (struct.error, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _write(description: dict[str, Any]) -> bytes:
    data = json.dumps(description).encode()
    if len(data) > _HEADER_SIZE - 8:
        raise image.Unfit("it reads too many variables at import")
    return struct.pack("<q", len(data)) + data


class Taking:
    """The taking of one snapshot: made before the script's first line, called where its server would start.

    `server` is the server's memory; `fd` the file for the image. `resume` gets the variables of the run, in the run.
    """

    def __init__(
        self, fd: int, server: list[mapped.MappedArea], resume: Callable[[dict[str, str]], None]
    ) -> None:
        self._fd = fd
        self._resume = resume
        self._server = server
        self._began = time.process_time()
        self._observer = fitness.ImportObserver()

    def __call__(self) -> None:
        """Take it. Returns only in a run that goes on from it."""
        seconds = time.process_time() - self._began
        observer = self._observer
        observer.stop()
        try:
            _call("__before_snapshot__")
            sys.stdout.flush()
            sys.stderr.flush()
            gc.collect()
            if why := image.possible():
                raise image.Unfit(why)
            if reasons := observer.look(self._fd):
                self._refuse(reasons)
            signals = observer.changed_signals()
            read, written = _variables(observer.variables)
            description = {"seconds": round(seconds, 4), "read": read}
            # Collections in a run leave out what was there, and don't copy its pages.
            gc.freeze()
            note = image.take(
                self._fd, self._server, lambda files: _write(description | {"files": files}), MAX_IMAGE
            )
        except image.Unfit as error:
            self._refuse([str(error)])
        except OSError as error:
            self._refuse([f"its memory could not be read ({error.strerror})"])

        # From here on: in a run.
        for number, handler in signals.items():
            signal.signal(number, handler)
        self._resume(note["variables"])
        for name, value in written.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _refuse(self, reasons: list[str]) -> NoReturn:
        os.pwrite(self._fd, _write({"reasons": [reason[:200] for reason in reasons]}), 0)
        os._exit(0)


def _variables(seen: Any) -> tuple[dict[str, str | None], dict[str, str | None]]:
    """Variables that the script read, and those that it set, with their values."""
    read = {
        os.fsdecode(name): None if value is None else os.fsdecode(value) for name, value in seen.read.items()
    }
    written = {os.fsdecode(name): os.environ.get(os.fsdecode(name)) for name in seen.written}
    return read, written


def _call(name: str) -> None:
    hook: Any = getattr(sys.modules.get("__main__"), name, None)
    if callable(hook):
        hook()
