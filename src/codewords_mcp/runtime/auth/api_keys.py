"""The home's API keys, over the store; and the keys of running sandboxes, which are in memory only."""

from __future__ import annotations

import os
import re
import secrets as random
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

from codewords_mcp.errors import InvalidInput, NotFound, Unauthenticated
from codewords_mcp.errors.remedies import CREATE_KEY, Remedy, RemedyAction
from codewords_mcp.runtime.auth.held_keys import caller_by, is_orphan, key_info, live_caller
from codewords_mcp.runtime.auth.key_format import (
    display_prefix,
    hash_key,
    is_run_key,
    new_key,
)
from codewords_mcp.runtime.auth.roles import caller_of
from codewords_mcp.runtime.auth.run_keys import RunKey
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, Scope
from codewords_mcp.runtime.model.key import KeyInfo
from codewords_mcp.runtime.model.time_bounds import check_seconds
from codewords_mcp.runtime.store import access, members
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import KeyRow

KEY_FILE = "api.key"
_HOME = Caller(HOME_OWNER, "admin")
_HOME_KEY = "home:"
_MEMBER = "m-"
_REFUSED = "That API key is not valid here."
_MODEL = re.compile(r"[\w.:/@*?-]{1,200}")
_MOST_MODELS = 100
_MIN_LIFETIME = 0.001
"""Minimum lifetime of a key in seconds."""
_MOST_TOOLSETS = 32
_MAX_CACHED = 10_000


def _ignore_unbound(_sandbox_id: str) -> None:
    """Nobody listens."""


def _ignore_change() -> None:
    """Nobody listens."""


class ApiKeys:
    """API keys: hashed at rest, looked up by hash, so that no comparison depends on the key's text.

    `on_change` is called when a key was revoked or a member's rights have changed, in this process.
    """

    def __init__(
        self,
        database: Database,
        home: Path,
        admin_key: str | None,
        on_change: Callable[[], None] = _ignore_change,
    ) -> None:
        self._db = database
        self._on_change = on_change
        self._home = home
        self._admin_hash = hash_key(admin_key or self._own_key())
        self._run_keys: WeakValueDictionary[str, RunKey] = WeakValueDictionary()
        self.on_unbound: Callable[[str], None] = _ignore_unbound
        """Called with the id of a sandbox whose key acts for no run any more."""
        self._known: dict[str, Caller] = {}
        self.changes = 0
        """Counts the changes of rights in this process: what was read before the last one is not kept."""
        self._models: dict[str, tuple[str, ...] | None] = {}

    def _own_key(self) -> str:
        path = self._home / KEY_FILE
        try:
            text = path.read_text(encoding="utf-8").strip()
            if text:
                return text
        except FileNotFoundError:
            pass

        key = new_key()
        # An empty file is left by a crash between creation and write, and O_EXCL would refuse
        # it.
        path.unlink(missing_ok=True)
        with os.fdopen(
            # With the mode at creation: the key is never readable to others, not even for a
            # moment.
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600),
            "w",
            encoding="utf-8",
        ) as file:
            file.write(key + "\n")

        return key

    async def authenticate(self, key: str) -> Caller:
        """Return the caller of a person's key; a one-time key is spent.

        Raises Unauthenticated, also for the key of a run.
        """
        digest = hash_key(key)
        # Compared before the store is asked: the home's own key must work with a broken
        # database.
        if random.compare_digest(digest, self._admin_hash):
            return _HOME
        if is_run_key(key):
            raise Unauthenticated(
                "The key of a run is valid only inside that run's sandbox, at CODEWORDS_RUNTIME_URI.",
                hint="Use a person's key here.",
                remedy=CREATE_KEY,
            )
        # By the digest: the text of a key is in memory only while its request is checked.
        return self._known.get(digest) or await self._from_store(digest)

    def authenticate_sandbox(self, sandbox_id: str, key: str) -> Caller:
        """The run that a sandbox acts for with this key. Raises Unauthenticated for every key but its own."""
        # By the sandbox, not by the key: one sandbox can't use the key of another.
        known = self._run_keys.get(sandbox_id)
        if known is None or not known.matches(key):
            raise Unauthenticated(
                "This is not the key of the run that sends it.",
                hint="Send CODEWORDS_API_KEY of the sandbox's environment.",
            )
        if known.caller is None:
            raise Unauthenticated("The run of this key has ended.")
        return known.caller

    def run_of_sandbox(self, sandbox_id: str) -> Caller | None:
        """Return the run that a sandbox serves now; the latest one if it serves several."""
        known = self._run_keys.get(sandbox_id)
        if known is None:
            return None
        return known.caller

    def run_ids_of_sandbox(self, sandbox_id: str) -> frozenset[str]:
        """The ids of all runs that a sandbox serves now."""
        known = self._run_keys.get(sandbox_id)
        if known is None:
            return frozenset()
        return known.run_ids

    async def identify(self, key: str) -> Caller:
        """Return the person of a key that is typed on a page, without spending it.

        Raises Unauthenticated, also for one-time keys and keys of runs.
        """
        digest = hash_key(key)
        # Compared in constant time; other keys are found by their digest, which tells nothing of
        # the key.
        if random.compare_digest(digest, self._admin_hash):
            return Caller(HOME_OWNER, "admin")

        found = await self._db.read(access.key_by_hash, digest)
        if found is None or found.row["one_time"]:
            caller = None
        else:
            caller = live_caller(found)

        if caller is None:
            raise Unauthenticated(
                _REFUSED, hint="The home's own key is in its api.key file.", remedy=CREATE_KEY
            )

        return caller

    def reference(self, caller: Caller) -> str:
        """Return a reference by which `holder` finds the caller's key, later and on another
        replica.
        """
        return caller.key_id or self._home_reference()

    def key_id(self, reference: str) -> str | None:
        """The id of a key that `reference` named; None for the home's own key, and for a member without one."""
        if reference.startswith(_HOME_KEY) or is_member_id(reference):
            return None
        return reference

    async def holder(self, reference: str, owner: str) -> Caller | None:
        """The holder of a key as it is now; None where it was revoked, has expired or is another's."""
        if reference.startswith(_HOME_KEY):
            same = reference == self._home_reference() and owner == HOME_OWNER
            if same:
                return Caller(HOME_OWNER, "admin")
            return None

        if is_member_id(reference):
            member = await self._db.read(members.present, reference)
            # Members act in the home's own name.
            if member is None or owner != HOME_OWNER:
                return None
            return caller_of(member)

        found = await self._db.read(access.key_by_id, reference)
        if found is None or found.row["one_time"]:
            caller = None
        else:
            caller = live_caller(found)

        if caller is not None and caller.owner == owner:
            return caller

        return None

    async def present(self, caller: Caller) -> Caller | None:
        """The caller with the rights that the key has now, a spent one-time key's too; None where it ended."""
        key_id = caller.key_id
        if key_id is None or is_member_id(key_id):
            return await self.holder(self.reference(caller), caller.owner)
        found = await self._db.read(access.key_by_id, key_id)
        return found and live_caller(found)

    def _home_reference(self) -> str:
        """Identifies the home's key, to notice its change; too short to find the key by."""
        return f"{_HOME_KEY}{hash_key(self._admin_hash)[:8]}"

    async def _from_store(self, digest: str) -> Caller:
        changes = self.changes
        found = await self._db.read(access.key_by_hash, digest)
        if found is None:
            raise Unauthenticated(
                _REFUSED, hint="The home's own key is in its api.key file.", remedy=CREATE_KEY
            )
        row = found.row
        if row["revoked"] or is_orphan(found):
            raise Unauthenticated("That API key was revoked.", remedy=CREATE_KEY)
        if row["expires_at"] is not None and row["expires_at"] <= now():
            raise Unauthenticated("That API key has expired.", remedy=CREATE_KEY)

        caller = caller_by(found)
        # The update counts only for the first caller, so two requests at a time can't share it.
        if row["one_time"]:
            if not await self._db.write(access.spend_key, row["id"], now()):
                raise Unauthenticated(
                    "That one-time API key was already used.",
                    remedy=Remedy(RemedyAction.CREATE_ONE_TIME_KEY),
                )
        # Another process may revoke it, and one that was revoked while it was read is not kept.
        elif row["expires_at"] is None and not self._db.shared and changes == self.changes:
            self._known[digest] = caller

        return caller

    def new_run_key(self, sandbox_id: str) -> RunKey:
        """Make a key for this sandbox.

        It is refused until a run is bound, never stored, and known while used.
        """
        key = self._run_keys[sandbox_id] = RunKey(sandbox_id, self.on_unbound)
        return key

    async def models_of(self, key_id: str) -> tuple[str, ...] | None:
        """Return the models that a key may use, None for all.

        They never change after the key is made.
        """
        if key_id not in self._models:
            # Dropped as a whole: it is refilled by one read for each key, and needs no order of
            # use.
            if len(self._models) > _MAX_CACHED:
                self._models.clear()
            listed = await self._db.read(access.models_of_key, key_id)
            self._models[key_id] = None if listed is None else tuple(listed)
        return self._models[key_id]

    async def create(
        self,
        *,
        owner: str,
        kind: Literal["admin", "user"],
        one_time: bool,
        expires_in: float | None,
        models: list[str] | None = None,
        scopes: list[Scope] | None = None,
        toolsets: list[str] | None = None,
        member: str | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key. Returns its text, which is not stored, and its record. Raises InvalidInput.

        `models` are names and patterns, None for all; `scopes` and `toolsets` likewise. `member` is the
        id of the member that it belongs to: it has the member's rights at each use, and ends with them.
        """
        if not owner.isprintable() or not 0 < len(owner) <= 64:
            raise InvalidInput("A key's owner is 1 to 64 printable characters.")

        if expires_in is not None:
            check_seconds(expires_in, "expires_in", low=_MIN_LIFETIME)
        if models is not None and not all(_MODEL.fullmatch(pattern) for pattern in models[:_MOST_MODELS]):
            raise InvalidInput(
                "Models are names or patterns of letters, digits and ._:/@*?-.",
                hint="For example gpt-4o*, anthropic/*.",
            )
        if models is not None and (kind == "admin" or len(models) > _MOST_MODELS):
            raise InvalidInput(f"Only a user's key can have a list of models, of at most {_MOST_MODELS}.")
        if kind == "admin" and (scopes is not None or toolsets is not None):
            raise InvalidInput("An admin's key may do everything; one with scopes or toolsets is a user's.")
        if scopes is not None and (not scopes or "admin" in scopes):
            raise InvalidInput(
                "A key's scopes are one or more of read, run, deploy and write.",
                hint="`--scope admin` alone makes an admin's key.",
            )
        if toolsets is not None and not 0 < len(toolsets) <= _MOST_TOOLSETS:
            raise InvalidInput(f"A key with toolsets names 1 to {_MOST_TOOLSETS} of them.")

        key, at = new_key(one_time=one_time), now()
        values: KeyRow = {
            "id": random.token_hex(8),
            "hash": hash_key(key),
            "prefix": display_prefix(key),
            "owner": owner,
            "kind": kind,
            "one_time": one_time,
            "created_at": at,
            "expires_at": None if expires_in is None else at + int(expires_in * 1e6),
            "used_at": None,
            "revoked": False,
            "models": models,
            "scopes": scopes,
            "toolsets": toolsets,
            "member": member,
        }
        await self._db.write(access.add_key, values)

        return key, key_info(values)

    async def list(
        self, *, limit: int | None = None, after: tuple[int, str] | None = None, member: str | None = None
    ) -> list[KeyInfo]:
        """Keys without their text, oldest first; `after` is the time in µs and the id of the last one
        of the page before. `member` is the id of the one whose keys alone are listed.
        """
        return [key_info(row) for row in await self._db.read(access.list_keys, limit, after, member)]

    async def find(self, key_id: str) -> KeyInfo | None:
        """The key of an id, also a revoked one."""
        found = await self._db.read(access.key_by_id, key_id)
        return found and key_info(found.row)

    async def is_known(self, key_id: str) -> bool:
        """Whether there is a key of this id, also a revoked one, or a member."""
        if is_member_id(key_id):
            return await self._db.read(members.present, key_id) is not None
        return await self._db.read(access.key_by_id, key_id) is not None

    async def revoke(self, key_id: str) -> None:
        """End a key at once. Raises NotFound."""
        if not await self._db.write(access.revoke_key, key_id):
            raise NotFound("There is no key of that id.", remedy=Remedy(RemedyAction.LIST_KEYS))
        self._forget(lambda caller: caller.key_id == key_id)

    def forget_member(self, member_id: str) -> None:
        """Read a member's rights anew at the next use of any of their keys: they have changed."""
        self._forget(lambda caller: caller.member is not None and caller.member.id == member_id)

    def _forget(self, is_changed: Callable[[Caller], bool]) -> None:
        self.changes += 1
        self._known = {digest: caller for digest, caller in self._known.items() if not is_changed(caller)}
        self._on_change()


def new_member_id() -> str:
    """Make the id of a member. It also stands where a key's id does, and no key has such a one."""
    return _MEMBER + random.token_hex(7)


def is_member_id(text: str) -> bool:
    """Whether a text has the form of a member's id."""
    return text.startswith(_MEMBER)
