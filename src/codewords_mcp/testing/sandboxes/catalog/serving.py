"""Requests and answers through the one socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Final

from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from codewords_mcp.errors import ProgramFailed
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import Exit
from codewords_mcp.testing.sandboxes.expecting import (
    background,
    expect,
    raises,
    same,
    settled,
    together,
    within,
)
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context, Program

_BIG: Final = 16 << 20
# Bytes that a sandbox must not take without anybody reading them; half of it may sit in buffers.
_MUCH: Final = 64 << 20


@check("serve.request")
async def request(context: Context) -> None:
    """Method, path, query, headers and body reach the program as sent; status and headers come back as sent."""
    program = await context.server()
    body = bytes(range(256)) * 3
    headers = [
        (b"x-one", b"1"),
        (b"x-one", b"2"),
        (b"x-latin", "grüß".encode("latin-1")),
        (b"content-length", b"768"),
    ]
    # Escapes, a space and an empty value: each of them is lost by a parser that normalises.
    target = b"/mirror/a%2Fb/%C3%A4?q=%20&q=b&empty="
    reply = await program.request("PATCH", target, headers, _once(body))
    seen = json.loads(b"".join([chunk async for chunk in reply.body]))
    same(
        (seen["method"], seen["path"], seen["query"]),
        ("PATCH", "/mirror/a%2Fb/%C3%A4", "q=%20&q=b&empty="),
        "The request",
    )
    same(bytes.fromhex(seen["body"]), body, "The request's body")
    sent = [(name.decode(), value.decode("latin-1")) for name, value in headers]
    arrived = [
        # Others are the client's and the server's own.
        (name, value)
        for name, value in seen["headers"]
        if name.startswith("x-") or name == "content-length"
    ]
    same(sorted(arrived), sorted(sent), "The request's headers")
    same(reply.status, 418, "The status")
    # Two headers of one name must stay two.
    own = [(name, value) for name, value in reply.headers if name in (b"x-seen", b"set-cookie")]
    expected = [(b"x-seen", "grüß".encode("latin-1")), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    same(own, expected, "The answer's headers")


@check("serve.duplex")
async def duplex(context: Context) -> None:
    """A streamed request and its streamed answer are really streamed: each part passes before the next is made."""
    program = await context.server()
    outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while (chunk := await outgoing.get()) is not None:
            yield chunk

    # Put before the request: a server may wait for the first part before it answers.
    outgoing.put_nowait(b"part 0")
    reply = await program.request("POST", b"/duplex", [], body())

    for number in range(1, 20):
        # The answer to each part is read before the next part is made.
        same(await within(anext(reply.body), "A part of the answer"), b"part %d" % (number - 1), "A part")
        outgoing.put_nowait(b"part %d" % number)

    outgoing.put_nowait(None)
    same([chunk async for chunk in reply.body], [b"part 19"], "The rest of the answer")


@check("serve.download-streamed")
async def download_streamed(context: Context) -> None:
    """A part of an answer arrives before the next one is made."""
    program = await context.server()
    gate = context.name()
    reply = await program.request("GET", b"/parts/" + gate)
    same(await within(anext(reply.body), "The first part"), b"first", "The first part")
    await program.ask(b"/go/" + gate)
    same(await within(anext(reply.body), "The second part"), b"second", "The second part")
    await reply.aclose()


@check("serve.upload-backpressure")
async def upload_backpressure(context: Context) -> None:
    """A program that does not read its request makes the sender wait, and gets all of it later."""
    program = await context.server()
    gate = context.name()
    taken = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(_MUCH >> 16):
            taken += 65536
            # Counted when it is asked for, which is before it is sent.
            yield bytes(65536)

    def bytes_taken() -> int:
        return taken

    async with background(program.request("POST", b"/digest/" + gate, [], body())) as asking:
        held = await settled(bytes_taken, _MUCH)
        # Buffers of sockets and pipes hold some megabytes.
        expect(held < _MUCH // 2, f"{held} bytes were taken although the program read none of them.")
        await program.ask(b"/go/" + gate)
        reply = await within(asking, "The answer")
        seen = json.loads(b"".join([chunk async for chunk in reply.body]))

    same(seen, [_MUCH, hashlib.sha256(bytes(_MUCH)).hexdigest()], "What the program read")


@check("serve.download-backpressure")
async def download_backpressure(context: Context) -> None:
    """A caller that does not read its answer makes the program wait."""
    program = await context.server()
    name = context.name()
    reply = await program.request("GET", b"/endless/" + name)

    async def sent() -> int:
        return int(str(await program.ask_json(b"/count/" + name)))

    held = await settled(sent, _MUCH)
    # The program goes on sending until its caller leaves.
    await reply.aclose()
    expect(held < _MUCH // 2, f"The program could send {held} bytes that nobody read.")


@check("serve.big-bodies")
async def big_bodies(context: Context) -> None:
    """Bodies of 16 MB arrive whole, both ways."""
    program = await context.server()
    data = b"".join(hashlib.sha256(b"%d" % number).digest() * 2048 for number in range(_BIG >> 16))
    digest = hashlib.sha256(data).hexdigest()
    same(await program.ask_json(b"/digest", data), [_BIG, digest], "What the program read")
    _, answer = await program.ask(b"/large/%d" % (_BIG >> 16))
    same((len(answer), hashlib.sha256(answer).hexdigest()), (_BIG, digest), "What the program sent")


@check("serve.big-bodies-by-port")
async def big_bodies_by_port(context: Context) -> None:
    """Bodies of 16 MB arrive whole, both ways, also through a port that the program opened itself."""
    # A server of the standard library opens the port itself: no hook of ours takes part.
    code = """
    import os
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
    """
    data = hashlib.sha256(b"seed").digest() * (_BIG // 32)

    async with context.running(code) as program:
        await program.ready()
        headers = [(b"content-length", b"%d" % len(data))]
        reply = await program.request("POST", b"/", headers, _once(data))
        answer = b"".join([chunk async for chunk in reply.body])

    same(
        (len(answer), answer == data),
        (_BIG, True),
        "The length of the answer, and whether it is the request's body",
    )


@check("serve.websocket")
async def websocket(context: Context) -> None:
    """A WebSocket is opened through the socket: text, binary, a message of 1 MB, and the close come through."""
    program = await context.server()
    # Without a limit of the client's own, and past any proxy of this machine.
    connecting = unix_connect(program.sandbox.socket_path, "ws://localhost/socket", max_size=None, proxy=None)

    async with connecting as link:
        same(link.response and link.response.headers.get("x-seen"), "yes", "A header of the upgrade")
        for message in ("päper 🎈", b"\x00\xff", "x" * (1 << 20), b"\x80" * (1 << 20)):
            await link.send(message)
            same(await within(link.recv(), "The echo of a message"), message, "The echo of a message")

        await link.send("close")
        try:
            await within(link.recv(), "The close of the WebSocket")
        except ConnectionClosed as closed:
            seen = closed.rcvd and (closed.rcvd.code, closed.rcvd.reason)
            same(seen, (4001, "asked to"), "The close that the program sent")


@check("serve.many-at-once")
async def many_at_once(context: Context) -> None:
    """A hundred requests at once are all answered."""
    program = await context.server()
    answers = await together(*(program.ask_json(b"/digest", b"%d" % number) for number in range(100)))
    expected = [
        [len(text), hashlib.sha256(text).hexdigest()] for text in (b"%d" % number for number in range(100))
    ]
    same(answers, expected, "The answers")


@check("serve.keep-alive")
async def keep_alive(context: Context) -> None:
    """Many requests go over one connection."""
    program = await context.server()
    # One connection kept open between the requests.
    connections = http1.Connections(program.sandbox.socket_path)
    try:
        for _ in range(20):
            reply = await http1.request(connections.path, "GET", b"/", [], None, connections=connections)
            same(b"".join([chunk async for chunk in reply.body]), b'"here"', "An answer")
    finally:
        connections.close()


@check("serve.dies-half-way")
async def dies_half_way(context: Context) -> None:
    """A sandbox that dies while it answers breaks the answer off and says how it ended."""
    code = """
    import os, uvicorn
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive()).get("body") != b"die":
            pass
        os._exit(7)
    uvicorn.run(app, port=int(os.environ["PORT"]), lifespan="off")
    """
    die = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"ask"
        await die.wait()
        yield b"die"

    async with context.running(code) as program:
        await program.ready()
        reply = await program.request("POST", b"/", [], body())
        # The head and half of the body are there: the answer can only break off.
        same(await within(anext(reply.body), "The first half"), b"half", "The first half")
        die.set()
        error = await raises(ProgramFailed, anext(reply.body), "Reading on from a dead sandbox")
        same(error.code, "program_bad_reply", "The code of the error")
        same(await program.ended(), Exit("exited", code=7), "The exit")
        _says_exited(program, 7)


@check("serve.dies-unasked")
async def dies_unasked(context: Context) -> None:
    """A request in flight when its sandbox is killed fails at once."""
    code = """
    import os, socket
    server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
    links = []
    while True:
        links.append(server.accept()[0])
        if links[-1].recv(1):  # a driver may connect to see whether anybody listens
            print("asked", flush=True)
    """
    async with context.running(code) as program:
        await program.ready()
        async with background(program.ask()) as asking:
            await program.until_printed(b"asked")
            await within(program.sandbox.kill(), "Killing the sandbox")
            error = await raises(ProgramFailed, asking, "A request in flight")

    same(error.code, "program_bad_reply", "The code of the error")


def _says_exited(program: Program, code: int) -> None:
    failure = program.sandbox.failure()
    if isinstance(failure, ProgramFailed):
        seen = (failure.code, failure.exit_code)
    else:
        seen = failure
    same(seen, ("program_exited", code), "The failure that explains it")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 16):
        yield data[start : start + (1 << 16)]
