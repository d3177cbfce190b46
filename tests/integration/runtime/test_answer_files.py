"""A binary answer is a file of the run's owner, with a link in the record, and no run waits for it or fails by it."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.runtime.helpers import come, started
from tests.support.runtime import ADMIN, deploy, fetch, finished, make_home, open_runtime, request, workflow

from codewords_mcp.errors import Conflict
from codewords_mcp.http.wire_format import result_record
from codewords_mcp.mcp_server.run_format import format_run
from codewords_mcp.mcp_server.run_result import RunView, run_result
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.run import ResponseFile, Run
from codewords_mcp.runtime.model.schedule import ScheduleRequest

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:answer-files")]
LIMIT = 3 << 20


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00" + b"\xff\x00\x00" * 2 + b"\x00" + b"\x00\xff\x00" * 2))
    + _chunk(b"IEND", b"")
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
ANSWERS = workflow(
    f"""
from fastapi import Response
from fastapi.responses import StreamingResponse

PNG, PDF = {PNG!r}, {PDF!r}

@app.api_route("/{{name}}", methods=["GET", "POST"])
async def answer(name: str):
    if name == "png":
        return Response(PNG, media_type="image/png")
    if name == "pdf":
        return Response(PDF, media_type="application/pdf; version=1.4",
                        headers={{"Content-Disposition": 'attachment; filename="invoice 7.pdf"'}})
    if name == "mislabelled":
        return Response(PNG, media_type="text/plain")
    if name == "hostile":
        return Response(PNG, media_type="image/png", headers={{"Content-Disposition": 'filename="../../etc/passwd"'}})
    if name.startswith("streamed-"):
        size = int(name[9:])
        async def pieces():
            for start in range(0, size, 65536):
                yield bytes(range(256)) * (min(65536, size - start) // 256)
        return StreamingResponse(pieces(), media_type="application/octet-stream")
    if name.startswith("long-"):
        return Response('{{"rows": [' + ", ".join(f'"row {{n}}"' for n in range(int(name[5:]))) + "]}}", media_type="application/json")
    if name == "empty":
        return Response(b"", media_type="image/png")
    if name == "refused":
        return Response(PNG, status_code=422, media_type="image/png")
    return {{"text": True}}
""",
    title="Answers",
)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with open_runtime(make_home(tmp_path / "home"), max_file=LIMIT, shares_driver=True) as runtime:
        yield runtime


async def download(runtime: Runtime, file: ResponseFile) -> bytes:
    assert file.download_uri is not None
    stored = await runtime.files.find(file.download_uri.rpartition("/")[2])
    return b"".join([chunk async for chunk in await runtime.files.read(stored, 0, stored.size)])


async def answered(runtime: Runtime, service: str, path: str, *, background: bool = True) -> Run:
    if background:
        return await finished(runtime, await runtime.runs.start(request(service, {}, path=path)))
    return await finished(runtime, (await fetch(runtime, service, {}, path=path))[2])


def file_of(run: Run) -> ResponseFile:
    assert run.response_file is not None
    return run.response_file


@pytest.mark.parametrize("background", [True, False])
async def test_a_picture_a_document_and_a_mislabelled_answer_have_a_link(
    runtime: Runtime, background: bool
) -> None:
    service = await deploy(runtime, ANSWERS)
    for path, kind, name, data in [
        ("/png", "image/png", "answer-{}.png", PNG),
        ("/pdf", "application/pdf", "invoice 7.pdf", PDF),
        ("/mislabelled", "application/octet-stream", "answer-{}.bin", PNG),
        ("/hostile", "image/png", "answer-{}.png", PNG),
        ("/refused", "image/png", "answer-{}.png", PNG),
    ]:
        run = await answered(runtime, service, path, background=background)
        file = file_of(run)
        assert (file.content_type, file.filename) == (kind, name.format(run.id[:8]))
        assert (file.size, file.problem) == (len(data), None)
        assert await download(runtime, file) == data
        told = result_record(run)["responseFile"]
        assert (told["downloadUri"], told["contentType"]) == (file.download_uri, kind)
        words = format_run(run_result(RunView(run)))
        assert f"The answer is a file, {kind}, {len(data)} bytes: {file.download_uri}" in words
        assert "%PDF" not in words


@pytest.mark.parametrize("background", [True, False])
async def test_text_beyond_the_record_is_a_file_with_its_beginning_shown(
    runtime: Runtime, background: bool
) -> None:
    service = await deploy(runtime, ANSWERS)
    whole = '{"rows": [' + ", ".join(f'"row {n}"' for n in range(120_000)) + "]}"
    run = await answered(runtime, service, "/long-120000", background=background)
    file = file_of(run)
    assert (file.content_type, file.size) == ("application/json", len(whole))
    assert await download(runtime, file) == whole.encode()
    first = run_result(RunView(run))
    assert (first.result, first.total) == (whole[: len(str(first.result))], 1 << 20)
    words = format_run(first)
    assert f"The answer is a file, application/json, {len(whole):,} bytes: {file.download_uri}" in words
    assert '"row 3"' in words
    assert f"offset={first.next_offset}" in words
    second = run_result(RunView(run, offset=first.next_offset or 0))
    assert whole.startswith(str(first.result) + str(second.result))

    short = await answered(runtime, service, "/long-100", background=background)
    assert (short.response_file, short.response_truncated) == (None, False)


@pytest.mark.requirement("schedules:runs")
async def test_a_scheduled_run_has_a_link_to_its_binary_answer(runtime: Runtime) -> None:
    service = await deploy(runtime, ANSWERS)
    for path, kind, data in [("/png", "image/png", PNG), ("/pdf", "application/pdf", PDF)]:
        asked = ScheduleRequest(service_id=service, cron="0 0 1 1 *", path=path)
        schedule = await runtime.schedules.create(ADMIN, asked)
        await come(runtime, schedule)
        run = await finished(runtime, await started(runtime, schedule))
        assert (run.status, run.schedule_id) == ("succeeded", schedule.id)
        file = file_of(run)
        assert (file.content_type, file.size, file.problem) == (kind, len(data), None)
        assert await download(runtime, file) == data
        assert f"The answer is a file, {kind}, {len(data)} bytes: {file.download_uri}" in format_run(
            run_result(RunView(run))
        )


async def test_the_file_is_the_owners_and_its_workflows(runtime: Runtime) -> None:
    service = await deploy(runtime, ANSWERS)
    run = await answered(runtime, service, "/png")
    files = runtime._container.files  # pyright: ignore[reportPrivateUsage]  # what the service `files` reads
    mine = await files.list(ADMIN.owner, 10, maker=service)
    assert [row["id"] for row in mine] == [file_of(run).file_id]
    assert await files.list("somebody", 10) == []
    await files.delete(ADMIN.owner, file_of(run).file_id)
    assert file_of(await runtime.runs.get(ADMIN, run.id)).problem == "gone"


async def test_text_and_nothing_make_no_file(runtime: Runtime) -> None:
    service = await deploy(runtime, ANSWERS)
    for path in ("/text", "/empty"):
        assert (await answered(runtime, service, path)).response_file is None


async def test_an_answer_that_passes_memory_is_whole_and_one_past_the_limit_says_so(runtime: Runtime) -> None:
    service = await deploy(runtime, ANSWERS)
    for background in (True, False):
        run = await answered(runtime, service, f"/streamed-{LIMIT}", background=background)
        assert await download(runtime, file_of(run)) == bytes(range(256)) * (LIMIT // 256)
        over = await answered(runtime, service, f"/streamed-{LIMIT + 256}", background=background)
        assert (over.status, file_of(over).problem) == ("succeeded", "too_large")
        assert file_of(over).size == LIMIT + 256
        assert "larger than CODEWORDS_MAX_FILE" in format_run(run_result(RunView(over)))


async def test_a_store_that_fails_fails_no_run_and_is_told(runtime: Runtime, tmp_path: Path) -> None:
    service = await deploy(runtime, ANSWERS)
    folder = tmp_path / "home" / "files"
    if folder.exists():
        folder.rmdir()
    folder.write_text("no folder", encoding="utf-8")
    for background in (True, False):
        run = await answered(runtime, service, "/png", background=background)
        assert (run.status, file_of(run).problem) == ("succeeded", "store_failed")
        assert file_of(await runtime.runs.get(ADMIN, run.id)).problem == "store_failed"
        assert "the file store did not take it" in format_run(run_result(RunView(run)))


async def test_a_store_that_hangs_holds_up_no_run(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await deploy(runtime, ANSWERS)
    hung, go_on = asyncio.Event(), asyncio.Event()
    files = runtime._container.files  # pyright: ignore[reportPrivateUsage]
    put = files.blobs.put

    async def hanging(name: str, chunks: AsyncIterator[bytes]) -> None:
        hung.set()
        await go_on.wait()
        await put(name, chunks)

    monkeypatch.setattr(files.blobs, "put", hanging)
    run_id = (await fetch(runtime, service, {}, path="/png"))[2]
    await hung.wait()
    run = await runtime.runs.get(ADMIN, run_id)
    assert (run.status, file_of(run).problem) == ("succeeded", "storing")
    assert (await answered(runtime, service, "/text")).status == "succeeded"
    go_on.set()
    assert await download(runtime, file_of(await finished(runtime, run_id))) == PNG


async def test_a_repeated_idempotency_key_gets_the_answer_that_is_kept_as_a_file(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, ANSWERS)
    first = await fetch(runtime, service, {}, path="/png", idempotency_key="once")
    assert first[:2] == (200, PNG)
    assert await fetch(runtime, service, {}, path="/png", idempotency_key="once") == first
    files = runtime._container.files  # pyright: ignore[reportPrivateUsage]
    await files.delete(ADMIN.owner, file_of(await finished(runtime, first[2])).file_id)
    with pytest.raises(Conflict, match="kept as a file, which cannot be read now"):
        await fetch(runtime, service, {}, path="/png", idempotency_key="once")
