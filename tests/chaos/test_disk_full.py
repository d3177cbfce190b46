"""A disk that is full for a while: nothing that was stored is lost, what is said is plain, and it goes on when there is room."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.helpers import lines, outcomes, record, result, start
from tests.support.mounted_disk import FILL_DISK, on_disk, require_mounts, run_inside
from tests.support.runtime import workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

from codewords_mcp.runtime.recording.exchanges import NOT_STORED
from codewords_mcp.runtime.runs.recording_store import RECORDING_CUT
from codewords_mcp.runtime.runs.run_logs import LOST
from codewords_mcp.runtime.store.database import WRITES_RETAINED

pytestmark = [pytest.mark.slow, pytest.mark.requirement("store:disk-full")]

SIZE = 48 << 20
TALKER = workflow(
    """
import asyncio
@app.post("/")
async def talk(request: Request):
    asked = await request.json()
    print("before", flush=True)
    while asked["seconds"] > 0:
        await asyncio.sleep(0.1)
        asked["seconds"] -= 0.1
        print("x" * 20_000, flush=True)
    print("after", flush=True)
    return {"said": "a" * asked.get("answer", 1)}
""",
    title="Talker",
)


CALLER = workflow(
    """
import asyncio, httpx, os
@app.post("/")
async def call(request: Request):
    asked = await request.json()
    await asyncio.sleep(asked["seconds"])
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        key = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
        # It is refused; the body compresses to nothing less.
        answer = await client.post("/services/none", content=os.urandom(500_000), headers=key)
    return {"status": answer.status_code}
""",
    title="Caller",
)
CHECK = """
import sqlite3
print(sqlite3.connect("codewords.db").execute("PRAGMA integrity_check").fetchall())
"""


class SmallDisk:
    """A runtime whose home is a small disk of its own, in a mount namespace that ends with it."""

    def __init__(self, runtime: ServedRuntime, home: Path) -> None:
        self.runtime = runtime
        self.seen = runtime.home
        self._home = home

    def inside(self, code: str) -> str:
        """Output of a program in the home."""
        return run_inside(self.runtime, self._home, code)

    def said(self) -> str:
        """What the runtime has logged."""
        return (self._home / "serve.log").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    home = tmp_path_factory.mktemp("small") / "home"
    require_mounts()
    under = on_disk("tmpfs", "tmpfs", f"size={SIZE},mode=700", home)
    with start_runtime(home, under=under, CODEWORDS_GRACE_TIMEOUT="0.2") as runtime:
        yield SmallDisk(runtime, home)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as one:
        yield one


def recording(runtime: ServedRuntime, run_id: str) -> Any:
    """The recording of a run; None before it is stored."""
    with contextlib.suppress(AssertionError):
        return runtime.call("GET", f"/recordings/{run_id}")
    return None


def refused(runtime: ServedRuntime, path: str, body: Any) -> str:
    """What is said where there is no room."""
    with pytest.raises(AssertionError, match="507") as caught:
        runtime.call("POST", path, body)
    return str(caught.value)


def put(runtime: ServedRuntime, link: dict[str, Any], data: bytes) -> Any:
    path = link["upload_uri"].split("/", 3)[3]
    request = urllib.request.Request(
        f"{runtime.url}/{path}", data=data, method="PUT", headers=link["upload_headers"]
    )
    return urllib.request.urlopen(request, timeout=60)


def get(runtime: ServedRuntime, link: dict[str, Any]) -> bytes:
    path = link["download_uri"].split("/", 3)[3]
    with urllib.request.urlopen(f"{runtime.url}/{path}", timeout=60) as answer:
        return answer.read()


@pytest.mark.requirement("recording:disk-full")
def test_a_recording_without_room_says_where_it_ends_and_the_next_one_is_whole(
    disk: SmallDisk, pool: ThreadPoolExecutor
) -> None:
    runtime = disk.runtime
    caller = runtime.deploy(CALLER, "caller")
    runtime.call("POST", f"/run/{caller}/", {"seconds": 0})
    until(lambda: runtime.call("GET", "/recordings")["items"], "the first recording")
    answer = pool.submit(runtime.call, "POST", f"/run/{caller}/", {"seconds": 3})
    until(lambda: runtime.call("GET", "/runs?status=running")["items"], "a run to be running")
    going = runtime.call("GET", "/runs?status=running")["items"][0]["id"]
    disk.inside(FILL_DISK)
    told = answer.result()
    assert told == {"status": 405}, "the run goes on"
    # It is stored once the sandbox is gone, after the answer.
    until(lambda: f'"{going}", "event": "{RECORDING_CUT}' in disk.said(), "the recording to find no room")

    (disk.seen / "ballast").unlink()
    cut = until(lambda: recording(runtime, going), "the recording to be stored")
    assert cut["truncated"] == NOT_STORED
    assert (cut["request"]["body"], cut["response"]["body"], cut["response"]["status"]) == (None, None, 200)
    [exchange] = cut["exchanges"]
    assert (exchange["method"], exchange["response"]["status"], exchange["body"]) == ("POST", 405, None)
    listed = runtime.call("GET", f"/recordings?service_id={caller}")["items"]
    assert NOT_STORED in next(one["obstacle"] for one in listed if one["run_id"] == going)
    calls = [span["name"] for span in runtime.call("GET", f"/runs/{going}/trace")["spans"]]
    assert any("/services/none" in name for name in calls), calls

    runtime.call("POST", f"/run/{caller}/", {"seconds": 0.1})
    latest = runtime.call("GET", f"/runs?service_id={caller}&limit=1")["items"][0]["id"]
    whole = until(lambda: recording(runtime, latest), "the next recording")
    assert (whole["truncated"], whole["exchanges"][0]["response"]["whole"]) == ("", True)
    assert json.loads(whole["request"]["body"]) == {"seconds": 0.1}


def test_what_was_stored_stays_what_is_asked_is_refused_and_what_ran_is_on_record_once_there_is_room(
    disk: SmallDisk, pool: ThreadPoolExecutor
) -> None:
    runtime = disk.runtime
    talker = runtime.deploy(TALKER, "talker")
    first = start(runtime, talker, "early")
    until(lambda: "wall_seconds" in record(runtime, first)["usage"], "all of a run to be on record")
    early = record(runtime, first)
    stored = runtime.call("POST", "/file?filename=stored.bin")
    put(runtime, stored, b"stored").close()
    late = runtime.call("POST", "/file?filename=late.bin")
    answer = pool.submit(runtime.call, "POST", f"/run/{talker}/", {"seconds": 3})
    until(lambda: runtime.call("GET", "/runs?status=running")["items"], "a run to be running")
    going = runtime.call("GET", "/runs?status=running")["items"][0]["id"]

    assert "full" in disk.inside(FILL_DISK)
    another = {"code": TALKER + "#", "name": "late", "allow": True}
    asked = {f"/run/{talker}/": {"seconds": 0}, f"/run_async/{talker}/": {"seconds": 0}, "/deploy": another}
    for path, body in asked.items():
        said = refused(runtime, path, body)
        assert "is full; nothing was changed" in said
        assert "Free some space" in said
    with pytest.raises(urllib.error.HTTPError, match="507"):
        put(runtime, late, bytes(1 << 20))
    assert record(runtime, first) == early
    assert answer.result() == {"said": "a"}, "the run that somebody waits for goes on"
    assert record(runtime, going)["status"] == "running"
    assert WRITES_RETAINED in disk.said()

    (disk.seen / "ballast").unlink()
    ended = result(runtime, going)
    assert (ended["status"], outcomes(ended)) == ("succeeded", ["succeeded"])
    told = [line["message"] for line in lines(runtime, going)]
    assert "before" in told
    assert LOST in told
    assert record(runtime, first) == early
    assert get(runtime, stored) == b"stored"
    put(runtime, late, b"late").close()
    assert get(runtime, late) == b"late"
    assert result(runtime, start(runtime, runtime.deploy(TALKER + "#", "late"), "x"))["status"] == "succeeded"
    assert {path.name for path in (disk.seen / "files").iterdir() if path.suffix == ".part"} == set()
    assert disk.inside(CHECK).strip() == "[('ok',)]"
