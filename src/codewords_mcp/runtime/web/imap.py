"""Client of mail servers: the few commands of IMAP4rev1 (RFC 3501) that read a folder and change nothing.

Each answer is bounded in bytes, lines and time, because the server is another party's.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

from codewords_mcp.errors import CodewordsError, InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.web.client import Web

COMMAND_TIMEOUT_S = 60.0
MAX_LINE = 1 << 20
"""Bytes of a line: the numbers of some 150,000 messages."""
MAX_LINES = 20_000
"""Lines of the answer to one command."""
MAX_ANSWER = 4 << 20
"""Bytes of the answer to a command that asks for no content."""
_LITERAL = re.compile(rb"\{(\d{1,20})\}\r?\n\Z")
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,20})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_QUOTED = re.compile(rb'\bBODY\[[^\]]*\](?:<\d+>)? "((?:[^"\\]|\\.)*+)"')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class CommandRefused(Exception):  # an outcome, caught by the callers of `ImapSession`
    """The server answered NO or BAD."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A folder as it was opened. `uid_next` is None where the server does not say it."""

    uid_validity: int
    uid_next: int | None
    messages: int


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """A message of a folder: its number, bytes, and the time when the server received it."""

    uid: int
    size: int
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class _ImapResponse:
    """A line of an answer, its literals apart."""

    text: bytes
    literals: tuple[bytes, ...]


@asynccontextmanager
async def imap_session(
    web: Web, host: str, port: int, *, tls: bool = True, seconds: float = COMMAND_TIMEOUT_S
) -> AsyncGenerator[ImapSession]:
    """Connect to a mail server, and log out in the end. `seconds` is the timeout of each command.

    Raises InvalidInput, AddressRefused, UpstreamFailed, UpstreamTimedOut.
    """
    reader, writer = await web.open_stream(host, port, tls=tls, limit=MAX_LINE)
    session = ImapSession(reader, writer, seconds)
    try:
        await session.greet()
        yield session
        with suppress(CodewordsError, CommandRefused):
            await session.command("LOGOUT")
    finally:
        # Not `close`, which would wait for a server that reads nothing.
        writer.transport.abort()


class ImapSession:
    """One connection. Every method raises UpstreamFailed or UpstreamTimedOut where the server fails."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
        self._reader = reader
        self._writer = writer
        self._seconds = seconds
        self._tag = 0

    async def greet(self) -> None:
        """Read the server's first line."""
        async with self._bounded():
            greeting = await self._response(MAX_ANSWER)
        if not greeting.text.upper().startswith(b"* OK"):
            raise UpstreamFailed(
                "The mail server refused the connection, or is no IMAP server.",
                hint="Check host and port: IMAP over TLS is at 993.",
            )

    async def login(self, user: str, password: str) -> None:
        """Sign in. Raises CommandRefused."""
        answer = await self.command("CAPABILITY")
        capabilities = b" ".join(response.text for response in answer).upper().split()
        # LOGIN takes ASCII only. AUTHENTICATE PLAIN carries UTF-8 (RFC 4616).
        if b"AUTH=PLAIN" in capabilities or not (user + password).isascii():
            credentials = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            await self.command("AUTHENTICATE PLAIN", continuations=[credentials])
            return
        await self.command(f"LOGIN {_quoted(user)} {_quoted(password)}")

    async def authenticate_token(self, user: str, token: str) -> None:
        """Sign in with an access token of OAuth. Raises CommandRefused."""
        credentials = base64.b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()
        # A refusal comes as one more challenge, which asks for an empty line.
        await self.command("AUTHENTICATE XOAUTH2", continuations=[credentials, ""])

    async def examine(self, folder: str) -> Mailbox:
        """Open a folder for reading only. Raises CommandRefused."""
        answer = await self.command(f"EXAMINE {_quoted(encode_folder(folder))}")
        text = b"\n".join(response.text for response in answer)
        validity = re.search(rb"\[UIDVALIDITY (\d{1,10})\]", text, re.IGNORECASE)
        following = re.search(rb"\[UIDNEXT (\d{1,10})\]", text, re.IGNORECASE)
        messages = re.search(rb"^\* (\d{1,10}) EXISTS", text, re.IGNORECASE | re.MULTILINE)
        if validity is None or messages is None:
            raise UpstreamFailed("The mail server opened the folder without telling its state.")

        return Mailbox(int(validity[1]), int(following[1]) if following else None, int(messages[1]))

    async def uids(self, criteria: str) -> list[int]:
        """Return the numbers of messages that match, in rising order. Raises CommandRefused."""
        found: set[int] = set()
        for response in await self.command(f"UID SEARCH {criteria}"):
            if response.text.upper().startswith(b"* SEARCH"):
                found.update(int(word) for word in response.text.split()[2:] if _is_number(word))
        return sorted(found)

    async def infos(self, uids: Sequence[int]) -> list[MessageInfo]:
        """Return size and time of messages, in rising order; those that are gone are left out."""
        numbers = ",".join(str(uid) for uid in uids)
        answer = await self.command(f"UID FETCH {numbers} (UID RFC822.SIZE INTERNALDATE)")
        found: dict[int, MessageInfo] = {}
        for response in answer:
            uid, size = _UID.search(response.text), _SIZE.search(response.text)
            if uid is not None and size is not None:
                number = int(uid[1])
                found[number] = MessageInfo(number, int(size[1]), _received_at(response.text))
        # A server may send data of other messages unasked (RFC 3501, 7).
        return [found[uid] for uid in sorted(found) if uid in set(uids)]

    async def content(self, uid: int, max_bytes: int, *, section: str = "") -> bytes | None:
        """Return the first `max_bytes` bytes of a message, or of a section; None if it is gone.

        The message stays unseen. Raises CommandRefused.
        """
        command = f"UID FETCH {uid} (UID BODY.PEEK[{section}]<0.{max_bytes}>)"
        # A server may send some more than was asked for in its other lines.
        for response in await self.command(command, max_bytes=max_bytes + MAX_ANSWER):
            found = _UID.search(response.text)
            if found is None or int(found[1]) != uid or b"BODY[" not in response.text:
                continue
            if response.literals:
                return response.literals[0][:max_bytes]
            if quoted := _QUOTED.search(response.text):
                return re.sub(rb"\\(.)", rb"\1", quoted[1])[:max_bytes]
        return None

    async def command(
        self, text: str, *, continuations: Sequence[str] = (), max_bytes: int = MAX_ANSWER
    ) -> list[_ImapResponse]:
        """Send a command and return the untagged responses. Raises CommandRefused.

        `continuations` are sent one by one, when the server asks for more.
        """
        rest = iter(continuations)
        self._tag += 1
        tag = f"c{self._tag}"
        found: list[_ImapResponse] = []
        async with self._bounded():
            await self._send(f"{tag} {text}")
            while len(found) < MAX_LINES:
                response = await self._response(max_bytes)
                # The limit is of all responses together: a server could send small ones without
                # end.
                max_bytes -= len(response.text) + sum(map(len, response.literals))

                if response.text.startswith(b"+") and (line := next(rest, None)) is not None:
                    await self._send(line)
                elif response.text.startswith(f"{tag} ".encode()):
                    if response.text.split(None, 2)[1].upper() == b"OK":
                        return found
                    raise CommandRefused
                else:
                    found.append(response)
        raise _too_much()

    async def _send(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")
        await self._writer.drain()

    async def _response(self, max_bytes: int) -> _ImapResponse:
        """Read one response with its literals. Raises UpstreamFailed."""
        lines: list[bytes] = []
        literals: list[bytes] = []
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                raise _too_much() from None
            max_bytes -= len(line)
            lines.append(line)

            literal = _LITERAL.search(line)
            # Refused before it is read: the number is the server's.
            if (literal is not None and int(literal[1]) > max_bytes) or max_bytes < 0:
                raise _too_much()
            if literal is None:
                return _ImapResponse(b"".join(lines).rstrip(b"\r\n"), tuple(literals))

            literals.append(await self._reader.readexactly(int(literal[1])))
            max_bytes -= len(literals[-1])

    @asynccontextmanager
    async def _bounded(self) -> AsyncGenerator[None]:
        """Limit the time of a block and translate its network errors."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as error:
            raise UpstreamTimedOut(
                f"The mail server did not answer within {self._seconds:g} s.", hint="Try again later."
            ) from error
        except (OSError, EOFError) as error:
            raise UpstreamFailed("The mail server closed the connection.", hint="Try again later.") from error


def encode_folder(name: str) -> str:
    """Return the name of a folder in modified UTF-7 (RFC 3501, 5.1.3). Raises InvalidInput."""
    if not name.isprintable() or not name or len(name) > 255:
        raise InvalidInput("The name of a mail folder is 1 to 255 printable characters, such as INBOX.")

    def shifted(run: re.Match[str]) -> str:
        encoded = base64.b64encode(run[0].encode("utf-16-be")).decode().rstrip("=")
        return f"&{encoded.replace('/', ',')}-"

    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-"))


def imap_date(day: date) -> str:
    """Return a day as commands have it, whatever the locale: `7-Feb-2026`."""
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}"


def _quoted(text: str) -> str:
    """Return a quoted string. Raises InvalidInput for text that would be another command."""
    if not text.isascii() or not text.isprintable():
        raise InvalidInput("The mail server takes only printable ASCII here.")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _received_at(text: bytes) -> datetime | None:
    found = _DATE.search(text)
    if found is None:
        return None
    try:
        day, clock, zone = found[1].decode().strip().split(" ")
        number, month, year = day.split("-")
        # strptime would read the names of months in the machine's language.
        iso = f"{year}-{_MONTHS.index(month.title()) + 1:02}-{int(number):02}T{clock}{zone}"
        return datetime.fromisoformat(iso).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _is_number(word: bytes) -> bool:
    return word.isdigit() and len(word) <= 10


def _too_much() -> UpstreamFailed:
    return UpstreamFailed("The mail server sends more than was asked for.")
