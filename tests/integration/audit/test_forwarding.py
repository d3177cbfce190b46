"""The audit trail at its receivers: each entry at least once and in order, over crashes, refusals and replicas."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, event
from tests.integration.audit.helpers import SECRET, Receiver, add, forwarder, secret, served
from tests.support.certificates import certificate
from tests.support.databases import open_database
from tests.support.postgres import Postgres
from tests.support.runtime import ADMIN, make_home, open_runtime
from tests.support.waiting import until, until_async

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.audit.forwarding import AuditBatch, AuditForwarder
from codewords_mcp.runtime.audit.syslog_receiver import (
    MAX_DATAGRAM,
    AuditSyslog,
    SyslogAddress,
    format_entry,
    parse_syslog,
)
from codewords_mcp.runtime.audit.webhook_receiver import AuditWebhook
from codewords_mcp.runtime.model.audit import AuditEntry, AuditFilter
from codewords_mcp.runtime.store import audit, audit_chain, audit_cursors
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.webhook_signatures import standard
from codewords_mcp.runtime.web.client import Web

pytestmark = pytest.mark.anyio
_RFC5424 = re.compile(
    rb"<(?P<priority>\d+)>1 (?P<at>\S+) (?P<host>\S+) codewords-mcp (?P<pid>\d+) (?P<name>\S+)"
    rb' \[meta sequenceId="(?P<seq>\d+)"\] (?P<text>\{.*\})'
)


async def send_all(loop: AuditForwarder) -> None:
    """Poll until nothing is left to send."""
    while await loop.poll() == 0:
        pass


@pytest.mark.requirement("audit:forward-webhook")
async def test_a_webhook_gets_every_entry_once_in_order_and_signed(
    database: Database, web: Web, receiver: Receiver
) -> None:
    await add(database, 25)
    await send_all(forwarder(database, web, receiver, batch=10))
    assert receiver.seqs() == list(range(1, 26))
    for headers, body in receiver.taken:
        standard(SECRET, headers, body, time.time())
    first, last = (json.loads(receiver.taken[at][1]) for at in (0, -1))
    assert first["type"] == "audit.entries"
    assert first["data"]["entries"][0]["operation"] == "PUT /0"
    assert receiver.taken[0][0]["webhook-id"] == "audit-1-10"
    head = await database.read(audit_chain.last_block)
    assert head is not None
    assert last["data"]["head"] == {"seq": 25, "hash": head.hash}


@pytest.mark.requirement("audit:forward-webhook")
async def test_a_batch_that_is_refused_comes_again_and_nothing_overtakes_it(
    database: Database, web: Web, receiver: Receiver
) -> None:
    receiver.answers = [200, 500, 403, 200]
    await add(database, 15)
    loop = forwarder(database, web, receiver, batch=5, first_pause=1.0)
    assert [await loop.poll() for _ in range(4)] == [0, 1, 2, 0]
    await send_all(loop)
    assert receiver.seqs() == [*range(1, 6), *range(6, 11), *range(6, 11), *range(6, 11), *range(11, 16)]
    assert database.measures.audit_sent.value("webhook", "sent") == 15
    assert database.measures.audit_sent.value("webhook", "failed") == 2


@pytest.mark.requirement("audit:forward-webhook")
async def test_a_receiver_with_a_small_limit_gets_smaller_batches(
    database: Database, web: Web, receiver: Receiver
) -> None:
    receiver.limit = 4000
    await add(database, 40)
    await send_all(forwarder(database, web, receiver))
    assert receiver.refused
    assert receiver.seqs() == list(range(1, 41))


@pytest.mark.requirement("audit:forward-cursor")
async def test_the_next_runtime_goes_on_where_the_receiver_is(
    database: Database, web: Web, receiver: Receiver
) -> None:
    await add(database, 10)
    await send_all(forwarder(database, web, receiver, batch=4))
    await add(database, 3)
    # The one before was killed: its lease is over before the next one of a shared database sends.
    await database.write(audit_cursors.take, "webhook", "e1", -1.0)
    await send_all(forwarder(database, web, receiver, executor="e2"))
    assert receiver.seqs() == list(range(1, 14))


@pytest.mark.requirement("audit:forward-cursor")
async def test_a_crash_between_the_answer_and_the_cursor_sends_a_batch_again(
    database: Database, web: Web, receiver: Receiver
) -> None:
    await add(database, 6)
    webhook = AuditWebhook(web, receiver.url, secret)
    place = await database.write(audit_cursors.take, "webhook", "e1", -1.0)
    assert place == 0
    entries = await database.read(audit.sealed_after, AuditFilter(), 4, 0)
    await webhook.send(AuditBatch(entries, "h", 6))
    await send_all(forwarder(database, web, receiver, executor="e2", batch=4))
    assert receiver.seqs() == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]
    assert receiver.taken[0][0]["webhook-id"] == receiver.taken[1][0]["webhook-id"]


@pytest.mark.requirement("audit:forward-cursor")
async def test_one_of_two_replicas_sends_and_a_lost_lease_moves_no_cursor(
    postgres: Postgres, tmp_path: Path, web: Web, receiver: Receiver
) -> None:
    database = open_database(tmp_path, postgres.migrated_url())
    await add(database, 5)
    assert await database.write(audit_cursors.take, "webhook", "e1", 60.0) == 0
    await send_all(forwarder(database, web, receiver, executor="e2"))
    assert receiver.seqs() == []
    assert await database.write(audit_cursors.advance, "webhook", "e1", 2)
    await database.write(audit_cursors.take, "webhook", "e1", -1.0)
    await send_all(forwarder(database, web, receiver, executor="e2"))
    assert not await database.write(audit_cursors.advance, "webhook", "e1", 1)
    assert receiver.seqs() == [3, 4, 5]
    await database.drained()
    database.close()


@pytest.mark.requirement("audit:forward-webhook")
async def test_a_runtime_sends_what_happens_in_it_and_waits_for_its_secret(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with open_runtime(make_home(tmp_path / "home"), audit_webhook=receiver.url) as runtime:
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        [loop] = container.audit_forwarders
        await runtime.secrets.set(ADMIN, "A_SECRET", "never-to-be-sent")
        await until_async(
            lambda: container.database.measures.audit_sent.value("webhook", "failed") > 0, "a try"
        )
        assert receiver.taken == []
        await runtime.secrets.set(ADMIN, "AUDIT_WEBHOOK_SECRET", SECRET)
        loop.wake()
        await until_async(lambda: len(receiver.seqs()) >= 2, "the entries")
    entries = [entry for _, body in receiver.taken for entry in json.loads(body)["data"]["entries"]]
    assert {"A_SECRET", "AUDIT_WEBHOOK_SECRET"} <= {entry["target"] for entry in entries}
    assert not any(b"never-to-be-sent" in body or SECRET.encode() in body for _, body in receiver.taken)


@pytest.mark.requirement("audit:forward-webhook")
async def test_entries_that_are_sealed_while_a_poll_looks_for_them_are_sent(
    database: Database, web: Web, receiver: Receiver
) -> None:
    loop = forwarder(database, web, receiver)
    await add(database, 2)
    await send_all(loop)
    await add(database, 1, seals=False)
    sealing: list[int] = []

    def seal(connection: Connection) -> None:
        if not sealing:
            sealing.append(1)
            with database.engine.begin() as other:
                audit_chain.seal(other)

    # The poll's first read ends, and the sealer comes before its second.
    event.listen(database.engine, "commit", seal)
    await loop.poll()
    event.remove(database.engine, "commit", seal)
    assert sealing
    await send_all(loop)
    assert receiver.seqs() == [1, 2, 3]


@pytest.mark.requirement("audit:forward-webhook")
async def test_an_entry_is_counted_when_others_can_read_it(database: Database) -> None:
    await add(database, 1)
    before, at_commit = database.audited, list[int]()

    def note(_connection: Connection) -> None:
        at_commit.append(database.audited)

    event.listen(database.engine, "commit", note)
    await add(database, 1, seals=False)
    event.remove(database.engine, "commit", note)
    assert at_commit[0] == before
    assert database.audited == before + 1


class _Stream(socketserver.StreamRequestHandler):
    """Reads messages with their lengths before them."""

    def handle(self) -> None:
        taken = cast("Any", self.server).taken
        while True:
            length = b""
            while not length.endswith(b" "):
                piece = self.rfile.read(1)
                if not piece:
                    return
                length += piece
            taken.append(self.rfile.read(int(length)))


class StreamServer(socketserver.ThreadingTCPServer):
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Stream)
        self.taken: list[bytes] = []
        self._context = context

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted, address = super().get_request()
        if self._context is None:
            return accepted, address
        return self._context.wrap_socket(accepted, server_side=True), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handshake that a client breaks off."""


def check(messages: list[bytes], count: int) -> None:
    parsed = [cast("re.Match[bytes]", _RFC5424.fullmatch(message)) for message in messages]
    assert all(parsed)
    assert [int(found["seq"]) for found in parsed] == list(range(1, count + 1))
    for found in parsed:
        entry = json.loads(found["text"])
        assert entry["seq"] == int(found["seq"])
        assert datetime.fromisoformat(found["at"].decode()) == datetime.fromisoformat(entry["at"])
        assert found["priority"] == b"110"
        assert found["name"] == b"call"


@pytest.mark.requirement("audit:forward-syslog")
async def test_a_syslog_server_over_tcp_gets_each_entry_as_a_message(tmp_path: Path) -> None:
    server, database = StreamServer(), open_database(tmp_path)
    await add(database, 12, agent="näme\n\u202e")
    with served(server):
        address = parse_syslog(f"tcp://127.0.0.1:{server.server_address[1]}")
        await send_all(AuditForwarder(database, "e1", AuditSyslog(address), batch=5))
        until(lambda: len(server.taken) == 12, "the messages")
    check(server.taken, 12)
    assert all(message.isascii() and b"\n" not in message for message in server.taken)
    await database.drained()
    database.close()


@pytest.mark.requirement("audit:forward-syslog")
async def test_a_syslog_server_over_tls_is_checked_by_the_certificates_that_are_named(tmp_path: Path) -> None:
    context = certificate(tmp_path, "localhost")
    server, database = StreamServer(context), open_database(tmp_path)
    await add(database, 3)
    with served(server):
        address = SyslogAddress("tls", "localhost", server.server_address[1])
        stranger = AuditForwarder(database, "e1", AuditSyslog(address), first_pause=1.0)
        assert await stranger.poll() == 1
        assert server.taken == []
        await send_all(AuditForwarder(database, "e1", AuditSyslog(address, tmp_path / "cert.pem")))
        until(lambda: len(server.taken) == 3, "the messages")
    check(server.taken, 3)
    await database.drained()
    database.close()


@pytest.mark.requirement("audit:forward-syslog")
@pytest.mark.parametrize("transport", ["udp", "unix"])
async def test_a_syslog_server_gets_datagrams(tmp_path: Path, transport: str) -> None:
    database = open_database(tmp_path)
    await add(database, 4)
    if transport == "udp":
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 0))
        address = parse_syslog(f"udp://127.0.0.1:{listener.getsockname()[1]}")
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(tmp_path / "log"))
        address = parse_syslog(f"unix://{tmp_path / 'log'}")
    with listener:
        listener.settimeout(30)
        await send_all(AuditForwarder(database, "e1", AuditSyslog(address)))
        check([listener.recv(1 << 16) for _ in range(4)], 4)
    await database.drained()
    database.close()


@pytest.mark.requirement("audit:forward-syslog")
@pytest.mark.parametrize("url", ["tcp://127.0.0.1:9", "unix:///nowhere/log", "tls://127.0.0.1:9"])
async def test_a_server_that_is_not_there_loses_nothing(tmp_path: Path, url: str) -> None:
    database = open_database(tmp_path)
    await add(database, 2)
    loop = AuditForwarder(database, "e1", AuditSyslog(parse_syslog(url)), first_pause=1.0)
    assert [await loop.poll(), await loop.poll()] == [1, 2]
    assert (await database.read(audit_cursors.read, "syslog")).unsent == 2
    await database.drained()
    database.close()


@pytest.mark.requirement("audit:forward-syslog")
async def test_a_server_that_breaks_off_gets_the_batch_again(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    await add(database, 3)
    with socket.create_server(("127.0.0.1", 0)) as breaking:
        port = breaking.getsockname()[1]
        thread = threading.Thread(target=lambda: _reset(breaking))
        thread.start()
        receiver = AuditSyslog(SyslogAddress("tcp", "127.0.0.1", port))
        loop = AuditForwarder(database, "e1", receiver, first_pause=1.0)
        assert await loop.poll() == 1
        thread.join()
    assert (await database.read(audit_cursors.read, "syslog")).unsent == 3
    await database.drained()
    database.close()


def _reset(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    # Closed with zero to linger, a connection is reset.
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    accepted.recv(1)
    accepted.close()


@pytest.mark.requirement("audit:forward-syslog")
def test_a_long_entry_by_datagram_goes_without_its_fields() -> None:
    entry = AuditEntry(
        id=1, seq=2**31 + 5, at=datetime(2026, 1, 2, tzinfo=UTC), owner="local", action="secret.change", target="X",
        outcome="refused", actor="local", actor_kind="user", key_id="", run_id="", front_door="http", operation="", address="",
        agent="", request_id="", after={"value": "x" * 20_000},
    )  # fmt: skip
    assert len(format_entry(entry, "h")) > MAX_DATAGRAM
    brief = format_entry(entry, "h", brief=True)
    assert len(brief) < MAX_DATAGRAM
    found = cast("re.Match[bytes]", _RFC5424.fullmatch(brief))
    assert found["priority"] == b"108"
    assert 1 <= int(found["seq"]) <= 2**31 - 1
    assert json.loads(found["text"])["cut"] is True


@pytest.mark.requirement("audit:forward-syslog")
@pytest.mark.parametrize(
    "url",
    ["", "localhost:514", "http://a:1", "udp://", "tcp://a:99999", "unix://a/b", "udp://a/b", "tcp://a:x"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="CODEWORDS_AUDIT_SYSLOG"):
        parse_syslog(url)
