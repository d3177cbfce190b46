"""The vault: secrets at rest under AES-256-GCM, each bound to its owner and name."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from codewords_mcp.errors import StorageFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.secrets.master_key import MasterKey, require_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = b"\x01"
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SealedValue:
    """An encrypted value as a row stores it.

    `key_id` names the master key, 16 hex digits. `data` is format, nonce, ciphertext and tag: 29
    bytes more than the value in UTF-8.
    """

    key_id: str
    data: bytes


class Vault:
    """Encrypts with one master key; decrypts with it, and with older ones.

    Owner and name are associated data: a row that is copied to another owner or name does not decrypt.
    Nonces are random, which bounds one key to 2³² values (NIST SP 800-38D, 8.3).
    """

    def __init__(self, master_key: MasterKey, older: Collection[MasterKey] = ()) -> None:
        self.use(master_key, older)

    def use(self, master_key: MasterKey, older: Collection[MasterKey] = ()) -> None:
        """Set the key for encryption; older keys can still decrypt."""
        self._master_key = master_key
        self._ciphers = {key.id: cache(partial(_cipher, key)) for key in (*older, master_key)}

    @property
    def key_id(self) -> str:
        """The id of the master key that values are encrypted with."""
        return self._master_key.id

    def encrypt(self, owner: str, name: str, value: str, key_id: str | None = None) -> SealedValue:
        """Encrypt a value for that owner and name; with `key_id` if processes on the database use
        another key.

        Raises StorageFailed if the vault lacks that key.
        """
        # Random, 96 bits: no counter has to survive a crash or be shared by processes.
        nonce, key_id = os.urandom(_NONCE_BYTES), key_id or self.key_id
        sealed = self._key(key_id).encrypt(nonce, value.encode(), _associated(owner, name))
        return SealedValue(key_id, _FORMAT + nonce + sealed)

    def decrypt(self, owner: str, name: str, sealed: SealedValue) -> str:
        """The value of a row.

        Raises StorageFailed when it was sealed with another master key (the message names the id needed), for
        another owner or name, or is damaged.
        """
        from cryptography.exceptions import InvalidTag

        aead = self._key(sealed.key_id)
        body = sealed.data[len(_FORMAT) :]
        nonce, ciphertext = body[:_NONCE_BYTES], body[_NONCE_BYTES:]

        try:
            return aead.decrypt(nonce, ciphertext, _associated(owner, name)).decode()
        except (InvalidTag, ValueError):
            # ValueError: too short to hold a nonce.
            raise StorageFailed(
                f"The stored value of secret {name} is damaged or belongs to another row.",
                remedy=set_secret(name),
            ) from None

    def _key(self, key_id: str) -> AESGCM:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            require_key(self._master_key, (key_id,))
            raise AssertionError
        return cipher()


def _cipher(key: MasterKey) -> AESGCM:
    # Imported here: cryptography is 9 MB of memory, for nothing where no secret is read.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key.derive("secrets"))


def _associated(owner: str, name: str) -> bytes:
    """Lengths before the parts, so that no two pairs give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (_FORMAT, owner.encode(), name.encode()))
