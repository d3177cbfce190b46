"""State between runs: a Redis of one's own, at the runtime."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any


@asynccontextmanager
async def redis_client() -> AsyncGenerator[tuple[Any, str]]:
    """`async with redis_client() as (redis, namespace)`: a `redis.asyncio.Redis` that gives text, and the prefix for its keys.

    Only keys that begin with `f"{namespace}:"` may be touched. Raises CodewordsHTTPError where the runtime has no
    Redis to give, and ModuleNotFoundError, saying what to add to the header, where `redis` is not installed.
    """
    from codewords_client._async_client import AsyncCodewordsClient

    async with AsyncCodewordsClient() as client:
        credentials = (await client.run("redis_coordinator")).json()
    connection = _connection(credentials)
    try:
        yield connection, str(credentials["namespace"]).removesuffix(":*")
    finally:
        # redis 4 has no `aclose`.
        close = getattr(connection, "aclose", connection.close)
        await close()


def _connection(credentials: dict[str, Any]) -> Any:
    try:
        # Not a dependency: most workflows have no use for it.
        redis_class: Any = import_module("redis.asyncio").Redis
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'redis_client() needs the redis package: add "redis>=5" to the script\'s dependencies.',
            name="redis",
        ) from error

    # The runtime's certificate is its own; the connection stays between the sandbox and its runtime.
    return redis_class(
        host=credentials["redis_host"],
        port=int(credentials["redis_port"]),
        username=credentials["redis_user"],
        password=credentials["redis_password"],
        ssl=True,
        ssl_cert_reqs="none",
        ssl_check_hostname=False,
        decode_responses=True,
        socket_timeout=5,
        socket_connect_timeout=5,
    )
