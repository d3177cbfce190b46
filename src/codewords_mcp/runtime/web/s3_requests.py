"""Signed requests to servers that speak S3, for addresses that a person gave.

AWS Signature Version 4 over the guarded client, so that no private address is reached and no answer is larger than its bound.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree.ElementTree import Element, ParseError

from codewords_mcp.errors import CodewordsError, Forbidden, NotFound, TooBusy, UpstreamFailed
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

MAX_PAGE = 4 << 20
"""Bytes of a page of a listing: a thousand objects."""
_EMPTY = hashlib.sha256(b"").hexdigest()
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")


@dataclass(frozen=True, slots=True)
class S3Account:
    """An account at a server. `endpoint` is its URL."""

    endpoint: str
    region: str
    key_id: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object in one version."""

    key: str
    size: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class S3Page:
    """A part of a listing. `token` leads to the next one."""

    objects: tuple[S3Object, ...]
    token: str | None


class S3Requests:
    """Reads buckets. `account` signs; `now` is the time of a signature."""

    def __init__(self, web: Web, account: S3Account, now: datetime) -> None:
        self._web = web
        self._account = account
        self._now = now

    async def list(self, bucket: str, prefix: str, token: str | None) -> S3Page:
        """Return a page of the objects below a prefix.

        Raises AddressRefused, Forbidden, NotFound, TooBusy, UpstreamFailed.
        """
        # Keys may hold characters that XML cannot, so they come escaped.
        query = {"list-type": "2", "max-keys": "1000", "encoding-type": "url", "prefix": prefix}
        if token is not None:
            query["continuation-token"] = token
        response = await self._get(f"/{bucket}", query, {}, MAX_PAGE)
        if response.status != 200:
            raise _failure(response)
        return _read_page(response.body)

    async def get(self, bucket: str, item: S3Object, max_bytes: int) -> bytes | None:
        """Return the content of an object; None if it is another version by now, or gone. Raises as `list`."""
        response = await self._get(f"/{bucket}/{item.key}", {}, {"if-match": item.etag}, max_bytes)
        if response.status in {404, 412}:
            return None
        if response.status != 200:
            raise _failure(response)
        return response.body

    async def _get(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], max_bytes: int
    ) -> WebResponse:
        # S3 signs a path as it is sent, unlike other services of AWS, which escape it twice.
        escaped_path, escaped_query = quote(path, safe="/-_.~"), _query(query)
        base = self._account.endpoint.rstrip("/")
        url = f"{base}{escaped_path}" + (f"?{escaped_query}" if query else "")
        signed = sign(self._account, urlsplit(base).netloc, escaped_path, query, headers, self._now)
        return await self._web.fetch(url, headers=signed, max_bytes=max_bytes)


def sign(
    account: S3Account,
    host: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    at: datetime,
) -> dict[str, str]:
    """Return the headers of a signed GET (AWS Signature Version 4). `path` is escaped, `headers` are in lower case."""
    scheme = urlsplit(account.endpoint).scheme
    # The standard port is not part of the header that is sent.
    host = host.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ":"))
    stamp, day = f"{at:%Y%m%dT%H%M%SZ}", f"{at:%Y%m%d}"
    signed = {**headers, "host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    request = "\n".join(("GET", path, _query(query), lines, names, _EMPTY))

    scope = f"{day}/{account.region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{account.secret_key}".encode()
    for part in (day, account.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")

    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={account.key_id}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 {credential},SignedHeaders={names},Signature={signature}"
    # The client writes `host` itself.
    return {name: value for name, value in signed.items() if name != "host"} | {
        "authorization": authorization
    }


def _query(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


def _read_page(body: bytes) -> S3Page:
    """Read a listing. Raises UpstreamFailed."""
    from xml.etree import ElementTree as ET

    try:
        # No listing has one, and entities of its own could grow without end.
        if b"<!DOCTYPE" in body[:1000]:
            raise ValueError
        root = ET.fromstring(body)  # noqa: S314  # without a document type, bounded in size
        objects = [_read_object(found) for found in root.iterfind("{*}Contents")]
        is_last = root.findtext("{*}IsTruncated") != "true"
        token = None if is_last else _text(root, "NextContinuationToken")
    except (ParseError, ValueError, LookupError):
        raise UpstreamFailed(
            "The server lists the bucket in a form that is not S3's.", upstream_status=200
        ) from None

    return S3Page(tuple(objects), token)


def _read_object(found: Element) -> S3Object:
    return S3Object(
        key=unquote_plus(_text(found, "Key")),
        size=int(_text(found, "Size")),
        etag=_text(found, "ETag"),
        modified_at=datetime.fromisoformat(_text(found, "LastModified")),
    )


def _text(found: Element, name: str) -> str:
    """Return the text of a field. Raises ValueError if there is none."""
    text = found.findtext(f"{{*}}{name}")
    if text is None:
        raise ValueError(name)
    return text


def _failure(response: WebResponse) -> CodewordsError:
    found = _CODE.search(response.body[:10_000])
    code = found[1].decode() if found else ""
    if response.status in {429, 503}:
        return TooBusy("The server of the bucket asks for fewer requests.", retry_after=retry_after(response))
    if code == "RequestTimeTooSkewed":
        return Forbidden("The server of the bucket refuses this machine's clock.", hint="Set the clock.")
    if response.status in {401, 403}:
        return Forbidden(
            "The server does not let this account read the bucket.",
            hint="Check both secrets, the region, and that it may list the bucket and get its objects.",
        )
    if response.status == 404:
        return NotFound(
            "The server has no bucket of this name.", hint="Check `bucket`, `endpoint` and `region`."
        )
    return UpstreamFailed(
        f"The server of the bucket answered {response.status}.",
        hint="Check `endpoint` and `region`.",
        upstream_status=response.status,
    )
