"""The stand-in for a mail server answers the same commands as a real one."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.dovecot import append, dovecot

from codewords_testing.imap import loopback_imap

ACCOUNT = ("ann", "secret-of-ann")
PLAIN = base64.b64encode(b"\0ann\0secret-of-ann").decode()
WRONG = base64.b64encode(b"\0ann\0another").decode()
INBOX = [
    (
        b"From: Bob <bob@example.org>\r\nTo: ann@example.org\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
        b'Content-Type: text/plain; charset=utf-8\r\n\r\nline %d\r\n(a "quoted" one) {3}\r\n' % number,
        datetime(2026, 11, number, 12, 30, 5, tzinfo=UTC),
    )
    for number in (5, 10, 15)
]  # fmt: skip
DRAFTS = "Entw&APw-rfe"
STEPS = (
    "CAPABILITY",
    'LOGIN ann "another"',
    "UID SEARCH ALL",
    'LOGIN ann "secret-of-ann"',
    "UID SEARCH ALL",
    "EXAMINE nothing",
    "EXAMINE INBOX",
    "NOOP",
    "UID SEARCH ALL",
    "UID SEARCH UID 2:*",
    "UID SEARCH UID 9:*",
    "UID SEARCH SINCE 10-Nov-2026",
    "UID SEARCH SINCE 1-Dec-2026",
    "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
    "UID FETCH 9:* (UID RFC822.SIZE)",
    "UID FETCH 1,3 (UID RFC822.SIZE)",
    "UID FETCH 99 (UID)",
    "UID FETCH 2 (UID BODY.PEEK[HEADER])",
    "UID FETCH 2 (UID BODY.PEEK[]<0.20>)",
    "UID FETCH 2 (UID BODY.PEEK[]<5.100000>)",
    "UID FETCH 2 (UID BODY[])",
    "UID FETCH 2 (UID FLAGS)",
    "SELECT INBOX",
    "UID FETCH 2 (UID BODY.PEEK[])",
    "UID FETCH 2 (UID FLAGS)",
    "UID FETCH 2 (BODY[])",
    "UID FETCH 2 (UID FLAGS)",
    f'EXAMINE "{DRAFTS}"',
    "UID SEARCH ALL",
    "UID SEARCH UID 2:*",
    "UID FETCH 1:* (UID)",
    "NONSENSE",
    "LOGOUT",
)
_ITEM = re.compile(rb'([A-Z0-9.]+(?:\[[^\]]*\](?:<\d+>)?)?) (\([^)]*\)|"[^"]*"|\{(\d+)\}\r\n|[^ )]+)')
_UNKNOWN = re.compile(rb"\b(UIDVALIDITY) \d+")


class Wire:
    """A connection that sends commands, and sorts what comes back."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._socket.makefile("rb")
        self.greeting = self._line()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _line(self) -> bytes:
        """A response, with the literals in it."""
        line = self._file.readline()
        while literal := re.search(rb"\{(\d+)\}\r\n\Z", line):
            line += self._file.read(int(literal[1])) + self._file.readline()
        return line.removesuffix(b"\r\n")

    def ask(self, command: str, *more: str) -> tuple[list[bytes], bytes]:
        """(what came without the tag, the status with its code)."""
        self._socket.sendall(f"t {command}\r\n".encode())
        told: list[bytes] = []
        answers = iter(more)
        while not (line := self._line()).startswith(b"t "):
            assert line, f"{command}: the connection ended after {told}"
            if line.startswith(b"+"):
                self._socket.sendall(next(answers).encode() + b"\r\n")
            else:
                told.append(_UNKNOWN.sub(rb"\1", line.removeprefix(b"* ")))
        found = re.match(rb"t (OK|NO|BAD)(?: \[([A-Z-]+))?", line)
        assert found, line
        # What the server can do may come as a code or without a tag.
        return told, b" ".join(part for part in found.groups() if part not in {None, b"CAPABILITY"})


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The real server's and the stand-in's, with the same mails."""
    folder: Path = tmp_path_factory.mktemp("dovecot")
    with dovecot(folder, ACCOUNT[1]) as real, loopback_imap(*ACCOUNT) as stand_in:
        append(real, ACCOUNT, "INBOX", [(raw, at.timestamp()) for raw, at in INBOX])
        append(real, ACCOUNT, f'"{DRAFTS}"', [])
        for raw, at in INBOX:
            stand_in.deliver(raw, received_at=at)
        message = stand_in.deliver(b"\r\n", "Entwürfe")
        stand_in.delete(message.uid, "Entwürfe")
        stand_in.folders["Entwürfe"].next = 1
        yield real, stand_in.port


def _sorted(line: bytes) -> bytes | tuple[bytes, dict[bytes, bytes]]:
    """A response with its items by name: servers give them in an order of their own."""
    number, _, items = line.partition(b" FETCH (")
    if not items:
        return line
    found: dict[bytes, bytes] = {}
    at = 0
    while item := _ITEM.search(items, at):
        at = item.end()
        value = item[2]
        if item[3]:
            value = items[at : at + int(item[3])]
            at += int(item[3])
        found[item[1]] = value
    return number, found


def _compared(command: str, line: bytes) -> bool:
    """Whether the product reads such a response."""
    if command.startswith("UID"):
        return line.startswith(b"SEARCH") or b" FETCH (" in line
    if command.startswith(("SELECT", "EXAMINE")):
        return line.endswith(b" EXISTS") or line.startswith((b"OK [UIDVALIDITY", b"OK [UIDNEXT"))
    return False


@pytest.mark.requirement("stand-ins:imap")
def test_the_stand_in_answers_as_dovecot_does(ports: tuple[int, int]) -> None:
    with closing(Wire(ports[0])) as real, closing(Wire(ports[1])) as stand_in:
        for wire in (real, stand_in):
            assert wire.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
        for command in STEPS:
            if command == "CAPABILITY":
                offered = [set(wire.ask(command)[0][0].split()) for wire in (real, stand_in)]
                assert offered[1] <= offered[0]
                continue
            (told, status), (ours, our_status) = real.ask(command), stand_in.ask(command)
            assert our_status == status, command
            told, ours = ([line for line in each if _compared(command, line)] for each in (told, ours))
            assert [_sorted(_text(line)) for line in ours] == [_sorted(_text(line)) for line in told], command


def _text(line: bytes) -> bytes:
    """A status line without its words for people."""
    return line.partition(b"]")[0] if line.startswith(b"OK [") else line


@pytest.mark.requirement("stand-ins:imap")
@pytest.mark.parametrize("response", [PLAIN, WRONG])
def test_a_sign_in_by_authenticate_is_answered_alike(ports: tuple[int, int], response: str) -> None:
    answers: list[bytes] = []
    for port in ports:
        with closing(Wire(port)) as wire:
            answers.append(wire.ask("AUTHENTICATE PLAIN", response)[1])
    assert answers[0] == answers[1]
