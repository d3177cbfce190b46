"""The audit trail by a webhook: batches of entries as JSON, signed as by standardwebhooks.com."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Final

from codewords_mcp.errors import MissingCredential, UpstreamFailed
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.alerts.channels import sign
from codewords_mcp.runtime.audit.forwarding import SEND_TIMEOUT, AuditBatch, BatchTooLarge
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.web.client import Web

_MAX_ANSWER: Final = 1 << 16


class AuditWebhook:
    """Posts batches to an address of the settings, which may be a private one."""

    name = "webhook"

    def __init__(self, web: Web, url: str, secret: Callable[[], Awaitable[str]]) -> None:
        self._web = web
        self._url = url
        self._secret = secret

    async def send(self, batch: AuditBatch) -> None:
        """See `AuditReceiver`. The receiver has a batch when it answers 2xx."""
        content = json.dumps(_document(batch), separators=(",", ":")).encode()
        headers = sign(await self._secret(), batch.id, int(time.time()), content)
        response = await self._web.api(
            self._url,
            "",
            method="POST",
            headers=headers,
            content=content,
            max_bytes=_MAX_ANSWER,
            seconds=SEND_TIMEOUT,
        )
        if response.status == 413:
            raise BatchTooLarge
        if not 200 <= response.status < 300:
            raise UpstreamFailed(
                f"The receiver of the audit trail answered {response.status}.",
                upstream_status=response.status,
            )


def signing_secret(secrets: SecretService, name: str) -> Callable[[], Awaitable[str]]:
    """Return a function that reads the secret, which may be changed at any time. It raises MissingCredential."""

    async def read() -> str:
        # Only the home's own: an owner could else sign what seems to be the home's.
        values = await secrets.values(HOME_OWNER, [name])
        value = values.get(name, "").strip()
        if not value:
            raise MissingCredential(
                f"The webhook of the audit trail is signed with the secret {name}, which is not set.",
                credential=name,
                remedy=set_secret(name),
            )
        return value

    return read


def _document(batch: AuditBatch) -> dict[str, object]:
    return {
        "type": "audit.entries",
        "timestamp": batch.entries[-1].at.isoformat(),
        "data": {
            "entries": [entry.model_dump(mode="json") for entry in batch.entries],
            "head": {"seq": batch.head_seq, "hash": batch.head},
        },
    }
