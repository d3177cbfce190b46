"""Connections to providers for realtime sessions, with whichever key works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from codewords_mcp.runtime.gateway.headers import Headers
from codewords_mcp.runtime.gateway.health import Health
from codewords_mcp.runtime.gateway.keys import ProviderKey, in_trial_order, title_of
from codewords_mcp.runtime.model.model_errors import ProviderRefused, ProviderUnavailable
from codewords_mcp.runtime.model.provider import Provider

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

MAX_MESSAGE_BYTES: Final = 32 << 20
"""Bytes of a provider's message. Longer ones end the session."""
# Seconds that a key which was refused is skipped.
_KEY_REST: Final = 60.0


@dataclass(frozen=True, slots=True)
class RealtimeUpstream:
    """A provider: the session's URL (http or https), its keys, and seconds to wait for a connection.

    `headers_with(key)` gives the headers of the handshake with that key.
    """

    provider: Provider
    url: str
    keys: list[ProviderKey]
    headers_with: Callable[[ProviderKey], Awaitable[Headers]]
    connect_timeout: float


async def connect_upstream(upstream: RealtimeUpstream, health: Health) -> ClientConnection:
    """Connect. Raises ProviderUnavailable and ProviderRefused, and what `headers_with` raises."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus

    title = title_of(upstream.provider)
    status = 0
    for key in in_trial_order(upstream.keys, health, lambda: False):
        headers = await upstream.headers_with(key)
        try:
            return await connect(
                # http:// becomes ws://, https:// wss://.
                f"ws{upstream.url.removeprefix('http')}",
                additional_headers=[
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers
                ],
                user_agent_header=None,
                open_timeout=upstream.connect_timeout,
                max_size=MAX_MESSAGE_BYTES,
                compression=None,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            # Any other refusal is of the request, and another key would get it too.
            if status not in {401, 402, 403, 429}:
                break
            health.rest(key.health, _KEY_REST)
        except (OSError, InvalidHandshake, TimeoutError) as error:
            health.record_failure((upstream.provider,))
            unreachable = ProviderUnavailable(
                f"{title} could not be reached for a realtime session.",
                hint="Check this machine's network, then try again.",
            )
            unreachable.reached = False
            raise unreachable from error

    raise ProviderRefused(
        f"{title} refused the realtime session with {status}.",
        provider_status=status,
        hint="Check the model and the key.",
    )
