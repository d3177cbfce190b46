"""Hostile programs, as root and as an ordinary user: nothing escapes, the host answers, and other workflows go on.

Where the tests are run by an ordinary user there is no half for root: it cannot be had. See docs/reference/attacks.md.
"""

from __future__ import annotations

import os

import pytest
from tests.attacks import reports
from tests.attacks.assertions import Made, expect_held, made_once
from tests.attacks.catalog import ONCE, PROBES, RUNTIME, SECTIONS
from tests.attacks.probes import User

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
_TRUE_ONES = {
    "files.canary", "files.user-homes", "files.run-folder", "files.logs", "files.sys", "files.boot",
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
def made(environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_once(environment, tmp_path_factory, "namespaces")


def _ways(user: User, group: str) -> tuple[str, ...]:
    """Ways of starting in which a user's report must have the probes of a group."""
    if group in RUNTIME:
        return ("runtime",) if user == reports.users()[0] else ()
    return ("fork",) if group in ONCE else ("exec", "fork")


@pytest.mark.requirement("attacks:held")
@pytest.mark.parametrize("section", [title for title, _ in SECTIONS])
@pytest.mark.parametrize("user", reports.users())
def test_every_probe_is_held(made: Made, user: User, section: str) -> None:
    expect_held(made[user], section, lambda group: _ways(user, group))


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
