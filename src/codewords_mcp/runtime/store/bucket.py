"""Uploaded files in a bucket of a server that speaks S3, through `obstore` (Rust; an extra, imported when a bucket is named).

Who may is said as for any program of AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what the machine or the pod is
given. A large file goes up in parts that nobody sees before the last one is there; at most two are in memory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.store.blobs import BUCKET, CHUNK, OURS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from obstore import ObjectMeta
    from obstore.store import S3Config

PART = 8 << 20
"""Bytes of a part. S3 takes 10,000 of them."""
AT_ONCE = 2
CONNECT, QUIET = timedelta(seconds=5), timedelta(seconds=30)
"""How long a connection may take, and how long nothing may come over one."""
WHOLE = timedelta(days=1)
"""One answer at the most: a large file to a slow caller takes its time."""
RETRIES, RETRY_FOR = 5, timedelta(seconds=30)
_NO_BUCKET = "NoSuchBucket"
"""Of S3's error codes, the one that tells it from a file that is not there."""
log = structlog.get_logger(__name__)


class Bucket:
    """See `Blobs`. `place` is `s3://bucket/prefix`; `endpoint` a URL, where it is not AWS's."""

    def __init__(self, place: str, endpoint: str | None) -> None:
        try:
            import obstore.exceptions
            import obstore.store
        except ImportError as error:
            raise InvalidInput(
                "CODEWORDS_FILES names a bucket, and the package that reaches buckets is not installed.",
                hint="Install it beside codewords-mcp: from the clone or wheel, pip install '.[s3]'.",
            ) from error

        name, _, prefix = place.removeprefix(BUCKET).rstrip("/").partition("/")
        if not name:
            raise InvalidInput("CODEWORDS_FILES names no bucket.", hint="Write s3://bucket/prefix.")

        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config: S3Config = {"endpoint": endpoint.rstrip("/")} if endpoint else {}
        if not any(os.environ.get(one) for one in ("AWS_REGION", "AWS_DEFAULT_REGION")):
            config["region"] = "us-east-1"
        self.place = f"{BUCKET}{name}/{prefix}".rstrip("/")
        self._obstore = obstore
        self._where = f"the bucket {name}" + (f" at {endpoint}" if endpoint else "")

        try:
            self._store = obstore.store.S3Store(
                name,
                prefix=prefix or None,
                config=config,
                client_options={
                    "allow_http": (endpoint or "").startswith("http://"),
                    "connect_timeout": CONNECT, "read_timeout": QUIET, "timeout": WHOLE,
                },
                retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_FOR},
            )  # fmt: skip
        except (obstore.exceptions.BaseError, ValueError) as error:
            raise InvalidInput(
                f"{self._where.capitalize()} cannot be used as it is configured.",
                hint="See CODEWORDS_FILES, CODEWORDS_S3_ENDPOINT and the AWS_* variables.",
            ) from error

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Blobs`."""
        first = bytearray()
        async for chunk in chunks:
            first += chunk
            if len(first) > PART:
                break

        with self._words():
            if len(first) <= PART:  # all of it: one request instead of three
                await self._obstore.put_async(self._store, name, bytes(first), use_multipart=False)
                return

            whole = _joined(bytes(first), chunks)
            first.clear()
            await self._obstore.put_async(
                self._store, name, whole, use_multipart=True, chunk_size=PART, max_concurrency=AT_ONCE
            )

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """See `Blobs`."""
        if start >= end:
            await self._head(name)
            return _joined(b"", None)

        with self._words(missing=True):
            found = await self._obstore.get_async(self._store, name, options={"range": (start, end)})

        async def chunks() -> AsyncIterator[bytes]:
            with self._words():
                async for data in found.stream(min_chunk_size=CHUNK):
                    yield bytes(data)

        return chunks()

    async def _head(self, name: str) -> None:
        with self._words(missing=True):
            await self._obstore.head_async(self._store, name)

    async def delete(self, names: Collection[str]) -> None:
        """See `Blobs`."""
        for name in names:
            with self._words():
                try:
                    await self._obstore.delete_async(self._store, name)
                except FileNotFoundError:
                    continue  # where a server tells; a bucket that is not there is told of by all else

    async def older(self, seconds: float) -> list[str]:
        """See `Blobs`."""
        before, found = datetime.now(UTC) - timedelta(seconds=seconds), list[str]()
        library: Any = self._obstore  # whose `list` has a type that depends on another package

        with self._words():
            page: Sequence[ObjectMeta]
            async for page in library.list(self._store):
                found += [
                    one["path"]
                    for one in page
                    if OURS.fullmatch(one["path"]) and one["last_modified"] < before
                ]

        return found

    @contextmanager
    def _words(self, *, missing: bool = False) -> Generator[None]:
        """StorageFailed, in our own words, for what the library raises; with `missing`, FileNotFoundError stays."""
        errors = self._obstore.exceptions
        try:
            yield
        except (errors.BaseError, OSError) as error:
            gone, said = isinstance(error, FileNotFoundError), str(error)
            if gone and missing and _NO_BUCKET not in said:
                raise
            if gone or _NO_BUCKET in said:
                raise self._failed("is not there", "Create it, or see CODEWORDS_FILES.", error) from error
            if isinstance(error, errors.PermissionDeniedError | errors.UnauthenticatedError):
                what = "does not let this runtime read and write"
                raise self._failed(what, "See its policy, and the AWS_* variables.", error) from error
            if "169.254." in said:  # where credentials are looked for last: at the machine's own cloud
                hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role."
                raise self._failed("cannot be asked without credentials", hint, error) from error

            hint = "Try again; the runtime's log has the details."
            raise self._failed("did not answer as expected", hint, error) from error

    def _failed(self, what: str, hint: str, error: Exception) -> StorageFailed:
        sentence = f"{self._where[0].upper()}{self._where[1:]} {what}."
        log.warning("storage of files", failed=sentence, reason=str(error).partition("\n")[0])
        return StorageFailed(sentence, hint=hint)


async def _joined(first: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    if first:
        yield first
    if rest is not None:
        async for chunk in rest:
            yield chunk
