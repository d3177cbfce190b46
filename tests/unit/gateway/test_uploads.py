"""The ticket of an upload: for its one upload, once for each part, no longer than it and its run."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import Conflict, Unauthenticated
from codewords_mcp.runtime.gateway.uploads import UploadTickets
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.requirement("gateway:uploads")]
RUN = Caller("ann", "run", run_id="r1")
PATH = "/gemini/upload/v1beta/files"
THEIRS = b"https://google.example/upload/v1beta/files?upload_id=up0&upload_protocol=resumable"
UPLOAD = (b"x-goog-upload-command", b"upload")
LAST = (b"x-goog-upload-command", b"upload, finalize")


def begin(tickets: UploadTickets, caller: Caller = RUN) -> bytes:
    """The query of the upload's address."""
    return tickets.issue(caller, THEIRS, "http://127.0.0.1:8765/gemini").partition(b"?")[2]


def send(
    tickets: UploadTickets, query: bytes, command: tuple[bytes, bytes], offset: int = 0, status: int = 200
) -> None:
    with tickets.part(query, [command, (b"x-goog-upload-offset", b"%d" % offset)]) as statuses:
        statuses.append(status)


def test_a_ticket_is_good_for_its_path_and_its_id_only() -> None:
    tickets = UploadTickets()
    query = begin(tickets)
    assert tickets.caller(PATH, query) == RUN
    ticket = query.rpartition(b"&")[2]
    for path, other in (
        ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", query),
        ("/run/gemini/v1/chat/completions", query),
        ("/gemini/v1beta/files", query),
        (PATH, query.replace(b"up0", b"up1")),
        (PATH, ticket),
        (PATH, query + b"&x=1"),
        (PATH, query + b"x"),
    ):
        with pytest.raises(Unauthenticated):
            tickets.caller(path, other)


def test_each_part_is_sent_once_and_the_last_one_ends_it() -> None:
    tickets = UploadTickets()
    query = begin(tickets)
    send(tickets, query, UPLOAD)
    with pytest.raises(Conflict):
        send(tickets, query, UPLOAD)
    send(tickets, query, UPLOAD, offset=100, status=503)  # it did not arrive: once more
    send(tickets, query, UPLOAD, offset=100)
    send(tickets, query, LAST, offset=200)
    with pytest.raises(Unauthenticated):
        send(tickets, query, UPLOAD, offset=300)
    with pytest.raises(Unauthenticated):
        tickets.caller(PATH, query)


def test_a_part_that_is_on_its_way_is_not_sent_again_beside_it() -> None:
    tickets = UploadTickets()
    query = begin(tickets)
    with tickets.part(query, [UPLOAD]) as statuses:
        with pytest.raises(Conflict):
            send(tickets, query, UPLOAD)
        statuses.append(200)


def test_an_upload_ends_with_its_run() -> None:
    tickets = UploadTickets()
    own, other = begin(tickets), begin(tickets, Caller("ann", "run", run_id="r2"))
    tickets.forget_run("r1")
    with pytest.raises(Unauthenticated):
        tickets.caller(PATH, own)
    assert tickets.caller(PATH, other).run_id == "r2"
