"""Secrets by owner and name, over the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from codewords_mcp import __version__
from codewords_mcp.errors import InvalidInput, NotFound, StorageFailed
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.secret import SecretInfo
from codewords_mcp.runtime.secrets.elsewhere import SecretsElsewhere
from codewords_mcp.runtime.secrets.names import check_name, check_value
from codewords_mcp.runtime.secrets.references import AllowedReferences, parse_reference
from codewords_mcp.runtime.secrets.rotation import Keys
from codewords_mcp.runtime.secrets.rules import WELL_KNOWN, HostRule, read_rule, well_known
from codewords_mcp.runtime.secrets.sealing import DATA_KEY_OWNER
from codewords_mcp.runtime.secrets.secret_uses import SecretUses
from codewords_mcp.runtime.secrets.vault import SealedValue, Vault
from codewords_mcp.runtime.store import access, key_use
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import SecretRow

# Codes that are read in one query.
# Secrets that are encrypted anew in one transaction.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret, open: its value, and where that may go; without a rule the workflow gets it as it is.

    `elsewhere`: the value is another store's, and may be another one at the next use.
    """

    value: str
    rule: HostRule | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class StoredContent:
    """The stored content of a secret, opened: its value, or with `source` the reference to it."""

    name: str
    content: str
    rule: HostRule | None
    source: str | None


@dataclass(frozen=True, slots=True)
class _StoredSecret:
    sealed: SealedValue
    rule: HostRule | None
    source: str | None


def _nobody_listens() -> None:
    """Do nothing after a change."""


class SecretService:
    """Secrets by owner and name. Values go in, and out to sandboxes only.

    `on_change` is called after each change by this process. Without `elsewhere` no secret may be kept elsewhere.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        on_change: Callable[[], object] = _nobody_listens,
        *,
        elsewhere: SecretsElsewhere | None = None,
    ) -> None:
        self._db = database
        self._vault = vault
        self._elsewhere = elsewhere or SecretsElsewhere(AllowedReferences(()), 0)
        # By owner, as stored: runs look here, not into the database.
        self._stored: dict[str, dict[str, _StoredSecret]] = {}
        # By owner and id of a live version.
        self.uses = SecretUses(database)
        self._changes = 0
        self._rotating = asyncio.Lock()
        self._on_change = on_change

    @property
    def changes(self) -> int:
        """A counter of changes; results computed at another count may be outdated."""
        return self._changes

    async def set(
        self,
        owner: str,
        name: str,
        value: str,
        rule: HostRule | Literal["as-before"] | None = "as-before",
        expires_at: int | None = None,
    ) -> SecretInfo:
        """Store or replace a secret. Raises InvalidInput, StorageFailed.

        `rule` None makes a plain variable. "as-before" takes the existing rule, or for a new secret
        the rule of its well-known name. `expires_at`: when the value ends, in microseconds.
        """
        return await self._put(owner, check_name(name), check_value(value), None, rule, expires_at)

    async def refer(
        self,
        owner: str,
        name: str,
        source: str,
        rule: HostRule | Literal["as-before"] | None = "as-before",
        expires_at: int | None = None,
    ) -> SecretInfo:
        """Store or replace a secret whose value is kept elsewhere, at a reference like `vault://kv/app#token`.

        The value is read once, and not stored. Raises InvalidInput, UpstreamFailed, UpstreamTimedOut where it cannot be read.
        """
        reference = parse_reference(source)
        # A mistyped reference is told now, and not by a run at night.
        await self._elsewhere.value(owner, check_name(name), reference)
        return await self._put(owner, name, str(reference), str(reference), rule, expires_at)

    async def _put(
        self,
        owner: str,
        name: str,
        content: str,
        source: str | None,
        rule: HostRule | Literal["as-before"] | None,
        expires_at: int | None,
    ) -> SecretInfo:
        if rule == "as-before":
            rule = await self.rule_of(owner, name)
        at = now()

        def store(connection: Connection) -> None:
            # Inside the transaction: a rotation may change the key between two.
            sealed = self._vault.encrypt(owner, name, content, key_use.in_use(connection))
            row: SecretRow = {
                "owner": owner,
                "name": name,
                "key_id": sealed.key_id,
                "ciphertext": sealed.data,
                "rule": None if rule is None else rule.as_json(),
                "source": source,
                "expires_at": expires_at,
                "created_at": at,
                "updated_at": at,
            }
            access.put_secret(connection, row)

        await self._db.write(store)
        self._forget(owner)

        stored = await self.find(owner, name)
        if stored is None:
            # Somebody deleted it in the same moment.
            raise _unknown_secret(name)
        return stored

    async def find(self, owner: str, name: str) -> SecretInfo | None:
        """Name and times of one secret; None if there is none."""
        row = await self._db.read(access.get_secret, owner, name)
        if not row:
            return None
        return (await self._to_infos(owner, [row]))[0]

    async def list(
        self, owner: str, *, limit: int | None = None, after: str | None = None
    ) -> list[SecretInfo]:
        """Names and times, by name; `after` is the last name of the page before."""
        return await self._to_infos(owner, await self._db.read(access.list_secrets, owner, limit, after))

    async def _to_infos(self, owner: str, rows: list[SecretRow]) -> list[SecretInfo]:
        users: dict[str, list[str]] = {row["name"]: [] for row in rows}
        # Each name of a code is looked up: looking for each secret in each code would take minutes.
        for workflow, names in await self.uses.names_in_codes(owner):
            for name in names & users.keys():
                users[name].append(workflow)
        return [
            SecretInfo(
                name=row["name"],
                created_at=to_datetime(row["created_at"]),
                updated_at=to_datetime(row["updated_at"]),
                used_by=users[row["name"]],
                source=row["source"],
                expires_at=optional_datetime(row.get("expires_at")),
                **_rule_fields(read_rule(row["rule"])),
            )
            for row in rows
        ]

    async def rule_of(self, owner: str, name: str) -> HostRule | None:
        """Return the rule of a stored secret; of another one, the rule of its well-known name."""
        row = await self._db.read(access.get_secret, owner, name)
        if row is not None:
            return read_rule(row["rule"])
        return well_known(name)

    async def hosts_by_name(self, owner: str) -> dict[str, list[str]]:
        """Return the hosts of each secret that the egress inserts; the others are plain variables.

        Secrets that are not set yet will have the rule of their well-known name.
        """
        rules = {name: rule.names for name, rule in WELL_KNOWN.items()}
        rules |= {secret.name: secret.hosts for secret in await self.list(owner)}
        return {name: [host.partition(":")[0] for host in hosts] for name, hosts in rules.items() if hosts}

    def _forget(self, owner: str) -> None:
        self._changes += 1
        # Also where nothing changed in the end: reading again costs little, an old value much.
        self._stored.pop(owner, None)
        self._on_change()

    def changed_elsewhere(self) -> None:
        """Another process on the database has set, deleted or encrypted anew."""
        self._changes += 1
        self._stored.clear()

    async def names(self, owner: str) -> set[str]:
        """Return the names that have a value."""
        return {row["name"] for row in await self._db.read(access.list_secrets, owner)}

    async def values(self, owner: str, names: list[str]) -> dict[str, str]:
        """Return the values of existing secrets, for a sandbox.

        Raises as `open` does.
        """
        return {name: secret.value for name, secret in (await self.open(owner, names)).items()}

    async def open(self, owner: str, names: list[str]) -> dict[str, Secret]:
        """Values and rules of those that exist, for a sandbox.

        Raises StorageFailed when the master key is another one; InvalidInput, UpstreamFailed, UpstreamTimedOut where one is
        kept elsewhere and cannot be read.
        """
        stored = await self._all_stored(owner)
        return {name: await self._open(owner, name, stored[name]) for name in names if name in stored}

    async def contents(self, owner: str) -> list[StoredContent]:
        """All secrets as they are stored, for an export: of those elsewhere the reference. Raises StorageFailed."""
        return [
            StoredContent(name, self._vault.decrypt(owner, name, secret.sealed), secret.rule, secret.source)
            for name, secret in sorted((await self._all_stored(owner)).items())
        ]

    async def _all_stored(self, owner: str) -> dict[str, _StoredSecret]:
        stored = self._stored.get(owner)
        if stored is None:
            changes = self._changes
            rows = await self._db.read(access.list_secrets, owner)
            stored = {
                row["name"]: _StoredSecret(
                    SealedValue(row["key_id"], row["ciphertext"]), read_rule(row["rule"]), row["source"]
                )
                for row in rows
            }
            # Values read before a change are outdated; without a shared database every change is
            # counted here.
            if changes == self._changes and not self._db.shared:
                self._stored[owner] = stored

        return stored

    async def _open(self, owner: str, name: str, stored: _StoredSecret) -> Secret:
        # What is sealed is bound to its owner and name; the column beside it is for lists.
        content = self._vault.decrypt(owner, name, stored.sealed)
        if stored.source is None:
            return Secret(content, stored.rule)

        value = await self._elsewhere.value(owner, name, parse_reference(content))
        return Secret(value, stored.rule, elsewhere=True)

    async def join(self, keys: Keys, executor: str, ttl: float) -> None:
        """Register with the other processes on a shared database.

        Raises StorageFailed if they use a key that is not among these.
        """
        ids = [key.id for key in keys.every]

        def register(connection: Connection) -> str:
            # In the transaction of the registration, so that the first two processes choose the
            # same key.
            preferred = keys.first_in_use(access.secret_key_ids(connection))
            return key_use.join(connection, executor, __version__, ids, preferred, ttl)

        used = await self._db.write(register)
        if used not in ids:
            raise StorageFailed(
                f"The runtimes on this database encrypt with master key {used}, and this one has {' and '.join(ids)}.",
                hint="Give it their CODEWORDS_MASTER_KEY, or a copy of the master.key in the home of one of them; while the key"
                " is changed, both keys. Nothing was changed.",
            )

    async def rotate(self, keys: Keys, ttl: float = 0.0) -> tuple[int, str]:
        """Encrypt every secret of every owner with another master key, or resume an unfinished
        rotation.

        Returns the number of secrets, and a sentence about the old key. Secrets can be used and set
        meanwhile. `ttl`: seconds after which an unseen process on a shared database is dead. Raises
        InvalidInput, StorageFailed.
        """
        async with self._rotating:
            # Files and the keyring block.
            await asyncio.to_thread(keys.begin)
            if self._db.shared:
                # Every process must be able to read what is encrypted from here on.
                await self._agree_on(keys.current.id, ttl)
            self._vault.use(keys.current, keys.older)
            count = 0
            # In small transactions: secrets can be set and used meanwhile.
            while resealed := await self._db.write(self._reseal_some):
                # Keys of the runtime itself are no secrets of anybody's.
                count += sum(owner != DATA_KEY_OWNER for owner in resealed)
            message = await asyncio.to_thread(keys.finish)
            # Only now: until here values of the old key had to be read.
            self._vault.use(keys.current)
            self.changed_elsewhere()
            self._on_change()

            return count, message

    async def _agree_on(self, key_id: str, ttl: float) -> None:
        """Make every process on the database encrypt with this key.

        Raises InvalidInput if one lacks it.
        """
        without = await self._db.write(key_use.change, key_id, ttl)
        if without:
            raise InvalidInput(
                f"{without} of the runtimes on this database {'has' if without == 1 else 'have'} not got the new master key"
                f" {key_id}; nothing was changed.",
                hint="Start each of them with the new key in CODEWORDS_MASTER_KEY and the old one in"
                " CODEWORDS_MASTER_KEY_PREVIOUS, then run this again.",
            )

    def _reseal_some(self, connection: Connection) -> list[str]:
        """Encrypt some values anew. Returns the owner of each."""
        rows = access.secrets_of_other_keys(connection, self._vault.key_id, _AT_ONCE)
        for row in rows:
            owner, name = row["owner"], row["name"]
            value = self._vault.decrypt(owner, name, SealedValue(row["key_id"], row["ciphertext"]))
            sealed = self._vault.encrypt(owner, name, value)
            access.reseal_secret(connection, row, sealed.key_id, sealed.data)
        return [row["owner"] for row in rows]

    async def resolve(self, owner: str, names: list[str]) -> dict[str, str]:
        """Return the values that the runtime itself may use: the owner's, the home's, or the
        environment's.
        """
        found = {name: value for name in names if (value := os.environ.get(name, "").strip())}
        for source in dict.fromkeys((HOME_OWNER, owner)):
            # The owner's value replaces the home's, and that the environment's.
            values = await self.values(source, names)
            found |= {name: value.strip() for name, value in values.items() if value.strip()}
        return found

    async def delete(self, owner: str, name: str) -> None:
        """Raises NotFound."""
        deleted = await self._db.write(access.delete_secret, owner, name)
        self._forget(owner)
        if not deleted:
            raise _unknown_secret(name)


def _unknown_secret(name: str) -> NotFound:
    # A text that is no name may be a value typed by mistake: it is not repeated.
    if name.isidentifier():
        which = f"There is no secret {name!r}."
    else:
        which = "There is no secret of that name."
    return NotFound(which, remedy=Remedy(RemedyAction.LIST_SECRETS))


def _rule_fields(rule: HostRule | None) -> dict[str, Any]:
    """A rule as `SecretInfo` has it."""
    if rule is None:
        return {"held": "plain"}
    return {"held": "placeholder", "hosts": rule.names, "places": list(rule.places)}
