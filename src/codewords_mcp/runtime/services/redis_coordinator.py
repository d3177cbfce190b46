"""`redis_coordinator`: what workflows remember between runs, and credentials for a Redis where one is configured."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field
from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, UpstreamFailed
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.store import service_values as values
from codewords_mcp.runtime.store.clock import now

SPACE = "redis"
MAX_KEYS, MAX_VALUE, MAX_LISTED = 100_000, 8 << 20, 1000
CONNECT_SECONDS = 5
REDIS_URL = ServiceCredential(
    "REDIS_URL",
    "Run a Redis of version 6 or newer with TLS, and give an address of its administrator: rediss://user:password@host:port.",
    without="Values are kept in the runtime's own store; `redis_client()` has nothing to connect to.",
    home=True,
)
READING = frozenset(("get", "exists", "ttl", "keys"))
Action = Literal["get", "set", "delete", "exists", "expire", "ttl", "incr", "keys"]


class CoordinatorInput(Input):
    """Nothing at all asks for the credentials of a Redis connection."""

    action: Action | None = Field(
        default=None,
        validation_alias=AliasChoices("action", "operation"),
        description="get, set, delete, exists, expire, ttl, incr or keys; none asks for a Redis connection.",
    )
    key: str = Field(default="", max_length=512, description="Of `keys`, what they begin with.")
    value: Any = Field(default=None, description="Any JSON; comes back as it was. Of `incr`, by how much.")
    ttl: float | None = Field(
        default=None,
        gt=0,
        le=10 * 366 * 86400,
        validation_alias=AliasChoices("ttl", "ex", "expire_seconds"),
        description="Seconds after which it is gone.",
    )


class CoordinatorOutput(Output):
    """`success` is false where there is no such key; `value` is then null."""

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


async def call(context: ServiceContext, asked: CoordinatorInput) -> CoordinatorOutput:
    """See `CoordinatorInput`. Raises InvalidInput, Conflict over the number of keys, MissingCredential, UpstreamFailed."""
    if asked.action is None:
        if asked.model_fields_set:
            raise InvalidInput(
                "`action` is missing.", hint="It is get, set, delete, exists, expire, ttl, incr or keys."
            )
        return await _connection(context)
    if not asked.key and asked.action != "keys":
        raise InvalidInput("`key` is missing.")

    owner = context.caller.owner
    text = json.dumps(asked.value)
    if len(text) > MAX_VALUE:
        raise InvalidInput(f"`value` is larger than {MAX_VALUE >> 20} MiB.", hint="Keep it as a file.")

    return await context.parts.database.write(_act, owner, asked, text)


def _act(connection: Connection, owner: str, asked: CoordinatorInput, text: str) -> CoordinatorOutput:
    """In one transaction, so that two that count lose nothing."""
    at, key = now(), asked.key
    if asked.ttl is None:
        until = None
    else:
        until = at + int(asked.ttl * 1e6)

    if key:
        found = values.get(connection, owner, SPACE, key, at)
    else:
        found = None

    match asked.action:
        case "keys":
            listed = values.keys(connection, owner, SPACE, key, at, MAX_LISTED)
            return CoordinatorOutput(success=True, keys=listed)
        case "set" | "incr":
            if found is None and values.count(connection, owner, SPACE) >= MAX_KEYS:
                raise Conflict(
                    f"There are {MAX_KEYS} keys, which is the limit.", hint="Delete some, or give them a ttl."
                )
            if asked.action == "incr":
                return _count_up(connection, owner, asked, until)

            values.put(connection, owner, SPACE, key, text, until)
            return CoordinatorOutput(success=True, value=asked.value)
        case "delete":
            return CoordinatorOutput(success=values.remove(connection, owner, SPACE, key, at))
        case "expire":
            return CoordinatorOutput(success=values.expire(connection, owner, SPACE, key, at, until))
        case "exists":
            return CoordinatorOutput(success=True, exists=found is not None)
        case _:
            pass

    if found is None:
        return CoordinatorOutput(success=False, value=None)

    if found["expires_at"] is None:
        left = None
    else:
        left = round((found["expires_at"] - at) / 1e6, 3)

    if asked.action == "ttl":
        return CoordinatorOutput(success=True, ttl=left)

    return CoordinatorOutput(success=True, value=json.loads(found["value"]))


def _count_up(
    connection: Connection, owner: str, asked: CoordinatorInput, until: int | None
) -> CoordinatorOutput:
    found = values.get(connection, owner, SPACE, asked.key, now())
    if found is None:
        before = 0
    else:
        before = json.loads(found["value"])

    step = 1 if asked.value is None else asked.value
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in (before, step)):
        raise InvalidInput("`incr` counts whole numbers.", hint="This key, or `value`, is something else.")

    if until is None and found is not None:
        until = found["expires_at"]
    values.put(connection, owner, SPACE, asked.key, json.dumps(before + step), until)
    return CoordinatorOutput(success=True, value=before + step)


async def _connection(context: ServiceContext) -> CoordinatorOutput:
    """A user of the Redis that may touch its owner's keys and no others, and administer nothing."""
    url = await context.need("redis_coordinator", REDIS_URL)
    parsed = urlsplit(url)
    if parsed.scheme != "rediss" or not parsed.hostname:
        raise InvalidInput(
            "REDIS_URL is no address of a Redis with TLS, which is how clients connect.",
            hint="Write it as rediss://user:password@host:port.",
        )

    owner = context.caller.owner
    name = f"cw-{hashlib.sha256(owner.encode()).hexdigest()[:12]}"
    password = hmac.new(context.parts.derive("redis"), owner.encode(), hashlib.sha256).hexdigest()
    await _let_in(url, name, password)
    loopback = parsed.hostname in {"localhost", "127.0.0.1", "::1"}
    inside = loopback and context.caller.kind == "run"

    return CoordinatorOutput(
        redis_host=HOST_ALIAS if inside else parsed.hostname,
        redis_port=parsed.port or 6379,
        redis_user=name,
        redis_password=password,
        namespace=f"{name}:*",
    )


async def _let_in(url: str, name: str, password: str) -> None:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    client: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
        url, ssl_cert_reqs="none", socket_timeout=CONNECT_SECONDS, socket_connect_timeout=CONNECT_SECONDS
    )
    rules = ("reset", "on", f">{password}", f"~{name}:*", f"&{name}:*", "+@all", "-@admin", "-@dangerous")

    try:
        await client.execute_command("ACL", "SETUSER", name, *rules)
    except (RedisError, OSError) as error:
        raise UpstreamFailed(
            "The Redis of REDIS_URL did not let the runtime in, or make a user.",
            hint="See that it runs with TLS, is of version 6 or newer, and that the address is its administrator's.",
        ) from error
    finally:
        await client.aclose()


SERVICE = Service(
    name="redis_coordinator",
    title="Redis coordinator",
    summary="What workflows remember between runs: values by key, with a time to live; or a Redis of their own.",
    operations=(
        Operation(
            "Get, set or delete a value; without fields, credentials of a Redis",
            CoordinatorInput,
            CoordinatorOutput,
            call,
            effect="writes",
            reads_when=lambda asked: asked.action in READING,
            private=True,
            example={"action": "set", "key": "last_seen", "value": {"id": 7}, "ttl": 86400},
        ),
    ),
    credentials=(REDIS_URL,),
)
