"""The bytes of uploaded files, in a folder and in a bucket of a real server."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.ceph import serving_ceph
from tests.support.databases import open_database
from tests.support.s3 import S3, serving_s3

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store.blobs import Blobs
from codewords_mcp.runtime.store.bucket import AT_ONCE, PART, Bucket
from codewords_mcp.runtime.store.file_location import open_blobs
from codewords_mcp.runtime.store.files import DAY, FileStore
from codewords_mcp.runtime.store.folder import Folder

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("files:storage")]

NAME = f"{1:032x}.{1:08x}"
OTHER = f"{2:032x}.{2:08x}"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as server:
        yield server


@pytest.fixture
def credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture(params=["folder", "bucket"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return Folder(tmp_path / "files")
    server: S3 = request.getfixturevalue("credentials")
    return Bucket(f"s3://{server.bucket()}/some/prefix", server.endpoint)


async def chunks(data: bytes, each: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), each):
        yield data[at : at + each]


async def breaking_off(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * (1 << 20)
    raise KeyError("the caller has gone")


async def got(blobs: Blobs, name: str, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in await blobs.get(name, start, end)])


@pytest.mark.parametrize("size", [0, 10, PART, 2 * PART + 12345])
async def test_what_is_put_is_what_is_got_whole_or_a_part_of_it(blobs: Blobs, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    await blobs.put(NAME, chunks(data))
    assert await got(blobs, NAME, 0, size) == data
    part = slice(size // 3, size // 2)
    assert await got(blobs, NAME, part.start, part.stop) == data[part]


@pytest.mark.parametrize("count", [1, 20], ids=["before the first part", "after some parts"])
async def test_an_upload_that_breaks_off_leaves_nothing(blobs: Blobs, count: int) -> None:
    with pytest.raises(KeyError):
        await blobs.put(NAME, breaking_off(count))
    with pytest.raises(FileNotFoundError):
        await blobs.get(NAME, 0, 1)
    assert await blobs.older(-60) == []


async def test_no_part_of_a_broken_off_upload_is_left_in_the_bucket(credentials: S3) -> None:
    bucket = credentials.bucket()
    with pytest.raises(KeyError):
        await Bucket(f"s3://{bucket}", credentials.endpoint).put(NAME, breaking_off(20))
    assert "<Upload>" not in credentials.ask("GET", f"{bucket}?uploads")


async def test_only_names_of_ours_are_told_of_and_deleting_is_for_those_that_are_there(blobs: Blobs) -> None:
    for name in (NAME, OTHER, "somebody-elses"):
        await blobs.put(name, chunks(b"x"))
    assert sorted(await blobs.older(-60)) == [NAME, OTHER]
    assert await blobs.older(60) == []
    await blobs.delete([NAME, f"{3:032x}"])
    assert await blobs.older(-60) == [OTHER]
    assert await got(blobs, "somebody-elses", 0, 1) == b"x"


@pytest.mark.slow
async def test_cephs_gateway_takes_lists_and_deletes_and_refuses_a_wrong_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading is left to the other server: the gateway's store in SQLite ignores where a range begins."""
    with serving_ceph() as ceph:
        for name, value in ceph.environment.items():
            monkeypatch.setenv(name, value)
        bucket = ceph.bucket()
        # Of two parts at once that store loses one now and then, and refuses the whole.
        blobs = Bucket(f"s3://{bucket}/some/prefix", ceph.endpoint, at_once=1)
        await blobs.put(NAME, chunks(b"x" * (2 * PART + 12345), 1 << 20))
        await blobs.put(OTHER, chunks(b"y"))
        with pytest.raises(KeyError):
            await blobs.put(f"{3:032x}.{3:08x}", breaking_off(20))
        assert "<Upload>" not in ceph.ask("GET", f"{bucket}?uploads")
        assert f"<Size>{2 * PART + 12345}</Size>" in ceph.ask("GET", bucket)
        assert sorted(await blobs.older(-60)) == [NAME, OTHER]
        await blobs.delete([NAME, f"{3:032x}"])
        assert await blobs.older(-60) == [OTHER]
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(StorageFailed, match="does not let this runtime"):
            await Bucket(f"s3://{bucket}", ceph.endpoint).put(NAME, chunks(b"x"))


async def test_a_caller_is_asked_for_no_more_than_some_parts_ahead_of_the_server(
    credentials: S3,
) -> None:
    """A server that takes connections and says nothing: what was asked for meanwhile is what is in memory."""
    given = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(10 * PART >> 20):
            given += 1 << 20
            yield b"x" * (1 << 20)

    async with _mute_server() as endpoint:
        with pytest.raises(StorageFailed, match="did not answer"):
            bucket = Bucket("s3://files", endpoint, read_timeout=timedelta(seconds=0.5), max_retries=0)
            await bucket.put(NAME, counted())
    assert PART < given <= (AT_ONCE + 2) * PART


@asynccontextmanager
async def _mute_server() -> AsyncGenerator[str]:
    """Begins an upload for whoever asks; its parts are read and never answered."""
    callers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            if (await reader.readuntil(b"\r\n\r\n")).startswith(b"POST"):
                begun = (
                    b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
                )
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                writer.write(head % len(begun) + begun)
            else:
                await reader.read()
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


async def test_a_bucket_that_is_not_there_is_told_of(credentials: S3) -> None:
    blobs = Bucket("s3://nowhere", credentials.endpoint)
    for asked in (blobs.put(NAME, chunks(b"x")), blobs.get(NAME, 0, 1), blobs.older(0)):
        with pytest.raises(StorageFailed, match=r"The bucket nowhere at .* is not there"):
            await asked


async def test_a_server_that_does_not_answer_is_told_of(
    credentials: S3,
) -> None:
    with pytest.raises(
        StorageFailed, match=r"The bucket files at http://127.0.0.1:1 did not answer"
    ) as raised:
        await Bucket("s3://files", "http://127.0.0.1:1", max_retries=0).put(NAME, chunks(b"x"))
    assert "Debug" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "said"),
    [("s3://", "names no bucket"), ("gs://bucket", "not known"), ("s3:///prefix", "names no bucket")],
)
def test_a_place_that_is_none_is_refused(place: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=said):
        open_blobs(place, tmp_path, None)


def test_without_the_package_a_bucket_is_refused_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InvalidInput) as raised:
        open_blobs("s3://bucket", tmp_path, None)
    assert "codewords-mcp[s3]" in (raised.value.hint or "")


async def test_more_expired_files_than_one_transaction_removes_go_at_once(tmp_path: Path) -> None:
    folder, database = tmp_path / "files", open_database(tmp_path)
    files = FileStore(database, Folder(folder), "key", ttl=0, max_bytes=1000)
    for number in range(5):
        await files.add("ada", f"{number:032x}", "a.txt", chunks(b"x"), content_type="text/plain", maker=None)
    assert len(list(folder.iterdir())) == 5
    assert await files.expire(at_once=2) == 5
    assert list(folder.iterdir()) == []


@pytest.mark.slow
async def test_what_a_crash_left_of_an_upload_goes_when_no_link_can_be_good_for_it(tmp_path: Path) -> None:
    folder, database = tmp_path / "files", open_database(tmp_path)
    files = FileStore(database, Folder(folder), "key", ttl=60, max_bytes=1000)
    links = await files.create(Caller("ada", "user"), "a.txt")
    await files.write(links.upload_path.removeprefix("/file/"), chunks(b"kept"), "text/plain")
    kept = {path.name for path in folder.iterdir()}
    long_ago = time.time() - 2 * DAY
    for name in (f"{NAME}.part", OTHER, "notes.txt"):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (long_ago, long_ago))
    assert await files.expire() == 0
    assert {path.name for path in folder.iterdir()} == kept | {"notes.txt"}
    found = await files.find(links.download_path.removeprefix("/file/"))
    assert b"".join([chunk async for chunk in await files.read(found, 0, found.size)]) == b"kept"
    database.close()
