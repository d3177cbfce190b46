"""`redis_coordinator`: values stored between runs, and credentials for a Redis if one is
configured.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field
from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, ServiceNotAvailable, UpstreamFailed
from codewords_mcp.errors.remedies import add_package
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.runtime.services.base import (
    Input,
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
READ_ACTIONS = frozenset(("get", "exists", "ttl", "keys"))
Action = Literal["get", "set", "delete", "exists", "expire", "ttl", "incr", "keys"]


class CoordinatorInput(Input):
    """An action on a key. Without any field, the credentials of a Redis connection are returned."""

    action: Action | None = Field(
        default=None,
        validation_alias=AliasChoices("action", "operation"),
        description="get, set, delete, exists, expire, ttl, incr or keys; none asks for a Redis connection.",
    )
    key: str = Field(default="", max_length=512, description="For `keys`, their prefix.")
    value: Any = Field(default=None, description="Any JSON; returned unchanged. For `incr`, the increment.")
    ttl: float | None = Field(
        default=None,
        gt=0,
        le=10 * 366 * 86400,
        validation_alias=AliasChoices("ttl", "ex", "expire_seconds"),
        description="Seconds after which the value expires.",
    )


class CoordinatorOutput(Output):
    """`success` is false if there is no such key; `value` is then null."""

    success: bool | None = None
    value: Any = None
    exists: bool | None = None
    ttl: float | None = Field(default=None, description="Seconds left; null for a value that stays.")
    keys: list[str] | None = None
    redis_host: str | None = None
    redis_port: int | None = None
    redis_user: str | None = None
    redis_password: str | None = None
    namespace: str | None = Field(default=None, description="Keys that may be touched: `prefix:*`.")


async def call(context: ServiceContext, params: CoordinatorInput) -> CoordinatorOutput:
    """Perform the action. Raises InvalidInput, Conflict at the limit of keys, MissingCredential,
    ServiceNotAvailable without the package `redis`, UpstreamFailed.
    """
    if params.action is None:
        if params.model_fields_set:
            raise InvalidInput(
                "`action` is missing.", hint="It is get, set, delete, exists, expire, ttl, incr or keys."
            )
        return await _redis_credentials(context)
    if not params.key and params.action != "keys":
        raise InvalidInput("`key` is missing.")

    owner = context.caller.owner
    text = json.dumps(params.value)
    if len(text) > MAX_VALUE:
        raise InvalidInput(f"`value` is larger than {MAX_VALUE >> 20} MiB.", hint="Store it as a file.")

    return await context.dependencies.database.write(_apply, owner, params, text)


def _apply(connection: Connection, owner: str, params: CoordinatorInput, text: str) -> CoordinatorOutput:
    """Apply the action in one transaction, so that concurrent increments are all counted."""
    at, key = now(), params.key
    if params.ttl is None:
        until = None
    else:
        until = at + int(params.ttl * 1e6)

    if key:
        stored = values.get(connection, owner, NAMESPACE, key, at)
    else:
        stored = None

    match params.action:
        case "keys":
            listed = values.keys(connection, owner, NAMESPACE, key, at, MAX_LISTED)
            return CoordinatorOutput(success=True, keys=listed)
        case "set" | "incr":
            # A key that exists may always be set anew.
            if stored is None and values.count(connection, owner, NAMESPACE) >= MAX_KEYS:
                raise Conflict(
                    f"The limit of {MAX_KEYS} keys is reached.", hint="Delete some, or give them a ttl."
                )
            if params.action == "incr":
                return _increment(connection, owner, params, until)

            values.put(connection, owner, NAMESPACE, key, text, until)
            return CoordinatorOutput(success=True, value=params.value)
        case "delete":
            return CoordinatorOutput(success=values.remove(connection, owner, NAMESPACE, key, at))
        case "expire":
            return CoordinatorOutput(success=values.expire(connection, owner, NAMESPACE, key, at, until))
        case "exists":
            return CoordinatorOutput(success=True, exists=stored is not None)
        case _:
            pass

    if stored is None:
        return CoordinatorOutput(success=False, value=None)

    if stored["expires_at"] is None:
        left = None
    else:
        left = round((stored["expires_at"] - at) / 1e6, 3)

    if params.action == "ttl":
        return CoordinatorOutput(success=True, ttl=left)

    return CoordinatorOutput(success=True, value=json.loads(stored["value"]))


def _increment(
    connection: Connection, owner: str, params: CoordinatorInput, until: int | None
) -> CoordinatorOutput:
    # Another process of the database may count at the same moment.
    values.lock(connection, owner, NAMESPACE, params.key)
    stored = values.get(connection, owner, NAMESPACE, params.key, now())
    if stored is None:
        current = 0
    else:
        current = json.loads(stored["value"])

    increment_by = 1 if params.value is None else params.value
    # A bool is an int in Python.
    if not all(
        isinstance(number, int) and not isinstance(number, bool) for number in (current, increment_by)
    ):
        raise InvalidInput(
            "`incr` needs whole numbers.", hint="The stored value, or `value`, is something else."
        )

    # As in Redis, an increment keeps the time to live.
    if until is None and stored is not None:
        until = stored["expires_at"]
    values.put(connection, owner, NAMESPACE, params.key, json.dumps(current + increment_by), until)
    return CoordinatorOutput(success=True, value=current + increment_by)


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
    summary="Values stored between runs, by key and with a time to live; or credentials of a Redis.",
    operations=(
        Operation(
            "Get, set or delete a value; without fields, credentials of a Redis",
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
