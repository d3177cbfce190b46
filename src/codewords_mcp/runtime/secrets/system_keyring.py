"""The operating system's keyring, if it has one: Keychain, Secret Service, KWallet, Credential
Locker.

A home whose key is there has a marker file; without it the keyring is never queried.
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
TIMEOUT_S: Final = 20.0
"""Seconds: a locked keyring prompts its user, who may be absent."""
# The lowest priority of backends that `keyring` recommends; null and plain-text backends are below.
_REAL: Final = 1

T = TypeVar("T")


def marked(home: Path) -> bool:
    """Whether this home keeps its master key in the keyring."""
    return (home / MARK).exists()


def adopt(home: Path, text: str) -> bool:
    """Keep a new master key in the keyring, and mark the home; False where there is none that keeps it."""
    name = _name(home)
    # Read back: some backends accept a value and keep none.
    if (
        not _may_be_here()
        or not _call_with_timeout(_write, name, text)
        or _call_with_timeout(_read, name) != text
    ):
        return False
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        os.close(os.open(home / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return True


def read(home: Path, slot: str = "") -> str | None:
    """Read the home's entry from the keyring; None if there is none, or the keyring does not
    respond.
    """
    return _call_with_timeout(_read, _name(home) + slot)


def write(home: Path, text: str, slot: str = "") -> bool:
    """Whether the keyring has it now."""
    name = _name(home) + slot
    return bool(_call_with_timeout(_write, name, text)) and _call_with_timeout(_read, name) == text


def forget(home: Path, slot: str) -> None:
    """Remove the entry of a slot, if there is one."""
    _call_with_timeout(_delete, _name(home) + slot)


def _may_be_here() -> bool:
    """Whether a keyring is likely: on Linux it needs a session bus, and a search starts programs."""
    if sys.platform != "linux" or "PYTHON_KEYRING_BACKEND" in os.environ:
        return True
    folder = os.environ.get("XDG_RUNTIME_DIR")
    return "DBUS_SESSION_BUS_ADDRESS" in os.environ or bool(folder and Path(folder, "bus").exists())


def _name(home: Path) -> str:
    # One keyring serves all homes of a user: the path tells them apart.
    return "master-key-" + hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]


def _call_with_timeout(question: Callable[..., T], *arguments: str) -> T | None:
    """Call the keyring with a timeout; None if its backend fails in any way."""
    results: list[T] = []

    def target() -> None:
        # Backends raise errors of their own libraries.
        with suppress(Exception):
            results.append(question(*arguments))

    # A daemon: a prompt that nobody answers must not hold up the process's end.
    thread = threading.Thread(target=target, daemon=True, name="keyring")
    thread.start()
    thread.join(TIMEOUT_S)
    if results:
        return results[0]

    return None


def _read(name: str) -> str | None:
    # Imported here: it loads its backends, and most homes have no keyring.
    import keyring

    return keyring.get_password(SERVICE, name)


def _write(name: str, text: str) -> bool:
    import keyring

    # Backends below keep values in plain text, or nowhere.
    if keyring.get_keyring().priority < _REAL:
        return False
    keyring.set_password(SERVICE, name, text)
    return True


def _delete(name: str) -> None:
    import keyring

    keyring.delete_password(SERVICE, name)
