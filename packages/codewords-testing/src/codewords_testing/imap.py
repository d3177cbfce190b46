"""A mail server on loopback: the reading half of IMAP4rev1.

    with loopback_imap("ann@example.org", "secret") as server:
        server.deliver(b"From: …")
        imaplib.IMAP4("127.0.0.1", server.port)

Folders are in `folders`; `commands` has what was sent, passwords excepted. `fault` makes it misbehave.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

__all__ = ["ImapFolder", "ImapMessage", "LoopbackImap", "loopback_imap"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ITEM = re.compile(
    r"UID|FLAGS|INTERNALDATE|RFC822\.SIZE|BODY(?:\.PEEK)?\[(?P<section>[A-Z]*)\](?:<(?P<start>\d+)\.(?P<count>\d+)>)?",
    re.IGNORECASE,
)


@dataclass
class ImapMessage:
    """A message as it was received."""

    uid: int
    raw: bytes
    received_at: datetime
    seen: bool = False


@dataclass
class ImapFolder:
    """Messages by rising number."""

    validity: int = 1
    next: int = 1
    messages: list[ImapMessage] = field(default_factory=list[ImapMessage])


class LoopbackImap:
    """One account. `fault(command)` may return bytes to send instead of an answer; empty bytes close the connection.

    `tokens` are access tokens of OAuth that sign its user in.
    """

    def __init__(self, user: str, password: str) -> None:
        self.port = 0
        self.folders = {"INBOX": ImapFolder()}
        self.commands: deque[str] = deque(maxlen=10_000)
        self.fault: Callable[[str], bytes | None] = lambda _: None
        self.tokens: set[str] = set()
        self._account = (user, password)
        self._lock = threading.Lock()

    def deliver(self, raw: bytes, folder: str = "INBOX", received_at: datetime | None = None) -> ImapMessage:
        """Put a message into a folder."""
        with self._lock:
            box = self.folders.setdefault(folder, ImapFolder())
            message = ImapMessage(box.next, raw, received_at or datetime.now(UTC))
            box.next += 1
            box.messages.append(message)
            return message

    def delete(self, uid: int, folder: str = "INBOX") -> None:
        """Take a message away for good."""
        with self._lock:
            box = self.folders[folder]
            box.messages = [message for message in box.messages if message.uid != uid]

    def renumber(self, folder: str = "INBOX") -> None:
        """Number a folder anew, as after it was restored from a copy."""
        with self._lock:
            box = self.folders[folder]
            # Another UIDVALIDITY tells a client that the numbers it knows mean nothing any more.
            box.validity += 1
            for number, message in enumerate(box.messages, 1):
                message.uid = number
            box.next = len(box.messages) + 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        session = _ImapConnection(self, reader, writer)
        try:
            await session.run()
        except (OSError, EOFError):
            # The client has gone.
            return
        finally:
            writer.close()

    def answers_login(self, user: str, password: str) -> bool:
        """Whether these are the account's."""
        return (user, password) == self._account

    def answers_token(self, sent: str) -> bool:
        """Whether this is the initial response of XOAUTH2 with one of the account's tokens."""
        return sent in {f"user={self._account[0]}\1auth=Bearer {token}\1\1" for token in self.tokens}


class _ImapConnection:
    def __init__(
        self, server: LoopbackImap, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._folder: ImapFolder | None = None
        self._signed_in = False
        self._read_only = False

    async def run(self) -> None:
        if not await self._faulty("greeting"):
            await self._send(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready")
            while await self._command():
                pass

    async def _faulty(self, command: str) -> bool:
        fault = self._server.fault(command)
        if fault is None:
            return False
        self._writer.write(fault)
        await self._writer.drain()
        return True

    async def _send(self, line: bytes) -> None:
        self._writer.write(line + b"\r\n")
        await self._writer.drain()

    async def _command(self) -> bool:
        """Answer one command. Returns False at the end."""
        line = (await self._reader.readuntil(b"\r\n")).decode().strip()
        tag, _, text = line.partition(" ")
        verb = text.upper().split(" ", 1)[0]
        # Without its arguments, which are a password.
        self._server.commands.append("LOGIN" if verb == "LOGIN" else text)
        if await self._faulty(text):
            return False

        answer = await self._answer(verb, text)
        await self._send(f"{tag} {answer}".encode())
        return verb != "LOGOUT"

    async def _answer(self, verb: str, text: str) -> str:
        arguments = text[len(verb) :].strip()
        if verb == "LOGOUT":
            await self._send(b"* BYE")
            return "OK done"
        if verb in {"CAPABILITY", "NOOP"}:
            await self._send(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN")
            return "OK done"
        if verb == "LOGIN":
            user, password = (_unquoted(word) for word in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', arguments))
            return self._sign_in(user, password)
        if verb == "AUTHENTICATE":
            await self._send(b"+ ")
            sent = base64.b64decode(await self._reader.readuntil(b"\r\n")).decode()
            if arguments.upper() == "XOAUTH2":
                return await self._sign_in_by_token(sent)
            return self._sign_in(*sent.split("\0")[1:3])

        if not self._signed_in:
            return "BAD sign in first"
        if verb in {"SELECT", "EXAMINE"}:
            return await self._select(_unquoted(arguments), read_only=verb == "EXAMINE")
        if self._folder is None:
            return "BAD open a folder first"
        if verb == "UID" and arguments.upper().startswith("SEARCH "):
            return await self._search(self._folder, arguments[7:])
        if verb == "UID" and arguments.upper().startswith("FETCH "):
            return await self._fetch(self._folder, arguments[6:])
        return "BAD unknown command"

    def _sign_in(self, user: str, password: str) -> str:
        self._signed_in = self._server.answers_login(user, password)
        if self._signed_in:
            return "OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] done"
        return "NO [AUTHENTICATIONFAILED] wrong"

    async def _sign_in_by_token(self, sent: str) -> str:
        self._signed_in = self._server.answers_token(sent)
        if self._signed_in:
            return "OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] done"
        # One more challenge says why; its answer is an empty line.
        await self._send(b"+ " + base64.b64encode(b'{"status":"401","schemes":"bearer"}'))
        if await self._reader.readuntil(b"\r\n") != b"\r\n":
            return "BAD an empty line was expected"
        return "NO [AUTHENTICATIONFAILED] wrong"

    async def _select(self, name: str, *, read_only: bool) -> str:
        folder = self._server.folders.get(_decoded_folder(name))
        if folder is None:
            return "NO [NONEXISTENT] no such folder"
        self._folder, self._read_only = folder, read_only
        await self._send(f"* {len(folder.messages)} EXISTS".encode())
        await self._send(b"* 0 RECENT")
        await self._send(f"* OK [UIDVALIDITY {folder.validity}] valid".encode())
        await self._send(f"* OK [UIDNEXT {folder.next}] next".encode())
        return f"OK [{'READ-ONLY' if read_only else 'READ-WRITE'}] open"

    async def _search(self, folder: ImapFolder, criteria: str) -> str:
        verb, _, value = criteria.partition(" ")
        found = folder.messages
        if verb == "UID":
            found = _in_set(folder, value)
        elif verb == "SINCE":
            day, month, year = value.split("-")
            since = datetime(int(year), _MONTHS.index(month) + 1, int(day), tzinfo=UTC)
            found = [message for message in found if message.received_at >= since]
        elif verb != "ALL":
            return "BAD criteria"
        await self._send(" ".join(["* SEARCH", *(str(message.uid) for message in found)]).encode())
        return "OK done"

    async def _fetch(self, folder: ImapFolder, arguments: str) -> str:
        selected, _, items = arguments.partition(" ")
        for message in _in_set(folder, selected):
            number = folder.messages.index(message) + 1
            was_seen, requested = message.seen, list(_ITEM.finditer(items))
            found = [self._item(message, item) for item in requested]
            # A reply to a UID command has the number, and a change of the flags is told at once.
            if not any(item[0].upper() == "UID" for item in requested):
                found.insert(0, b"UID %d" % message.uid)
            if message.seen and not was_seen:
                found.insert(1, b"FLAGS (\\Seen)")
            await self._send(f"* {number} FETCH (".encode() + b" ".join(found) + b")")
        return "OK done"

    def _item(self, message: ImapMessage, item: re.Match[str]) -> bytes:
        name = item[0].upper()
        if name == "UID":
            return f"UID {message.uid}".encode()
        if name == "FLAGS":
            if message.seen:
                return b"FLAGS (\\Seen)"
            return b"FLAGS ()"
        if name == "RFC822.SIZE":
            return f"RFC822.SIZE {len(message.raw)}".encode()
        if name == "INTERNALDATE":
            at = message.received_at
            return f'INTERNALDATE "{at:%d}-{_MONTHS[at.month - 1]}-{at:%Y %H:%M:%S %z}"'.encode()

        # `BODY[]` marks a message as seen; `BODY.PEEK[]` and a folder opened by EXAMINE do not.
        if not name.startswith("BODY.PEEK") and not self._read_only:
            message.seen = True
        content = message.raw
        if item["section"].upper() == "HEADER":
            content = content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        origin = ""
        if item["start"] is not None:
            start = int(item["start"])
            content = content[start : start + int(item["count"])]
            origin = f"<{start}>"
        return f"BODY[{item['section']}]{origin} {{{len(content)}}}\r\n".encode() + content


def _in_set(folder: ImapFolder, selected: str) -> list[ImapMessage]:
    """Return the messages of a set like `3,7:*`. The last one is `*`."""
    if not folder.messages:
        return []
    last = folder.messages[-1].uid
    found: set[int] = set()
    for part in selected.split(","):
        first, _, final = part.partition(":")
        # A range has no order: `9:*` in a folder whose last number is 7 means 7 to 9, and so has message 7.
        bounds = sorted(last if bound == "*" else int(bound) for bound in (first, final or first))
        found.update(message.uid for message in folder.messages if bounds[0] <= message.uid <= bounds[1])
    return [message for message in folder.messages if message.uid in found]


def _unquoted(word: str) -> str:
    if word.startswith('"'):
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    return word


def _decoded_folder(name: str) -> str:
    """Decode modified UTF-7."""

    def decoded(shifted: re.Match[str]) -> str:
        if not shifted[1]:
            return "&"
        # Modified UTF-7 writes `,` for the `/` of base64, which may part folders, and leaves out `=`.
        text = shifted[1].replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")

    return re.sub(r"&([^-]*)-", decoded, name)


@contextmanager
def loopback_imap(user: str, password: str, *, tls: ssl.SSLContext | None = None) -> Generator[LoopbackImap]:
    """The server on a free port, in a thread of its own; with `tls` it speaks IMAP over TLS."""
    server = LoopbackImap(user, password)
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        # The block ends in another thread, whose events this loop cannot await.
        await asyncio.to_thread(end.wait)
        listening.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="imap")
    thread.start()
    try:
        if not ready.wait(30):
            raise TimeoutError("the loopback mail server did not start")
        yield server
    finally:
        end.set()
        thread.join(30)
