"""Event source: objects that come into a bucket of an S3 server, or change there."""

from __future__ import annotations

import mimetypes
from typing import cast
from urllib.parse import urlsplit

from pydantic import Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.listed_items import ListedItem, ListedItems
from codewords_mcp.runtime.web.s3_requests import S3Account, S3Object, S3Requests

MAX_PAGES = 50
"""Pages of a listing, of 1,000 objects each."""
PAGE, MAX_PAGE_BYTES = 100, 100 << 20
"""Objects of one look, and their bytes."""
MAX_COPY = 32 << 20
"""Bytes of an object that is kept with its event."""


class BucketOptions(Model):
    """Options of the source `bucket`."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket's name.")
    prefix: str = Field(
        default="", max_length=1000, description="Only objects whose key begins so, as reports/."
    )
    endpoint: str | None = Field(
        default=None,
        max_length=500,
        description="URL of the server, where it is not AWS's: https://s3.example.org.",
    )
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="The bucket's region.")
    key_id: str = Field(
        default="AWS_ACCESS_KEY_ID", description="Name of the secret with the access key's id."
    )
    secret_key: str = Field(
        default="AWS_SECRET_ACCESS_KEY", description="Name of the secret with the access key's secret."
    )


class BucketSource(EventSource[BucketOptions]):
    """An object is there whole or not at all, so each is an event at the first look that finds it."""

    kind = "bucket"
    title = "Objects in a bucket (S3)"
    interval_s = 300.0
    min_interval_s = 30.0
    Options = BucketOptions

    @override
    async def poll(self, options: BucketOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        requests = await _requests(options, tools)
        found = await _list(requests, options)
        known = ListedItems(cast("JsonObject", state or {}))
        if state is None:
            return Polled([], known.after([_item(item) for item in found]))

        new = [item for item in found if _item(item) not in known]
        page = _page(new)
        events = [
            event for item in page if (event := await _event(requests, options, item, tools)) is not None
        ]
        # Objects beyond this page stay unknown, so that the next look finds them as new.
        done = {item.key for item in page}
        after = known.after([_item(item) for item in found if _item(item) in known or item.key in done])
        return Polled(events, after, more=len(page) < len(new))

    @override
    async def sample(self, options: BucketOptions, tools: SourceTools) -> SourceEvent | None:
        requests = await _requests(options, tools)
        found = await _list(requests, options)
        if not found:
            return None
        return await _event(requests, options, found[-1], tools)


async def _requests(options: BucketOptions, tools: SourceTools) -> S3Requests:
    """Return the requests of the bucket's account. Raises InvalidInput, Forbidden, NotConnected."""
    endpoint = options.endpoint or f"https://s3.{options.region}.amazonaws.com"
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.path.strip("/"):
        raise InvalidInput("`endpoint` must be the URL of a server, such as https://s3.example.org.")

    host = parts.netloc
    key_id = await tools.secret(options.key_id, host)
    secret_key = await tools.secret(options.secret_key, host)
    return S3Requests(tools.web, S3Account(endpoint, options.region, key_id, secret_key), tools.now())


async def _list(requests: S3Requests, options: BucketOptions) -> list[S3Object]:
    """Return all objects below the prefix, the oldest first."""
    found: list[S3Object] = []
    token: str | None = None
    for _ in range(MAX_PAGES):
        page = await requests.list(options.bucket, options.prefix, token)
        # Keys that end so are folders, which some programs make.
        found += [item for item in page.objects if not item.key.endswith("/")]
        token = page.token
        if token is None:
            return sorted(found, key=_order)

    raise InvalidInput(
        f"The bucket has more than {MAX_PAGES * 1000} objects below this prefix.",
        hint="Give a longer `prefix`.",
    )


def _order(item: S3Object) -> tuple[float, str]:
    return item.modified_at.timestamp(), item.key


def _item(item: S3Object) -> ListedItem:
    modified_ms = int(item.modified_at.timestamp() * 1000)
    return ListedItem(f"{item.key}:{item.etag}:{modified_ms}", modified_ms)


def _page(new: list[S3Object]) -> list[S3Object]:
    """Return the first objects that one look reads; at least one."""
    page: list[S3Object] = []
    room = MAX_PAGE_BYTES
    for item in new[:PAGE]:
        # The content of a larger object is not read.
        room -= item.size if item.size <= MAX_COPY else 0
        if room < 0 and page:
            break
        page.append(item)
    return page


async def _event(
    requests: S3Requests, options: BucketOptions, item: S3Object, tools: SourceTools
) -> SourceEvent | None:
    """Return the event of an object; None if it is another version by now, or gone."""
    name = item.key.rpartition("/")[2]
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    url = None
    # A path with such parts would be another one on its way.
    if item.size <= MAX_COPY and not {".", ".."} & set(item.key.split("/")):
        content = await requests.get(options.bucket, item, MAX_COPY)
        if content is None:
            return None
        try:
            url = await tools.keep_file(name, content, kind)
        except BodyTooLarge:
            url = None

    data: JsonObject = {
        "bucket": options.bucket,
        "key": item.key,
        "name": name,
        "size": item.size,
        "etag": item.etag.strip('"'),
        "content_type": kind,
        "modified_at": item.modified_at.isoformat(),
        "url": url,
    }
    return SourceEvent(_item(item).key, data, item.modified_at)
