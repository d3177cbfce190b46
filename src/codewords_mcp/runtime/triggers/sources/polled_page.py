"""Fetch of a page that is looked at again and again: only where it has changed, and with a secret where it needs one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import Forbidden, TooBusy, UpstreamFailed
from codewords_mcp.runtime.triggers.sources.base import SourceTools
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

MAX_PAGE_BYTES = 10 << 20
_BUSY = (429, 503)
_VALIDATORS = (("etag", "if-none-match"), ("last-modified", "if-modified-since"))
_MAX_VALIDATOR = 1000


@dataclass(frozen=True, slots=True)
class PolledPage:
    """A page. `response` is None where it has not changed; `validators` go into the state."""

    response: WebResponse | None
    validators: dict[str, JsonValue]


async def fetch_page(
    url: str, secret: str | None, validators: object, tools: SourceTools, *, accept: str
) -> PolledPage:
    """Fetch a page. `secret` names the secret that is sent as a bearer token; `validators` are those of the last time.

    Raises InvalidInput, AddressRefused, UpstreamFailed also for an answer that is an error, TooBusy, Forbidden for a
    secret over plain HTTP, MissingCredential.
    """
    headers = {"accept": accept}
    if isinstance(validators, dict):
        known = cast("dict[str, Any]", validators)
    else:
        known = {}
    for name, condition in _VALIDATORS:
        value = known.get(name)
        if isinstance(value, str):
            headers[condition] = value
    if secret is not None:
        headers["authorization"] = f"Bearer {await tools.secret(secret, _secret_host(url))}"

    response = await tools.web.fetch(url, headers=headers, max_bytes=MAX_PAGE_BYTES)
    if response.status == 304:
        return PolledPage(None, known)
    if response.status in _BUSY:
        raise TooBusy(
            f"The source asks to come back later ({response.status}).", retry_after=retry_after(response)
        )
    if response.status >= 400:
        raise UpstreamFailed(
            f"The source answered with the error {response.status}.",
            upstream_status=response.status,
            hint="Open its address, and correct it or the secret where it needs one.",
        )

    found: dict[str, JsonValue] = {
        name: value
        for name, _ in _VALIDATORS
        if len(value := response.headers.get(name, "")) <= _MAX_VALIDATOR and value
    }
    return PolledPage(response, found)


def _secret_host(url: str) -> str:
    target = urlsplit(url)
    if target.scheme != "https":
        raise Forbidden("A secret is sent over https only.", hint="Give an address that begins with https.")
    return f"{target.hostname or ''}:{target.port or 443}"
