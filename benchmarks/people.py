"""Processor time of sessions, roles and the audit trail in a synchronous run.

Ours is a home with a hundred members whose audit trail goes on to a syslog server: a member runs a workflow by the session of a
browser. The peer is the same home without members and receivers, by its own key. Counted are the processor seconds of the
runtime with all of its sandboxes, of turns of many runs each. A trail can't be switched off, so that of the
peer's key is in both; `audit` has what an entry costs.

    python benchmarks/people.py [--quick] [--json]
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
from _bench import Question, interleave, options, report
from _door import served
from _sandboxes import ANSWER, BODY, CODE
from tests.support.browser_client import Browser
from tests.support.served_runtime import ServedRuntime

_TICKS = os.sysconf("SC_CLK_TCK")
MEMBERS = 100
TARGET = 1.03


def tree_seconds(pid: int) -> float:
    """Processor seconds of a process and of all below it, those that have ended included."""
    below: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(entry.name))
        used[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS

    total, waiting = 0.0, [pid]
    while waiting:
        found = waiting.pop()
        total += used.get(found, 0.0)
        waiting += below.get(found, ())
    return total


def deployed(runtime: ServedRuntime) -> str:
    """The id of a workflow whose runs have a sandbox each."""
    made = runtime.call("POST", "/deploy", {"code": CODE, "name": "Greeting", "allow": True})
    return str(made["service_id"])


def by_key(runtime: ServedRuntime) -> httpx.Client:
    """The home's own key, as a program sends it."""
    return httpx.Client(base_url=runtime.url, headers={"Authorization": runtime.key}, trust_env=False)


def by_session(runtime: ServedRuntime) -> httpx.Client:
    """A member who is signed in, as the console asks. There are others."""
    for number in range(MEMBERS - 1):
        runtime.call("POST", "/members", {"name": f"member-{number}", "role": "author"})
    invited = runtime.call("POST", "/members", {"name": "grace", "role": "author"})
    own = {"Origin": runtime.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}
    browser = Browser(base_url=runtime.url)
    browser.submit(invited["url"])
    browser.headers.update(own)
    return browser


def milliseconds(runtime: ServedRuntime, http: httpx.Client, workflow: str, runs: int) -> Callable[[], float]:
    """Processor milliseconds of one run, the mean of some."""

    def measure() -> float:
        before = tree_seconds(runtime.pid)
        for _ in range(runs):
            answer = http.post(
                f"/run/{workflow}/", content=BODY, headers={"Content-Type": "application/json"}
            )
            assert answer.json() == ANSWER, answer.text
        return (tree_seconds(runtime.pid) - before) / runs * 1000

    return measure


def main() -> int:
    """Measure and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=30, quick_runs=8)
    runs = 12 if chosen.quick else 100
    question = Question(
        "processors of a synchronous run of a member", "without members and receivers", "ms", TARGET
    )
    with ExitStack() as stack:
        receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind(("127.0.0.1", 0))
        syslog = {"CODEWORDS_AUDIT_SYSLOG": f"udp://127.0.0.1:{receiver.getsockname()[1]}"}
        homes = [
            stack.enter_context(served(Path(stack.enter_context(tempfile.TemporaryDirectory())), **env))
            for env in (syslog, {})
        ]
        clients = [
            stack.enter_context(open_client(home))
            for home, open_client in zip(homes, (by_session, by_key), strict=True)
        ]
        ours, peer = (
            milliseconds(home, http, deployed(home), runs) for home, http in zip(homes, clients, strict=True)
        )
        interleave(question, ours, peer, chosen.runs)
    return report([question], chosen)


if __name__ == "__main__":
    sys.exit(main())
