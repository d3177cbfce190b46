"""Programs that want to write although their run is dry, and the hosts that must not get a byte of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.integration.recording.helpers import RecordingGround
from tests.integration.secrets.tls_host import Ca
from tests.support.runtime import ADMIN, fetch, workflow

from codewords_mcp.runtime.egress import HOST_ALIAS

_PROGRAM = r"""
import asyncio, http.client, json as texts, os, random, socket, ssl, subprocess, sys, threading, time, urllib.request

PLAIN = ssl._create_unverified_context()
RUNTIME = os.environ["CODEWORDS_RUNTIME_URI"]
KEY = os.environ["CODEWORDS_API_KEY"]

def tls(host, port, alpn=None, name=True):
    context = ssl._create_unverified_context()
    if alpn:
        context.set_alpn_protocols(alpn)
    raw = socket.create_connection((host, port), timeout=5)
    return context.wrap_socket(raw, server_hostname=host if name is True else name)

def talk(sock, *parts, pause=0.0):
    with sock:
        for part in parts:
            sock.sendall(part)
            if pause:
                time.sleep(pause)
        sock.settimeout(1.5)
        try:
            while sock.recv(65536):
                pass
        except OSError:
            pass

def ask(host, port, method, path, body=None, headers={}, secure=True):
    if secure:
        connection = http.client.HTTPSConnection(host, port, timeout=5, context=PLAIN)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request(method, path, body, headers)
    connection.getresponse().read()

def call(method, path, body=None, kind="application/json"):
    data = body if isinstance(body, bytes) or body is None else texts.dumps(body).encode()
    headers = {"Authorization": KEY, "Content-Type": kind, "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(RUNTIME + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read()

def head(method, path, host, port, *more):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", *more, "", ""]
    return "\r\n".join(lines).encode()

def attack(kind, h, p, sink, seed, child):
    pick = random.Random(seed)
    path = f"/{pick.randrange(10**6)}"
    junk = pick.randbytes(pick.randrange(1, 3000))
    post = head("POST", path, h, p, f"Content-Length: {len(junk)}") + junk
    get = head("GET", path, h, p)
    if kind == "raw bytes":
        talk(socket.create_connection((h, sink), timeout=5), b"\x01" + junk)
    elif kind == "protocols":
        first = pick.choice([b"EHLO me\r\n", b"*1\r\n$8\r\nFLUSHALL\r\n", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"USER x\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"get / HTTP/1.1\r\n\r\n", b"POST /\r\n", b"M-POST / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n"])
        talk(socket.create_connection((h, sink), timeout=5), first, junk)
    elif kind == "late bytes":
        sock = socket.create_connection((h, sink), timeout=5)
        time.sleep(pick.choice([0.1, 1.2]))
        talk(sock, junk)
    elif kind == "one byte at a time":
        talk(socket.create_connection((h, sink), timeout=5), *(post[n:n + 1] for n in range(60)))
    elif kind == "tls without http":
        talk(tls(h, p), junk)
    elif kind == "tls to a plain port":
        talk(tls(h, sink), post)
    elif kind == "h2":
        talk(tls(h, p, [pick.choice(["h2", "h3", "http/1.1", "spdy/3"])]), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", junk)
    elif kind == "odd names":
        talk(tls(h, p, name=pick.choice([None, "other.example.com", "localhost", h.upper()])), post)
    elif kind == "methods":
        method = pick.choice(["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PURGE", "MKCOL", "get", "QUERY", "LINK"])
        secure = pick.random() < 0.5
        ask(h, p if secure else sink, method, path, junk if pick.random() < 0.5 else None, secure=secure)
    elif kind == "bodies of reads":
        ask(h, p, pick.choice(["GET", "HEAD", "OPTIONS"]), path, junk)
    elif kind == "overrides":
        name = pick.choice(["X-HTTP-Method-Override", "x-http-method", "X-METHOD-OVERRIDE"])
        ask(h, p, "GET", path, headers={name: pick.choice(["DELETE", "post", " PUT "])})
    elif kind == "override in the query":
        ask(h, p, "GET", f"{path}?a=1{pick.choice('&;')}{pick.choice(['_method', '%5fmethod', '_METHOD'])}=delete")
    elif kind == "two lengths":
        more = pick.choice([["Content-Length: 4", "Transfer-Encoding: chunked"], ["Content-Length: 4", "Content-Length: 40"],
            ["Transfer-Encoding: xchunked"], ["Transfer-Encoding : chunked"], ["Content-Length: +4"], ["Transfer-Encoding: chunked, identity"]])
        talk(tls(h, p), head(pick.choice(["GET", "POST"]), path, h, p, *more) + b"0\r\n\r\n" + post)
    elif kind == "pipelining":
        talk(tls(h, p), get + post + get + post)
    elif kind == "a request in a body":
        talk(tls(h, p), head("GET", path, h, p, f"Content-Length: {len(post)}") + post)
    elif kind == "trailers":
        talk(tls(h, p), head("GET", path, h, p, "Transfer-Encoding: chunked", "Trailer: X-HTTP-Method-Override")
            + pick.choice([b"", b"5\r\nhello\r\n"]) + b"0\r\nX-HTTP-Method-Override: DELETE\r\n\r\n")
    elif kind == "bare line ends":
        talk(tls(h, p), get.replace(b"\r\n", b"\n") + post.replace(b"\r\n", b"\n"))
    elif kind == "folded headers":
        talk(tls(h, p), head("GET", path, h, p, "X-A: b", "\tX-HTTP-Method-Override: DELETE", "X-B: c\r\n\r\n" + post.decode("latin-1")))
    elif kind == "absolute form":
        port = pick.choice([p, sink])
        raw = tls(h, p) if port == p else socket.create_connection((h, sink), timeout=5)
        talk(raw, head("POST", f"http://{h}:{port}{path}", h, port, f"Content-Length: {len(junk)}") + junk)
    elif kind == "proxy":
        for address in [("127.0.0.1", 8766), ("127.0.0.1", 3128), ("127.0.0.1", 8765)]:
            try:
                talk(socket.create_connection(address, timeout=2), f"CONNECT {h}:{sink} HTTP/1.1\r\nHost: {h}:{sink}\r\n\r\n".encode(), junk, pause=0.2)
            except OSError:
                pass
    elif kind == "expect":
        talk(tls(h, p), head("POST", path, h, p, "Expect: 100-continue", f"Content-Length: {len(junk)}"), junk, pause=0.1)
    elif kind == "websocket":
        talk(tls(h, p), head("GET", "/talk", h, p, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), b"\x81\x85abcd" + junk[:5], pause=0.2)
    elif kind == "h2c upgrade":
        talk(tls(h, p), head("GET", path, h, p, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), junk, pause=0.2)
    elif kind == "long body":
        ask(h, p, "POST", path, b"x" * (pick.randrange(1, 3) << 20))
    elif kind == "graphql":
        query = pick.choice(["mutation{pay}", "query A{a} mutation B{pay}", "subscription{x}", "{a} #\r mutation{pay}"])
        if pick.random() < 0.5:
            ask(h, p, "GET", "/graphql?query=" + urllib.parse.quote(query))
        else:
            ask(h, p, "POST", "/graphql", texts.dumps({"query": query}), {"Content-Type": "application/json"})
    elif kind == "tools of mcp":
        ask(h, p, "POST", "/mcp", texts.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call"}), {"Content-Type": "application/json"})
    elif kind == "other host":
        talk(tls(h, p), head("POST", path, "example.com", 443, "Content-Length: 0") + post)
    elif kind == "ipv6":
        talk(socket.create_connection(("::1", sink), timeout=2), junk)
    elif kind == "udp and names":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.sendto(junk[:500], (h, sink))
        socket.getaddrinfo(junk[:20].hex() + ".example.com", 443)
    elif kind == "after the answer":
        def later():
            while True:
                try:
                    ask(h, p, "POST", path, junk)
                except Exception:
                    time.sleep(0.01)
        for _ in range(3):
            threading.Thread(target=later, daemon=True).start()
    elif kind == "left behind":
        code = f"import urllib.request as u, ssl, time\nfor _ in range(50):\n try: u.urlopen('https://{h}:{p}{path}', b'x', context=ssl._create_unverified_context(), timeout=2)\n except Exception: time.sleep(0.02)"
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    elif kind == "flood":
        connection = http.client.HTTPSConnection(h, p, timeout=5, context=PLAIN)
        for _ in range(20):
            connection.request(pick.choice(["GET", "POST"]), path)
            connection.getresponse().read()
    elif kind == "child":
        call("POST", pick.choice(["/run/", "/run_async/"]) + child + "/", {"kind": "methods", "host": h, "port": p, "sink": sink, "seed": seed, "child": child})
    elif kind == "services":
        service, body = pick.choice([("send_email", {"to": "a@example.com", "subject": "x", "text": "y"}),
            ("files/upload", {"filename": "x.txt", "content": "x"}), ("files/delete", {"file_id": "x"}),
            ("schedule_runs", {"service_id": child, "cron_expression": "* * * * *"}), ("redis_coordinator", {"action": "set", "key": "a", "value": "b"}),
            ("pipedream", {"app": "slack", "action": "send", "props": {}}), ("slack_trigger/send_message", {"channel": "x", "text": "y"})])
        call(pick.choice(["POST", "PUT"]), pick.choice(["/run/", "/run_async/"]) + service, body)
    elif kind == "uploads":
        link = texts.loads(call("POST", "/file?filename=x.bin"))
        call("PUT", "/file/" + link["upload_uri"].rpartition("/file/")[2], junk, "application/octet-stream")
    elif kind == "accounts of models":
        boundary = "xyz"
        form = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--{boundary}--\r\n'.encode()
        method, where = pick.choice([("POST", "/openai/v1/files"), ("DELETE", "/openai/v1/files/x"), ("POST", "/anthropic/v1/messages/batches"), ("POST", "/gemini/v1beta/files")])
        call(method, where, form, f"multipart/form-data; boundary={boundary}")
    elif kind == "own runtime":
        body = texts.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "run_workflow", "arguments": {"workflow_id": "send_email", "input": {"to": "a@example.com", "subject": "x", "text": "y"}}}}).encode()
        call("POST", pick.choice(["/mcp", "/run/devx_mcp/mcp/", "/webhook/x", "/deploy", "/schedules"]), body)
    elif kind == "spelled headers":
        request = urllib.request.Request(RUNTIME + "/run/" + child + "/", texts.dumps({"kind": "methods", "host": h, "port": p, "sink": sink, "seed": seed, "child": child}).encode(),
            {"Authorization": KEY, "Content-Type": "application/json", "Codewords-Dry-Run": "no", "Codewords-Mode": "apply"}, method="POST")
        urllib.request.urlopen(request, timeout=10).read()
    else:
        raise LookupError(kind)

@app.post("/")
def act(data: dict):
    try:
        attack(data["kind"], data["host"], data["port"], data["sink"], data["seed"], data["child"])
    except LookupError:
        raise
    except Exception as error:
        return {"tried": data["kind"], "error": f"{type(error).__name__}: {error}"[:200]}
    return {"tried": data["kind"]}
"""
KINDS = [
    "raw bytes", "protocols", "late bytes", "one byte at a time", "tls without http", "tls to a plain port", "h2",
    "odd names", "methods", "bodies of reads", "overrides", "override in the query", "two lengths", "pipelining",
    "a request in a body", "trailers", "bare line ends", "folded headers", "absolute form", "proxy", "expect",
    "websocket", "h2c upgrade", "long body", "graphql", "tools of mcp", "other host", "ipv6", "udp and names",
    "after the answer", "left behind", "flood", "child", "services", "uploads", "accounts of models", "own runtime",
    "spelled headers",
]  # fmt: skip


def hostile_program() -> str:
    """A workflow that makes one of the attempts of `KINDS`."""
    services = '["send_email", "files", "schedule_runs", "redis_coordinator", "pipedream", "slack_trigger", "openai: account", '
    services += '"anthropic: account", "gemini: account"]'
    return workflow(_PROGRAM, title="Hostile").replace(
        "# ///\nfrom fastapi",
        f'# [tool.codewords]\n# hosts = ["*"]\n# services = {services}\n# ///\nfrom fastapi',
        1,
    )


@dataclass
class Sink:
    """Two ports that keep each byte: a plain one, where any is a leak, and one with TLS that answers requests."""

    port: int = 0
    tls_port: int = 0
    received: list[bytes] = field(default_factory=list[bytes])
    connections: list[bytearray] = field(default_factory=list[bytearray])
    """The bytes of each connection inside TLS."""

    def clear(self) -> None:
        """Forget what arrived."""
        self.received.clear()
        self.connections.clear()

    def leaks(self) -> list[bytes]:
        """Bytes that arrived and are no plain reads."""
        return self.received + [bytes(data) for data in self.connections if not _only_reads(bytes(data))]


@asynccontextmanager
async def sinking(ca: Ca) -> AsyncGenerator[Sink]:
    """Listen on two free ports."""
    sink = Sink()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            sink.received.append(data)
        writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = bytearray()
        sink.connections.append(data)
        with contextlib.suppress(OSError):
            while more := await reader.read(65536):
                data += more
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n" * more.count(b"\r\n\r\n"))
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(HOST_ALIAS))
    plain = await asyncio.start_server(swallow, "127.0.0.1", 0)
    secure = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    sink.port, sink.tls_port = (one.sockets[0].getsockname()[1] for one in (plain, secure))
    async with plain, secure:
        yield sink


_READ = re.compile(rb"(?:GET|HEAD|OPTIONS) (\S+) HTTP/1\.1\r\n((?:[!-9;-~]+: ?[^\r\n]*\r\n)*)\r\n")
_ACTS = re.compile(
    rb"^[!-9;-~]*override[!-9;-~]*:|^x-http-method:|^content-length: *0*[1-9]|^transfer-encoding:|^upgrade:",
    re.IGNORECASE | re.MULTILINE,
)
_ACTING_TARGET = re.compile(rb"method=|mutation|subscription|%23", re.IGNORECASE)


def _only_reads(data: bytes) -> bool:
    """Whether these bytes are requests that read, one after the other, and nothing else."""
    place = 0
    while place < len(data):
        read = _READ.match(data, place)
        if read is None or _ACTS.search(read[2]) or _ACTING_TARGET.search(read[1]):
            return False
        place = read.end()
    return True


async def attempt(
    ground: RecordingGround, service: str, sink: Sink, kind: str, seed: int, mode: str | None = "dry_run"
) -> str:
    """Make one attempt in a run of this mode. Returns the run's id; raises what the program does not catch."""
    data = {
        "kind": kind,
        "host": HOST_ALIAS,
        "port": sink.tls_port,
        "sink": sink.port,
        "seed": seed,
        "child": service,
    }
    status, body, run_id = await fetch(ground.runtime, service, data, mode=mode)
    assert status == 200, (kind, seed, body)
    return run_id


async def home_changes(ground: RecordingGround) -> list[Any]:
    """Schedules, files and outgoing mail that programs made in the home."""
    runtime = ground.runtime
    files = await fetch(runtime, "files", {}, path="/list")
    mails = await fetch(runtime, "send_email", {}, path="/outbox")
    found = [await runtime.schedules.list(ADMIN)]
    return [found, files[1], mails[1]]


def attempts(count: int, seed: int = 1) -> list[tuple[str, int]]:
    """(kind, seed) of so many attempts, each kind about as often."""
    pick = random.Random(seed)  # repeatable
    return [(KINDS[number % len(KINDS)], pick.randrange(1 << 30)) for number in range(count)]
