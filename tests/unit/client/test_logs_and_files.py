"""Logs and files through either client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.fake_runtime import FakeRuntime

from codewords_client import CodewordsHTTPError

pytestmark = pytest.mark.anyio
LINES = ["line 0", "line 1", "line 2", "line 3", "not json"]


def messages(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["message"] for entry in entries]


@pytest.mark.requirement("client:logs")
@pytest.mark.parametrize("method", ["get_logs", "stream_logs"])
async def test_log_entries_come_in_order_without_heartbeats(client: Any, method: str) -> None:
    assert messages(await getattr(client, method)("run-1")) == LINES


@pytest.mark.requirement("client:logs")
async def test_a_log_that_breaks_off_is_picked_up_where_it_broke(client: Any, runtime: FakeRuntime) -> None:
    runtime.cut_log = True
    assert messages(await client.get_logs("run-1")) == LINES
    assert [asked.query for asked in runtime.asked] == ["", "after=2026-01-01T00%3A00%3A00.001000Z"]


@pytest.mark.requirement("client:logs")
async def test_the_log_of_an_unknown_run_raises(client: Any) -> None:
    with pytest.raises(CodewordsHTTPError, match="404: There is no run missing"):
        await client.get_logs("missing")


@pytest.mark.requirement("client:logs")
async def test_a_look_at_the_log_of_a_running_run_does_not_wait_for_its_end(
    client: Any, runtime: FakeRuntime
) -> None:
    runtime.open_log = True
    entries = await client.get_workflow_logs("run-1", max_entries=2)
    assert [entry.message for entry in entries] == LINES[-2:]
    assert runtime.asked[-1].query == "follow=0"


@pytest.mark.requirement("client:logs")
async def test_the_log_of_a_run_that_has_ended_is_read_to_its_end(client: Any, runtime: FakeRuntime) -> None:
    runtime.ended = True
    assert messages(await client.get_workflow_logs("run-1")) == LINES
    assert runtime.asked[-1].query == ""


@pytest.mark.requirement("client:logs")
async def test_print_logs_shows_the_log_while_the_run_lasts(
    client: Any, runtime: FakeRuntime, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await client.run("logs-while-running", print_logs=True)
    assert answer["message"] == "Hello"
    assert (
        runtime.last("POST", "/run/logs-while-running/").headers["x-provisioned-request-id"]
        == "run-provisioned"
    )
    assert '"message": "line 3"' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.requirement("client:logs")
async def test_print_logs_does_not_wait_for_a_log_that_stays_open(client: Any, runtime: FakeRuntime) -> None:
    runtime.open_log = True
    assert (await client.run("hello", print_logs=True))["message"] == "Hello"
    runtime.log_may_end.set()


@pytest.mark.requirement("client:files")
async def test_content_goes_up_with_the_given_headers_and_no_key(client: Any, runtime: FakeRuntime) -> None:
    link = await client.upload_file_content("a.bin", b"\x00\x01")
    put = runtime.last("PUT", "/links/a.bin")
    assert (put.body, put.headers["x-upload"], put.headers["content-type"]) == (
        b"\x00\x01",
        "yes",
        "application/octet-stream",
    )
    assert "authorization" not in put.headers
    assert await client.download_file(link) == b"\x00\x01"


@pytest.mark.requirement("client:files")
async def test_a_file_goes_up_with_its_size_and_comes_down_to_a_path(
    client: Any, runtime: FakeRuntime, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 4096
    (tmp_path / "big file.bin").write_bytes(content)
    link = await client.upload_file(tmp_path / "big file.bin")
    assert runtime.last("PUT", "/links/big file.bin").headers["content-length"] == str(len(content))
    assert await client.download_file(link, tmp_path / "back") == tmp_path / "back"
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.requirement("client:files")
async def test_a_link_to_nothing_raises(client: Any, runtime: FakeRuntime) -> None:
    with pytest.raises(CodewordsHTTPError, match="404: There is no such file"):
        await client.download_file(f"{runtime.url}/links/absent")


@pytest.mark.requirement("client:run")
async def test_a_provisioned_id_comes_from_the_runtime(client: Any) -> None:
    assert await client.provision_request() == "run-provisioned"
