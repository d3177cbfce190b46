"""The home's master key: from the environment, the system's keyring, or a private file in the home.

Losing the key loses the secrets, so no function here overwrites one: neither a wrong file nor a
file that another process made meanwhile. No new key is made while secrets of an old one are stored.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from codewords_mcp.errors import CodewordsError, InvalidInput, StorageFailed
from codewords_mcp.runtime.secrets import system_keyring

log = structlog.get_logger(__name__)

FILE_NAME = "master.key"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """32 bytes, and an id that identifies the key without revealing it. `notes` are for a person."""

    material: bytes
    source: Literal["environment", "keyring", "file"]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"MasterKey(id={self.id!r}, source={self.source!r})"

    @property
    def id(self) -> str:
        """16 hex digits, the same for the same key; stored with each value that the key encrypts."""
        return self.derive("id").hex()[:16]

    def derive(self, purpose: str) -> bytes:
        """Derive 32 bytes for one purpose, such as signing.

        They reveal nothing about other purposes' keys.
        """
        return hmac.digest(self.material, b"codewords/" + purpose.encode(), hashlib.sha256)


def load_master_key(
    configured: str | None,
    home: Path,
    *,
    stored_key_ids: Collection[str] = (),
    older: Collection[MasterKey] = (),
    keyring: bool = False,
) -> MasterKey:
    """Load the home's master key, or make one.

    The key is CODEWORDS_MASTER_KEY (`configured`), else the key in the system's keyring or the
    home's file. A new key goes to the keyring if `keyring` and there is a real one, else to the
    file.

    `stored_key_ids` are the key ids of stored secrets, without those of `older` keys. Wrong
    permissions of the file are repaired, and a note says so. Raises InvalidInput when `configured`
    is not a key. Raises StorageFailed when the key is missing though secrets are stored, is not a
    key, is not this home's key, or can't be read or written.
    """
    # Values of older keys can be read with those; only the others need this key.
    needed = set(stored_key_ids) - {key.id for key in older}
    if configured:
        key = _from_environment(configured)
    else:
        key = _from_home(home, needed, keyring=keyring)

    require_key(key, needed)
    for note in key.notes:
        log.warning("master key", note=note)
    return key


def parse_key(text: str) -> MasterKey:
    """Parse a key that a person typed. Raises InvalidInput."""
    return _from_environment(text)


def read_file(path: Path) -> MasterKey | None:
    """The key in a file; None where there is none. Raises StorageFailed, OSError."""
    return _read(path)


def new_file(path: Path) -> None:
    """A new key in a file of this name, unless there is one. Raises OSError."""
    _create(path)


def _from_home(home: Path, stored_key_ids: Collection[str], *, keyring: bool) -> MasterKey:
    path = home / FILE_NAME
    # A home that has its key in the keyring must never get a second one in a file.
    if system_keyring.marked(home):
        return _from_keyring(home, stored_key_ids)
    # A new key only where none was ever needed.
    if keyring and not stored_key_ids and not path.exists():
        text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        if system_keyring.adopt(home, text):
            return _from_keyring(home, stored_key_ids)
    return _from_file(path, stored_key_ids)


def _from_keyring(home: Path, stored_key_ids: Collection[str]) -> MasterKey:
    text = system_keyring.read(home)
    material = _parse(text) if text else None
    if material is None:
        if stored_key_ids:
            ids = f" Secrets encrypted with key {', '.join(sorted(stored_key_ids))} are stored."
        else:
            ids = ""

        raise StorageFailed(
            f"The system's keyring does not give out the master key of {home}.{ids}",
            hint="Unlock the keyring, or set CODEWORDS_MASTER_KEY to that key. Nothing was changed.",
        )

    return MasterKey(material, "keyring")


def require_key(key: MasterKey, stored_key_ids: Collection[str]) -> None:
    """Raise StorageFailed, naming the id needed, when secrets are stored that this key did not encrypt."""
    others = sorted(set(stored_key_ids) - {key.id})
    if others:
        source = {
            "environment": "CODEWORDS_MASTER_KEY",
            "keyring": "the one in the system's keyring",
            "file": f"the home's {FILE_NAME}",
        }[key.source]
        raise StorageFailed(
            f"Stored secrets were encrypted with master key {', '.join(others)}, but {source} is key {key.id}.",
            hint="Start with the key that they were encrypted with. Nothing was changed.",
        )


def _from_environment(text: str) -> MasterKey:
    material = _parse(text)
    if material is None:
        raise InvalidInput(
            "CODEWORDS_MASTER_KEY is not 32 bytes in base64 or hexadecimal.",
            hint="Make one with `openssl rand -hex 32`, or unset it to use the key kept in the home.",
        )
    return MasterKey(material, "environment")


def _from_file(path: Path, stored_key_ids: Collection[str]) -> MasterKey:
    try:
        found = _read(path)
        if found is not None:
            return found
        if stored_key_ids:
            raise _missing(path, stored_key_ids)

        _create(path)
        found = _read(path)
    except OSError as error:
        raise StorageFailed(
            f"The master key {path} cannot be used: {error.strerror or 'input/output error'}.",
            hint="Make the file and its folder readable and writable for the user that runs the runtime.",
        ) from error

    if found is None:
        raise StorageFailed(f"The master key {path} vanished while it was made.", hint="Start again.")

    return found


def _missing(path: Path, stored_key_ids: Collection[str]) -> CodewordsError:
    ids = ", ".join(sorted(stored_key_ids))
    return StorageFailed(
        f"The master key {path} is missing, but secrets encrypted with key {ids} are stored.",
        hint="Put the file back from a backup, or set CODEWORDS_MASTER_KEY to that key. Nothing was changed.",
    )


def _read(path: Path) -> MasterKey | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None

    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        notes = _repair_permissions(descriptor, path)
        material = _parse(file.read(1024))

    if material is None:
        raise StorageFailed(
            f"The master key {path} does not hold 32 bytes in base64 or hexadecimal.",
            hint="Put the right file back from a backup. It was not changed.",
        )

    return MasterKey(material, "file", notes)


def _repair_permissions(descriptor: int, path: Path) -> tuple[str, ...]:
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if os.name != "posix" or not mode & 0o077:
        return ()
    # By descriptor: the file at that path may be another one by now.
    os.fchmod(descriptor, 0o600)
    note = f"{path} was open to other users of this machine (mode {mode:04o}) and is 0600 now."
    return (f"{note} If others may have read it, set the secrets again under a new key.",)


def _create(path: Path) -> None:
    """Create the key file unless another process has created it."""
    # A whole new file gets its name in one step: no reader finds half a key.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())

        # Another process may have been first: its key is this home's.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

    # Else the name may be lost with the machine's power, and with it all secrets.
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # fsync of a file does not write the folder's entry: after a power cut the key could be
        # gone.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parse(text: str) -> bytes | None:
    compact = text.strip()
    # 64 hexadecimal digits are valid base64 too, of 48 bytes: hexadecimal comes first.
    for decode in (binascii.unhexlify, _base64):
        try:
            material = decode(compact.encode("ascii"))
        except ValueError:
            continue
        if len(material) == KEY_BYTES:
            return material
    return None


def _base64(text: bytes) -> bytes:
    plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
