"""Rotation of a home's master key: every secret is encrypted anew, and every intermediate state is
valid.

During a rotation there are two keys, the old one and the next. New values are encrypted with the
next key, and each stored value names its key. The next key replaces the old one only when no value
needs the old one. So a killed rotation can be resumed, and no key is overwritten: the old key stays
under another name, for old backups.
"""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.secrets import system_keyring
from codewords_mcp.runtime.secrets.master_key import (
    FILE_NAME,
    KEY_BYTES,
    MasterKey,
    load_master_key,
    new_file,
    parse_key,
    read_file,
)

NEXT: Final = ".next"
RETIRED: Final = ".retired-"


class Keys:
    """A home's master keys: `current` encrypts, `older` ones decrypt values of before. Blocking.

    The constructor raises the errors of `load_master_key`.
    """

    def __init__(
        self,
        home: Path,
        configured: str | None,
        previous: str | None,
        *,
        stored_key_ids: set[str],
        keyring: bool,
    ) -> None:
        self._home = home
        older: tuple[MasterKey, ...] = (parse_key(previous),) if previous else ()
        # The environment's key is never rotated here: only its owner can change it.
        found = None if configured else self._read_next()

        if found is not None:
            # A rotation was interrupted: values of both keys are stored.
            older = (
                *older,
                load_master_key(None, home, stored_key_ids=stored_key_ids - {found.id}, older=older),
            )

        self.current = found or load_master_key(
            configured, home, stored_key_ids=stored_key_ids, older=older, keyring=keyring
        )
        self.older: tuple[MasterKey, ...] = older

    @property
    def every(self) -> tuple[MasterKey, ...]:
        """All of them, the current one first."""
        return (self.current, *reversed(self.older))

    def first_in_use(self, stored_key_ids: set[str]) -> str:
        """Return the id of the key that the first process on a shared database encrypts with."""
        return next((key.id for key in self.every if key.id in stored_key_ids), self.current.id)

    @property
    def unfinished(self) -> bool:
        """Whether a rotation was started and not finished."""
        return self.current.source != "environment" and bool(self.older) and self._read_next() is not None

    def begin(self) -> None:
        """Prepare the next key, or take the one of an unfinished rotation.

        Raises StorageFailed, and InvalidInput if the key is the environment's and no previous one
        is set.
        """
        if self.current.source == "environment":
            if not self.older:
                raise InvalidInput(
                    "The master key is CODEWORDS_MASTER_KEY, which the runtime cannot change.",
                    hint="Start it with the new key in CODEWORDS_MASTER_KEY and the old one in CODEWORDS_MASTER_KEY_PREVIOUS,"
                    " and run this again.",
                )
            return

        # The key of a rotation that was interrupted is taken up again: values of it may be stored.
        if self._read_next() is None:
            self._make_next()
            next_key = self._read_next()
            if next_key is None:
                raise StorageFailed("The next master key was not kept.", hint="Nothing was changed.")

            self.older = (*self.older, self.current)
            self.current = next_key

    def finish(self) -> str:
        """Make the next key the current one: no value needs an older key.

        Returns the old key's location.
        """
        if self.current.source == "environment":
            return "CODEWORDS_MASTER_KEY_PREVIOUS is not needed any more"

        *_, old = self.older
        self.older = ()
        if old.source == "keyring":
            text = base64.b64encode(self.current.material).decode()
            # The old key is stored under its new name before the new one replaces it.
            stored = system_keyring.write(
                self._home, base64.b64encode(old.material).decode(), f"{RETIRED}{old.id}"
            )
            if not stored or not system_keyring.write(self._home, text):
                raise StorageFailed("The system's keyring did not take the new key.", hint="Run this again.")

            system_keyring.forget(self._home, NEXT)
            return f"the old key is kept in the system's keyring as {RETIRED.strip('.')}{old.id}"

        path = self._home / FILE_NAME
        retired = self._home / f"{FILE_NAME}{RETIRED}{old.id}"
        # An interrupted finish may have made the link already.
        with suppress(FileExistsError):
            os.link(path, retired)
        # In one step: at no moment is there no key.
        (self._home / (FILE_NAME + NEXT)).replace(path)
        return f"the old key is kept in {retired}"

    def _read_next(self) -> MasterKey | None:
        if system_keyring.marked(self._home):
            text = system_keyring.read(self._home, NEXT)
            if text is None:
                return None
            return MasterKey(parse_key(text).material, "keyring")
        return read_file(self._home / (FILE_NAME + NEXT))

    def _make_next(self) -> None:
        if self.current.source == "keyring":
            text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
            system_keyring.write(self._home, text, NEXT)
            return

        try:
            new_file(self._home / (FILE_NAME + NEXT))
        except OSError as error:
            raise StorageFailed(
                f"The next master key could not be written to {self._home}: {error.strerror}.",
                hint="Nothing was changed.",
            ) from error
