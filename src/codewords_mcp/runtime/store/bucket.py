"""Uploaded files in a bucket of an S3 server, through `obstore`.

`obstore` is written in Rust, is an extra, and is imported only when a bucket is named. Credentials
come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the machine's or pod's role. A large
file is uploaded in parts, which become visible with the last one; at most two are in memory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.errors.remedies import add_package
from codewords_mcp.runtime.store.blobs import BUCKET, CHUNK, OURS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from obstore import ObjectMeta
    from obstore.store import S3Config

PART = 8 << 20
"""Bytes of a part. S3 takes 10,000 of them."""
AT_ONCE = 2
"""Parts of a file that are on their way."""
CONNECT, QUIET = timedelta(seconds=5), timedelta(seconds=30)
"""Timeouts of opening a connection, and of a connection without any data."""
WHOLE = timedelta(days=1)
"""Timeout of one whole response: a large file to a slow caller takes long."""
RETRIES, RETRY_FOR = 5, timedelta(seconds=30)
_NO_BUCKET = "NoSuchBucket"
"""The S3 error code of a missing bucket; a missing file has another one."""
log = structlog.get_logger(__name__)


class Bucket:
    """See `Blobs`. `location` is `s3://bucket/prefix`; `endpoint` a URL, where it is not AWS's."""

    def __init__(
        self,
        location: str,
        endpoint: str | None,
        *,
        read_timeout: timedelta = QUIET,
        max_retries: int = RETRIES,
        at_once: int = AT_ONCE,
    ) -> None:
        try:
            import obstore.exceptions
            import obstore.store
        except ImportError as error:
            raise InvalidInput(
                "CODEWORDS_FILES names a bucket, and the package that reaches buckets is not installed.",
                remedy=add_package("obstore>=0.10,<1", "s3"),
            ) from error

        name, _, prefix = location.removeprefix(BUCKET).rstrip("/").partition("/")
        if not name:
            raise InvalidInput("CODEWORDS_FILES names no bucket.", hint="Write s3://bucket/prefix.")

        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config: S3Config = {"endpoint": endpoint.rstrip("/")} if endpoint else {}
        if not any(os.environ.get(variable) for variable in ("AWS_REGION", "AWS_DEFAULT_REGION")):
            config["region"] = "us-east-1"
        self.location = f"{BUCKET}{name}/{prefix}".rstrip("/")
        self._obstore = obstore
        self._at_once = at_once
        self._where = f"the bucket {name}" + (f" at {endpoint}" if endpoint else "")

        try:
            self._store = obstore.store.S3Store(
                name,
                prefix=prefix or None,
                config=config,
                client_options={
                    "allow_http": (endpoint or "").startswith("http://"),
                    "connect_timeout": CONNECT, "read_timeout": read_timeout, "timeout": WHOLE,
                },
                retry_config={"max_retries": max_retries, "retry_timeout": RETRY_FOR},
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

        with self._translated_errors():
            if len(first) <= PART:  # all of it: one request instead of three
                await self._obstore.put_async(self._store, name, bytes(first), use_multipart=False)
                return

            # From here on the library reads the caller's chunks itself, and uploads them part
            # by part.
            whole = _joined(bytes(first), chunks)
            first.clear()
            await self._obstore.put_async(
                self._store, name, whole, use_multipart=True, chunk_size=PART, max_concurrency=self._at_once
            )

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """See `Blobs`."""
        if start >= end:
            # HTTP has no empty range, so an empty read only asks whether the object is there.
            await self._head(name)
            return _joined(b"", None)

        with self._translated_errors(missing=True):
            found = await self._obstore.get_async(self._store, name, options={"range": (start, end)})

        async def chunks() -> AsyncIterator[bytes]:
            with self._translated_errors():
                async for data in found.stream(min_chunk_size=CHUNK):
                    yield bytes(data)

        return chunks()

    async def _head(self, name: str) -> None:
        with self._translated_errors(missing=True):
            await self._obstore.head_async(self._store, name)

    async def delete(self, names: Collection[str]) -> None:
        """See `Blobs`."""
        for name in names:
            with self._translated_errors():
                try:
                    await self._obstore.delete_async(self._store, name)
                except FileNotFoundError:
                    # Some servers distinguish the two; a missing bucket is reported by every other
                    # operation.
                    continue

    async def older(self, seconds: float) -> list[str]:
        """See `Blobs`."""
        before, found = datetime.now(UTC) - timedelta(seconds=seconds), list[str]()
        library: Any = self._obstore  # whose `list` has a type that depends on another package

        with self._translated_errors():
            page: Sequence[ObjectMeta]
            async for page in library.list(self._store):
                found += [
                    item["path"]
                    for item in page
                    if OURS.fullmatch(item["path"]) and item["last_modified"] < before
                ]

        return found

    @contextmanager
    def _translated_errors(self, *, missing: bool = False) -> Generator[None]:
        """Turn errors of the library into StorageFailed; with `missing`, FileNotFoundError passes."""
        errors = self._obstore.exceptions
        try:
            yield
        except (errors.BaseError, OSError) as error:
            missing_object, message = isinstance(error, FileNotFoundError), str(error)
            if missing_object and missing and _NO_BUCKET not in message:
                raise
            if missing_object or _NO_BUCKET in message:
                raise self._failed("is not there", "Create it, or see CODEWORDS_FILES.", error) from error
            if isinstance(error, errors.PermissionDeniedError | errors.UnauthenticatedError):
                what = "does not let this runtime read and write"
                raise self._failed(what, "See its policy, and the AWS_* variables.", error) from error
            # the address of the cloud's credential service, which is tried last
            if "169.254." in message:
                hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role."
                raise self._failed("cannot be asked without credentials", hint, error) from error

            hint = "Try again; the runtime's log has the details."
            raise self._failed("did not answer as expected", hint, error) from error

    def _failed(self, what: str, hint: str, error: Exception) -> StorageFailed:
        message = f"{self._where[0].upper()}{self._where[1:]} {what}."
        log.warning("file storage failed", failure=message, reason=str(error).partition("\n")[0])
        return StorageFailed(message, hint=hint)


async def _joined(first: bytes, rest: AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    if first:
        yield first
    if rest is not None:
        async for chunk in rest:
            yield chunk
