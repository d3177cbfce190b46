"""Hostile programs, as root and as an ordinary user: nothing escapes, the host answers, and other workflows go on.

Where the tests are run by an ordinary user there is no half for root: it cannot be had. See docs/reference/attacks.md.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.attacks import reports
from tests.attacks.catalog import ONCE, PROBES, RUNTIME, SECTIONS
from tests.attacks.probes import Result, User

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
_TRUE_ONES = {
    "files.canary", "files.user-homes", "files.run-folder", "files.private-keys", "files.logs", "files.sys", "files.boot",
    "files.mount-table", "calls.unshare", "calls.clone", "calls.clone3", "calls.perf-event-open", "calls.io-uring-setup",
    "calls.add-key", "calls.keyctl", "calls.clock-settime", "calls.adjtimex", "calls.personality", "calls.memfd-secret",
    "calls.io-setup", "calls.sync", "calls.own-filter", "calls.vmsplice", "calls.mbind", "calls.private-files", "calls.unshare-files", "calls.pty", "kernel.devices",
    "kernel.net-table", "kernel.net-unix", "kernel.host-name", "sockets.netlink-netfilter", "sockets.netlink-uevent",
    "sockets.netlink-audit", "sockets.netlink-generic", "sockets.netlink-xfrm", "sockets.interfaces", "sockets.loopback",
    "sockets.unspecified", "sockets.loopback6", "sockets.mapped-loopback", "sockets.unspecified6", "sockets.abstract",
    "sockets.unix-path", "sockets.multipath",
}  # fmt: skip
"""Attempts that succeed for any user of any machine that the tests run on, where there is no sandbox."""


@pytest.fixture(scope="module")
def made(environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory) -> dict[User, list[Result]]:
    """What came of every attack. Made once, also where several workers share these tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    kept = shared / "attacks.json"
    with (shared / "attacks.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            _make(environment, kept)
    found: dict[User, list[dict[str, object]]] = json.loads(kept.read_bytes())
    return {user: [Result(**one) for one in results] for user, results in found.items()}  # type: ignore[arg-type]


def _make(environment: EnvironmentRef, kept: Path) -> None:
    found = {one.user: [asdict(result) for result in one.results] for one in reports.make(environment)}
    kept.write_text(json.dumps(found), encoding="utf-8")


def _wanted(user: User, section: str) -> Iterator[tuple[str, str]]:
    """(id, way) of each result that a user's report must have."""
    for probe in next(probes for title, probes in SECTIONS if title == section):
        group = probe.id.partition(".")[0]
        if group in RUNTIME:
            if user == reports.users()[0]:
                yield probe.id, "runtime"
        else:
            yield from ((probe.id, way) for way in (("fork",) if group in ONCE else ("exec", "fork")))


@pytest.mark.requirement("attacks:held")
@pytest.mark.parametrize("section", [title for title, _ in SECTIONS])
@pytest.mark.parametrize("user", reports.users())
def test_every_probe_is_held(made: dict[User, list[Result]], user: User, section: str) -> None:
    found = {(one.id, one.way): one for one in made[user]}
    wanted = list(_wanted(user, section))
    assert [key for key in wanted if key not in found] == [], "probes that were not made"
    words = {probe.id: probe for probe in PROBES}
    assert (
        "\n".join(
            f"{one.id} ({one.way}) tries: {words[one.id].tries}\n  expected: {words[one.id].expected}\n  seen: {one.saw}"
            for one in map(found.__getitem__, wanted)
            if not one.held
        )
        == ""
    )


@pytest.mark.requirement("attacks:true")
def test_without_a_sandbox_the_attempts_succeed(environment: EnvironmentRef) -> None:
    by_user = reports.by_ordinary_user if os.geteuid() == 0 else reports.by_this_user
    report = by_user(environment, "--unprotected")
    assert report.tier == "none"
    assert _TRUE_ONES - {one.id for one in report.results if not one.held} == set()


@pytest.mark.requirement("attacks:catalogue")
def test_each_probe_has_a_name_of_its_own_and_says_what_it_expects() -> None:
    ids = [probe.id for probe in PROBES]
    assert len(ids) == len(set(ids))
    assert len(ids) >= 110
    assert [probe.id for probe in PROBES if not (probe.tries and probe.matters and probe.expected)] == []
