"""The channel between process 1 and a program that may say anything."""

from __future__ import annotations

import os
import socket

import pytest

from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

pytestmark = pytest.mark.requirement("sandbox:isolation")


@pytest.mark.parametrize(
    "nonsense",
    [b"\0" * 60_000, b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe", b'"text"', b"[1]", b'{"x": ' + b"9" * 5000 + b"}", b"\0\0\0{"],
    ids=["zeros", "deep", "deep-objects", "bytes", "text", "list", "long-number", "utf-32"],
)  # fmt: skip
def test_what_is_no_message_is_an_empty_one_and_its_descriptors_are_closed(nonsense: bytes) -> None:
    one, two = channel.pair()
    with one, two:
        reading, writing = os.pipe()
        socket.send_fds(one, [nonsense], [writing])
        os.close(writing)
        assert channel.receive(two) == ({}, [])
        assert os.read(reading, 1) == b"", "the copy is closed, too"
        os.close(reading)
        channel.send(one, {"after": True})
        assert channel.receive(two) == ({"after": True}, [])


def test_a_closed_end_is_none() -> None:
    one, two = channel.pair()
    with two:
        one.close()
        assert channel.receive(two) is None
