"""Keys of runs, stolen, replayed and overused, against the whole runtime: its door, its keyring and its sandboxes."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.attacks.probes import Result, Scenes, held
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

WAY: Final = "runtime"
_RUN: Final = "A run's key is a person's rights, as long as the run lives."
_ADMINISTERED: Final = (
    ["POST", "/deploy"], ["POST", "/validate"], ["GET", "/workflows"], ["GET", "/runs"], ["PUT", "/secrets/STOLEN"],
    ["GET", "/secrets"], ["DELETE", "/secrets/THEIRS"], ["POST", "/secrets/THEIRS/entry"], ["GET", "/keys"], ["POST", "/keys"],
    ["GET", "/status"], ["POST", "/stop"],
)  # fmt: skip
_THIEF: Final = '''
import glob, os, re, urllib.error, urllib.request
OWN = os.environ["CODEWORDS_API_KEY"]
AT = os.environ["CODEWORDS_RUNTIME_URI"]

@app.post("/key")
def key():
    print("my key is", OWN)
    return {"key": OWN}

@app.post("/wait")
def wait():
    """Live until there is a file, which nobody makes: until the run is cancelled."""
    import time
    print("waiting with", OWN, flush=True)
    while True:
        time.sleep(0.05)

def ask(method, path, headers):
    asked = urllib.request.Request(AT + path, method=method, headers={"Content-Type": "application/json", **headers})
    asked.data = b"{}" if method in ("POST", "PUT") else None
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read(2000).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(2000).decode("utf-8", "replace")

@app.post("/ask")
async def asks(request: Request):
    import anyio.to_thread
    found = []
    for method, path, headers in await request.json():
        headers = {name: OWN if value == "own" else value for name, value in headers.items()}
        found.append(await anyio.to_thread.run_sync(ask, method, path, headers))
    return found

def texts():
    for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
        yield path
    for top in ("/app", "/tmp", "/var", "/run", "/dev/shm", "/etc", "/.codewords"):
        for folder, _, names in os.walk(top):
            yield from (os.path.join(folder, name) for name in names)

def memory():
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                try:
                    mem.seek(start)
                    yield mem.read(end - start)
                except OSError:
                    pass

@app.post("/search")
def search():
    pattern, found = re.compile(rb"c[w]k-(?:run-)?[0-9a-f]{64}"), set()
    for path in texts():
        try:
            with open(path, "rb") as file:
                found |= set(pattern.findall(file.read(1 << 20)))
        except OSError:
            pass
    for block in memory():
        found |= set(pattern.findall(block))
    return sorted(one.decode() for one in found - {OWN.encode()})

@app.post("/variables")
def variables():
    return dict(os.environ)
'''


@dataclass(frozen=True)
class Den:
    """A runtime with a thief's workflow, one that it robs, and a run of that which lives on."""

    runtime: ServedRuntime
    thief: str
    victim: str
    victims_run: str
    secret: str

    async def thieve(self, path: str, body: Any = None) -> Any:
        """A run of the thief's; its answer."""
        return await asyncio.to_thread(self.runtime.call, "POST", f"/run/{self.thief}/{path}", body or {})

    async def asks(self, *requests: tuple[str, str, dict[str, str]]) -> list[tuple[int, str]]:
        """What the door says to the thief, from inside."""
        answers: list[list[Any]] = await self.thieve("ask", [list(one) for one in requests])
        return [(int(status), str(text)) for status, text in answers]

    async def until_refused(self, key: str) -> int:
        """What the door says to a key, asked until it refuses: a run's end comes a moment after its answer."""
        status = 0
        for _ in range(50):
            status = (await self.asks(("POST", "/provision-request", {"Authorization": key})))[0][0]
            if status == 401:
                break
        return status

    async def record(self, run: str) -> dict[str, Any]:
        """A run's record, as its owner sees it."""
        return await asyncio.to_thread(self.runtime.call, "GET", f"/request/{run}")


scenes: Scenes[Den] = Scenes("keys", "Keys of runs")
OWN: Final = {"Authorization": "own"}


@scenes.scene(
    "replay",
    "Use the key of a run that has ended, from the network and from another run",
    _RUN,
    "401, each time",
)
async def _(den: Den) -> str:
    ended = (await den.thieve("key"))["key"]
    statuses = [await den.until_refused(ended)]
    spellings = [{"X-API-Key": ended}, {"Authorization": f"Bearer {ended}"}, {"Authorization": ended.upper()}]
    statuses += [
        status for status, _ in await den.asks(*(("GET", "/openapi.json", one) for one in spellings))
    ]
    return held(statuses == [401] * 4, statuses)


@scenes.scene(
    "search",
    "Search its processes, files and memory for any key but its own, while another run lives",
    _RUN,
    "none is found",
)
async def _(den: Den) -> str:
    found = await den.thieve("search")
    return held(found == [], f"{len(found)} keys")


@scenes.scene(
    "administer",
    "Deploy, list, read secrets, make keys and stop the runtime with its own key",
    _RUN,
    "403, each time",
)
async def _(den: Den) -> str:
    answers = await den.asks(*((method, path, OWN) for method, path in _ADMINISTERED))
    statuses = [status for status, _ in answers]
    return held(statuses == [403] * len(_ADMINISTERED), statuses)


@scenes.scene(
    "anonymous",
    "Do the same without a key, and with what may pass for one",
    "A check that knows only wrong keys lets none at all pass.",
    "401, each time",
)
async def _(den: Den) -> str:
    wrong = [
        {},
        {"Authorization": "Bearer null"},
        {"Authorization": "cwk-" + "0" * 64},
        {"X-API-Key": "' OR 1=1 --"},
    ]
    answers = await den.asks(
        *(("GET", "/secrets", one) for one in wrong), ("GET", f"/secrets?api_key={den.runtime.key}", {})
    )
    statuses = [status for status, _ in answers]
    return held(statuses == [401] * 5, statuses)


@scenes.scene(
    "cancel",
    "Cancel the run of another workflow with its own key",
    "One workflow could keep another from its work.",
    "refused, and the other goes on",
)
async def _(den: Den) -> str:
    answers = await den.asks(("POST", f"/runs/{den.victims_run}/cancel", OWN))
    record = await den.record(den.victims_run)
    return held(
        answers[0][0] in (403, 404) and record["status"] not in ("cancelled", "error"),
        [answers[0][0], record["status"]],
    )


@scenes.scene(
    "secrets",
    "Look for a secret of its owner's that it did not declare",
    "A workflow gets what it asks for in its header, where a person can read it.",
    "it is not there",
)
async def _(den: Den) -> str:
    seen = json.dumps(await den.thieve("variables"))
    return held(den.secret not in seen and "THEIRS" not in seen, "not among its variables")


@scenes.scene(
    "spoofed",
    "Name itself another caller in headers that the runtime writes",
    "Inner headers are believed by whoever comes next.",
    "403 all the same",
)
async def _(den: Den) -> str:
    spoofed = {
        "X-Codewords-Caller": "admin",
        "X-Forwarded-User": "local",
        "X-Forwarded-For": "127.0.0.1",
        "X-Run-Id": den.victims_run,
    }
    answers = await den.asks(("GET", "/secrets", OWN | spoofed), ("GET", "/keys", OWN | spoofed))
    return held([status for status, _ in answers] == [403, 403], answers)


@scenes.scene(
    "cancelled",
    "Use the key that another run printed to its log, once that run was cancelled",
    "Logs are kept for long, and read by more people than keys.",
    "401",
)
async def _(den: Den) -> str:
    printed = re.search("cwk-run-[0-9a-f]{64}", await asyncio.to_thread(log_of, den.runtime, den.victims_run))
    if printed is None:
        return "it is not in the log"
    await asyncio.to_thread(den.runtime.call, "POST", f"/runs/{den.victims_run}/cancel")
    status = await den.until_refused(printed[0])
    return held(status == 401, status)


async def play(folder: Path) -> list[Result]:
    """All against one runtime with a home in `folder`."""
    secret = f"s3cret-{secrets.token_hex(12)}"
    return await asyncio.to_thread(_play, folder, secret)


def _play(folder: Path, secret: str) -> list[Result]:
    with open_den(folder, secret) as den:
        return asyncio.run(scenes.play(den, WAY))


@contextmanager
def open_den(folder: Path, secret: str = "not looked for") -> Generator[Den]:
    """A runtime with a home in `folder`, a thief's workflow and a run that it may rob."""
    with start_runtime(make_home(folder / "home"), python=sys.executable) as runtime:
        thief = runtime.deploy(workflow(_THIEF, title="Thief"), "thief")
        victim = runtime.deploy(workflow(_THIEF, title="Victim"), "victim")
        runtime.call("PUT", "/secrets/THEIRS", {"value": secret})
        run = runtime.call("POST", f"/run_async/{victim}/wait", {})["request_id"]
        until(lambda: "waiting with" in log_of(runtime, run), "the other run to begin", 60)
        yield Den(runtime, thief, victim, run, secret)


def log_of(runtime: ServedRuntime, run: str) -> str:
    """What it has printed so far."""
    asked = urllib.request.Request(
        f"{runtime.url}/logs/{run}?follow=0", headers={"Authorization": runtime.key}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=60) as answer:
        return str(answer.read().decode())
