"""`redis_coordinator`: values stored between runs, and credentials for a Redis if one is
configured.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, ServiceNotAvailable, UpstreamFailed
from codewords_mcp.errors.remedies import add_package
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.runtime.services._collection_input import CollectionInput
from codewords_mcp.runtime.services._collections import (
    COMMANDS,
    Answer,
    add_whole,
    dump,
    kind_of,
    load,
    require_kind,
)
from codewords_mcp.runtime.services.base import (
    Operation,
    Output,
    ReadsWhen,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.store import service_values as values
from codewords_mcp.runtime.store.clock import now

NAMESPACE = "redis"
MAX_KEYS, MAX_VALUE, MAX_LISTED = 100_000, 8 << 20, 1000
CONNECT_TIMEOUT = 5
REDIS_URL = ServiceCredential(
    "REDIS_URL",
    "Run a Redis of version 6 or newer with TLS, and give an address of its administrator: rediss://user:password@host:port.",
    without="Values are stored by the runtime itself; `redis_client()` has nothing to connect to.",
    home=True,
)
VALUE_ACTIONS = (
    "get", "set", "getdel", "append", "incr", "decr", "cas",
    "delete", "exists", "type", "expire", "persist", "ttl", "keys", "scan",
)  # fmt: skip
"""Actions on single values and on keys of any type; all others are commands of collections."""
READ_ACTIONS = frozenset(("get", "exists", "type", "ttl", "keys", "scan")) | {
    name for name, command in COMMANDS.items() if command.reads
}
ACTIONS = (*VALUE_ACTIONS, *COMMANDS)
LISTING_ACTIONS = frozenset(("keys", "scan"))
SETTING_ACTIONS = frozenset(("set", "cas"))
"""They set the time to live too, to none without a `ttl`."""
HINT = f"It is one of {', '.join(ACTIONS)}."


class CoordinatorInput(CollectionInput):
    """An action on a key. Without any field, the credentials of a Redis connection are returned.

    Actions are Redis's commands in lower case; `cas` (compare and set) and `delete` aside.
    """

    action: str | None = Field(
        default=None,
        validation_alias=AliasChoices("action", "operation"),
        description="None asks for a Redis connection.",
        json_schema_extra={"enum": [*ACTIONS, None]},
    )
    key: str = Field(default="", max_length=512, description="For `keys` and `scan`, their prefix.")
    ttl: float | None = Field(
        default=None,
        gt=0,
        le=10 * 366 * 86400,
        validation_alias=AliasChoices("ttl", "ex", "expire_seconds"),
        description="Seconds after which the key expires. For `scan`: only keys that expire within them.",
    )
    expected: Any = Field(
        default=None,
        description="For `cas`: `value` is set only if this is stored; null also fits a key that is not there.",
    )
    cursor: str | None = Field(
        default=None, max_length=512, description="For `scan`: the `cursor` of the last answer."
    )

    @field_validator("action")
    @classmethod
    def _is_known(cls, action: str | None) -> str | None:
        if action is not None and action not in ACTIONS:
            raise ValueError(HINT.removesuffix("."))
        return action


class ScannedKey(Output):
    """A key that a scan found."""

    key: str
    type: str
    ttl: float | None = Field(description="Seconds left; null for a key that stays.")


class CoordinatorOutput(Output):
    """`success` is false if there is no such key or member; `value` is then null."""

    success: bool | None = None
    value: Any = None
    exists: bool | None = None
    ttl: float | None = Field(default=None, description="Seconds left; null for a value that stays.")
    keys: list[str] | None = None
    items: list[ScannedKey] | None = Field(default=None, description="Of a scan, in the order of the keys.")
    cursor: str | None = Field(default=None, description="For the next scan; null after the last key.")
    redis_host: str | None = None
    redis_port: int | None = None
    redis_user: str | None = None
    redis_password: str | None = None
    namespace: str | None = Field(default=None, description="Keys that may be touched: `prefix:*`.")


async def call(context: ServiceContext, params: CoordinatorInput) -> CoordinatorOutput:
    """Perform the action. Raises InvalidInput, Conflict at the limit of keys or members, MissingCredential,
    ServiceNotAvailable without the package `redis`, UpstreamFailed.
    """
    if params.action is None:
        if params.model_fields_set:
            raise InvalidInput("`action` is missing.", hint=HINT)
        return await _redis_credentials(context)
    if not params.key and params.action not in LISTING_ACTIONS:
        raise InvalidInput("`key` is missing.")

    database, owner = context.dependencies.database, context.caller.owner
    if params.action in LISTING_ACTIONS:
        return await database.read(_listed, owner, params)
    if params.action in READ_ACTIONS:
        return await database.read(_read, owner, params)
    return await database.write(_changed, owner, params)


def _listed(connection: Connection, owner: str, params: CoordinatorInput) -> CoordinatorOutput:
    """The keys of a prefix: their names, or a page of them with their types and times to live."""
    at = now()
    if params.action == "keys":
        names = values.keys(connection, owner, NAMESPACE, params.key, at, MAX_LISTED)
        return CoordinatorOutput(success=True, keys=names)

    if params.count is None:
        limit = MAX_LISTED
    else:
        limit = min(max(params.count, 1), MAX_LISTED)
    rows = values.page(
        connection,
        # One more than asked tells whether there is a next page.
        values.KeyPage(owner, NAMESPACE, params.key, params.cursor, _until(params, at), limit + 1),
        at,
    )
    items = [
        ScannedKey(key=row["key"], type=kind_of(row["head"]), ttl=_left(row["expires_at"], at))
        for row in rows[:limit]
    ]
    return CoordinatorOutput(success=True, items=items, cursor=items[-1].key if len(rows) > limit else None)


def _read(connection: Connection, owner: str, params: CoordinatorInput) -> CoordinatorOutput:
    at = now()
    stored = values.get(connection, owner, NAMESPACE, params.key, at)
    text = None if stored is None else str(stored["value"])
    command = COMMANDS.get(params.action or "")
    if command is not None:
        return _answer(command.run(params, load(command.kind, text)))

    if params.action == "exists":
        return CoordinatorOutput(success=True, exists=stored is not None)
    if params.action == "type":
        return CoordinatorOutput(success=True, value="none" if text is None else kind_of(text))
    if stored is None or text is None:
        return CoordinatorOutput(success=False, value=None)
    if params.action == "ttl":
        return CoordinatorOutput(success=True, ttl=_left(stored["expires_at"], at))
    return CoordinatorOutput(success=True, value=_value(text))


def _changed(connection: Connection, owner: str, params: CoordinatorInput) -> CoordinatorOutput:
    """Apply a change in one transaction, so that concurrent ones follow each other."""
    # Another process of the database may change the key at the same moment.
    values.lock(connection, owner, NAMESPACE, params.key)
    at = now()
    stored = values.get(connection, owner, NAMESPACE, params.key, at)
    until = _until(params, at)
    match params.action:
        case "delete":
            return CoordinatorOutput(success=values.remove(connection, owner, NAMESPACE, params.key, at))
        case "expire":
            return CoordinatorOutput(
                success=values.expire(connection, owner, NAMESPACE, params.key, at, until)
            )
        case "persist":
            had_time = stored is not None and stored["expires_at"] is not None
            values.expire(connection, owner, NAMESPACE, params.key, at, None)
            return CoordinatorOutput(success=had_time)
        case _:
            pass

    text = None if stored is None else str(stored["value"])
    command = COMMANDS.get(params.action or "")
    if command is None:
        output, changed = _apply_value(params, text)
        if not output.success:
            return output
    else:
        collection = load(command.kind, text)
        output = _answer(command.run(params, collection))
        changed = dump(command.kind, collection)

    # As in Redis, all changes but `set` keep the time to live.
    if until is None and stored is not None and params.action not in SETTING_ACTIONS:
        until = stored["expires_at"]
    _store(connection, owner, params.key, before=text, after=changed, until=until)
    return output


def _store(
    connection: Connection, owner: str, key: str, *, before: str | None, after: str | None, until: int | None
) -> None:
    """Write the new text of a key; None removes it. Raises InvalidInput and Conflict at the limits."""
    if after is None:
        if before is not None:
            values.remove(connection, owner, NAMESPACE, key, now())
        return
    if len(after) > MAX_VALUE:
        raise InvalidInput(
            f"A key holds {MAX_VALUE >> 20} MiB at most.",
            hint="Store a file, or rows in the service `database`.",
        )
    # A key that exists may always be set anew.
    if before is None and values.count(connection, owner, NAMESPACE) >= MAX_KEYS:
        raise Conflict(f"The limit of {MAX_KEYS} keys is reached.", hint="Delete some, or give them a ttl.")
    values.put(connection, owner, NAMESPACE, key, after, until)


def _apply_value(params: CoordinatorInput, text: str | None) -> tuple[CoordinatorOutput, str | None]:
    """(the answer, the text to store) of an action on a single value."""
    if params.action == "set":
        if (params.nx and text is not None) or (params.xx and text is None):
            return CoordinatorOutput(success=False, value=_shown(text)), text
        return CoordinatorOutput(success=True, value=params.value), json.dumps(params.value)

    current = None if text is None else _value(text)
    match params.action:
        case "getdel":
            return CoordinatorOutput(success=text is not None, value=current), None
        case "cas":
            # Compared as JSON, since Python takes 1, 1.0 and True for equal.
            if _canonical(current) != _canonical(params.expected):
                return CoordinatorOutput(success=False, value=current), text
            return CoordinatorOutput(success=True, value=params.value), json.dumps(params.value)
        case "append":
            if not isinstance(params.value, str) or not isinstance(current, str | None):
                raise InvalidInput("`append` needs text.", hint="`rpush` appends to a list.")
            joined = (current or "") + params.value
            return CoordinatorOutput(success=True, value=len(joined)), json.dumps(joined)
        case _:
            increment = 1 if params.value is None else params.value
            if params.action == "decr" and isinstance(increment, int):
                increment = -increment
            total = add_whole(0 if text is None else current, increment, "incr")
            return CoordinatorOutput(success=True, value=total), json.dumps(total)


def _answer(value: Any) -> CoordinatorOutput:
    return CoordinatorOutput(success=value is not None, value=value)


def _value(text: str) -> Answer:
    """A single value. Raises InvalidInput for a collection."""
    require_kind("string", text)
    return json.loads(text)


def _shown(text: str | None) -> Answer:
    """The value that is there, if it is a single one."""
    if text is None or kind_of(text) != "string":
        return None
    return json.loads(text)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _until(params: CoordinatorInput, at: int) -> int | None:
    if params.ttl is None:
        return None
    return at + int(params.ttl * 1e6)


def _left(expires_at: int | None, at: int) -> float | None:
    if expires_at is None:
        return None
    return round((expires_at - at) / 1e6, 3)


async def _redis_credentials(context: ServiceContext) -> CoordinatorOutput:
    """Return credentials of a Redis user that may access its owner's keys only and has no admin
    commands.
    """
    url = await context.need("redis_coordinator", REDIS_URL)
    parsed = urlsplit(url)
    if parsed.scheme != "rediss" or not parsed.hostname:
        raise InvalidInput(
            "REDIS_URL is not the address of a Redis with TLS, which clients require.",
            hint="Write it as rediss://user:password@host:port.",
        )

    owner = context.caller.owner
    # The same user and password each time: nothing has to be stored, and no users pile up.
    name = f"cw-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
    password = hmac.new(context.dependencies.derive("redis"), owner.encode(), hashlib.sha256).hexdigest()
    await _create_user(url, name, password)
    loopback = parsed.hostname in {"localhost", "127.0.0.1", "::1"}
    # The loopback address of this machine is not that of a sandbox, which reaches it by an alias.
    inside = loopback and context.caller.kind == "run"

    return CoordinatorOutput(
        redis_host=HOST_ALIAS if inside else parsed.hostname,
        redis_port=parsed.port or 6379,
        redis_user=name,
        redis_password=password,
        namespace=f"{name}:*",
    )


async def _create_user(url: str, name: str, password: str) -> None:
    try:
        from redis.asyncio import Redis
        from redis.exceptions import RedisError
    except ImportError as error:
        raise ServiceNotAvailable(
            "REDIS_URL is set, and the package that reaches a Redis is not installed.",
            remedy=add_package("redis>=6", "redis"),
        ) from error

    client: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        # A Redis in an operator's own network often has a certificate that it signed itself.
        ssl_cert_reqs="none",
        socket_timeout=CONNECT_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
    )
    # `reset` first, so that rights of an earlier version end.
    rules = ("reset", "on", f">{password}", f"~{name}:*", f"&{name}:*", "+@all", "-@admin", "-@dangerous")

    try:
        await client.execute_command("ACL", "SETUSER", name, *rules)
    except (RedisError, OSError) as error:
        raise UpstreamFailed(
            "The Redis of REDIS_URL refused the connection or the creation of a user.",
            hint="Check that it runs with TLS, is version 6 or newer, and that the address has an administrator's user.",
        ) from error
    finally:
        await client.aclose()


SERVICE = Service(
    name="redis_coordinator",
    title="Redis coordinator",
    summary="Values, lists, sets, sorted sets and hashes stored between runs, with times to live; or credentials of a Redis.",
    operations=(
        Operation(
            "Perform a command on a key; without fields, return credentials of a Redis",
            CoordinatorInput,
            CoordinatorOutput,
            call,
            effect="writes",
            reads_when=ReadsWhen("action", READ_ACTIONS),
            private=True,
            example={"action": "set", "key": "last_seen", "value": {"id": 7}, "ttl": 86400},
        ),
    ),
    credentials=(REDIS_URL,),
)
