"""The supervisor of a fork server: what ends while it waits is noticed."""

from __future__ import annotations

import select
import signal
import socket

import pytest

from codewords_mcp.runtime.sandboxes.namespaces.inside import supervisor

pytestmark = pytest.mark.requirement("sandbox:cleanup")


def ignore(_number: int, _frame: object) -> None:
    """A handler, so that the signal is seen."""


def test_a_signal_that_comes_before_the_wait_is_not_lost_to_it() -> None:
    """The supervisor learns of its last child by a signal that comes before the wait, which alone would not end."""
    ours, theirs = socket.socketpair()
    before = signal.signal(signal.SIGCHLD, ignore)
    wakeup = supervisor.Wakeup()
    try:
        assert select.select([wakeup], [], [], 0)[0] == []
        signal.raise_signal(signal.SIGCHLD)
        assert select.select([wakeup], [], [], 0)[0] == [wakeup]
        theirs.send(b"a message")
        wakeup.wait(ours)
        wakeup.wait(ours)
        assert ours.recv(99) == b"a message"
    finally:
        wakeup.leave()
        signal.signal(signal.SIGCHLD, before)
        ours.close()
        theirs.close()
