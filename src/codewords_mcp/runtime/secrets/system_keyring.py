"""The operating system's keyring, where a real one exists: Keychain, Secret Service, KWallet, Credential Locker.

A home whose key is there has a mark that says so; without the mark the keyring is never asked.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

SERVICE: Final = "codewords-mcp"
MARK: Final = "master.keyring"
PATIENCE: Final = 20.0
"""Seconds: a locked keyring asks its user, who may not be there."""
_REAL: Final = 1
"""The priority from which `keyring` recommends a backend; those that keep nothing, or plain text, are below."""

T = TypeVar("T")


def marked(home: Path) -> bool:
    """Whether this home keeps its master key in the keyring."""
    return (home / MARK).exists()


def adopt(home: Path, text: str) -> bool:
    """Keep a new master key in the keyring, and mark the home; False where there is none that keeps it."""
    name = _name(home)
    if not _may_be_here() or not _ask(lambda: _write(name, text)) or _ask(lambda: _read(name)) != text:
        return False
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        os.close(os.open(home / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return True


def read(home: Path, slot: str = "") -> str | None:
    """What the keyring has for this home; None where it has nothing, or does not answer."""
    return _ask(lambda: _read(_name(home) + slot))


def write(home: Path, text: str, slot: str = "") -> bool:
    """Whether the keyring has it now."""
    name = _name(home) + slot
    return bool(_ask(lambda: _write(name, text))) and _ask(lambda: _read(name)) == text


def forget(home: Path, slot: str) -> None:
    """Remove what is kept in a slot, if it is there."""
    _ask(lambda: _delete(_name(home) + slot))


def _may_be_here() -> bool:
    """Whether looking for a keyring is worth it: on Linux it is behind a session's bus, and the search starts programs."""
    if sys.platform != "linux" or "PYTHON_KEYRING_BACKEND" in os.environ:
        return True
    folder = os.environ.get("XDG_RUNTIME_DIR")
    return "DBUS_SESSION_BUS_ADDRESS" in os.environ or bool(folder and Path(folder, "bus").exists())


def _name(home: Path) -> str:
    return "master-key-" + hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]


def _ask(question: Callable[[], T]) -> T | None:
    """Its answer within the patience; None where the keyring fails, in whatever way its backend does."""
    answers: list[T] = []

    def ask() -> None:
        with suppress(Exception):
            answers.append(question())

    thread = threading.Thread(target=ask, daemon=True, name="keyring")
    thread.start()
    thread.join(PATIENCE)
    if answers:
        return answers[0]

    return None


def _read(name: str) -> str | None:
    import keyring

    return keyring.get_password(SERVICE, name)


def _write(name: str, text: str) -> bool:
    import keyring

    if keyring.get_keyring().priority < _REAL:
        return False
    keyring.set_password(SERVICE, name, text)
    return True


def _delete(name: str) -> None:
    import keyring

    keyring.delete_password(SERVICE, name)
