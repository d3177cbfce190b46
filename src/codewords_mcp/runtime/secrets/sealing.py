"""Encryption of recordings, by a data key of the home that the vault keeps among the secrets.

The data key is a row of the table of secrets under an owner that nobody can be, so a rotation of the master key encrypts
32 bytes anew and no recording.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from codewords_mcp.runtime.secrets.vault import SealedValue, Vault
from codewords_mcp.runtime.store import access, key_use
from codewords_mcp.runtime.store.clock import now

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DATA_KEY_OWNER: Final = "*recordings"
"""Owner of the data key's row among the secrets. Nobody can have this name."""
_NAME: Final = "DATA_KEY"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class DamagedSeal(ValueError):
    """The bytes were sealed with another key or for another place, or are damaged."""


class Sealer:
    """Seals with AES-256-GCM. Each value is bound to its owner and name: a copied row does not open.

    For functions of `Database`: the data key is read, or made, in their transaction.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = threading.Lock()
        self._key: bytes | None = None
        self._aead: AESGCM | None = None

    def seal(self, connection: Connection, owner: str, name: str, data: bytes) -> bytes:
        """Encrypt data. Raises StorageFailed if the data key cannot be read."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher(connection).encrypt(nonce, data, _place(owner, name))

    def open(self, connection: Connection, owner: str, name: str, sealed: bytes) -> bytes:
        """Decrypt data. Raises DamagedSeal; StorageFailed if the data key cannot be read."""
        from cryptography.exceptions import InvalidTag

        try:
            nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher(connection).decrypt(nonce, data, _place(owner, name))
        except (InvalidTag, ValueError):
            raise DamagedSeal(name) from None

    def digest(self, connection: Connection, owner: str, data: bytes) -> str:
        """Name for equal data of an owner, which tells nothing about the data without the key."""
        key = self._data_key(connection)
        return hmac.new(key, owner.encode() + b"\0" + data, hashlib.sha256).hexdigest()

    def _cipher(self, connection: Connection) -> AESGCM:
        if self._aead is not None:
            return self._aead

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        cipher = AESGCM(self._data_key(connection))
        if self._key is not None:
            self._aead = cipher
        return cipher

    def _data_key(self, connection: Connection) -> bytes:
        with self._lock:
            # Only a stored key is remembered: the transaction that makes one may be rolled back.
            self._key = self._key or self._stored(connection)
            return self._key or self._make(connection)

    def _stored(self, connection: Connection) -> bytes | None:
        rows = access.list_secrets(connection, DATA_KEY_OWNER)
        if not rows:
            return None
        value = SealedValue(rows[0]["key_id"], rows[0]["ciphertext"])
        return bytes.fromhex(self._vault.decrypt(DATA_KEY_OWNER, _NAME, value))

    def _make(self, connection: Connection) -> bytes:
        key, at = os.urandom(_KEY_BYTES), now()
        sealed = self._vault.encrypt(DATA_KEY_OWNER, _NAME, key.hex(), key_use.in_use(connection))
        access.add_secret_once(
            connection,
            {
                "owner": DATA_KEY_OWNER,
                "name": _NAME,
                "key_id": sealed.key_id,
                "ciphertext": sealed.data,
                "source": None,
                "rule": None,
                "created_at": at,
                "updated_at": at,
            },
        )
        # Of replicas that make one at once, one wins, and all read that one.
        return self._stored(connection) or key


def _place(owner: str, name: str) -> bytes:
    """Lengths before the parts, so that no two pairs give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (owner.encode(), name.encode()))
