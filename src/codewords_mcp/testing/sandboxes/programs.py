"""Programs that several checks start, and parts of programs. They run in a sandbox; nothing here is imported."""

from __future__ import annotations

from typing import Final

WITNESS: Final = """
def witness(name):
    "A connection to the runtime that lives as long as this process, or whoever inherits it."
    import os, socket
    from urllib.parse import urlsplit
    uri = urlsplit(os.environ["CODEWORDS_RUNTIME_URI"])
    link = socket.create_connection((uri.hostname, uri.port), 10)
    link.sendall(b"GET /witness/%b HTTP/1.1\\r\\nhost: runtime\\r\\n\\r\\n" % name.encode())
    link.recv(1)
    return link
"""

LITTLE: Final = """
def serve(text, host="127.0.0.1"):
    "A server without any package, answering every request with `text`."
    import os, socket, threading
    server = socket.create_server((host, int(os.environ["PORT"])), backlog=128)
    def answer(link):
        with link:
            while b"\\r\\n\\r\\n" not in (head := link.recv(65536)) and head:
                pass
            if head:
                data = text.encode()
                link.sendall(b"HTTP/1.1 200 OK\\r\\nconnection: close\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(data) + data)
    while True:
        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
"""

ASGI: Final = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})
"""

FASTAPI: Final = """
import os
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()

class Person(BaseModel):
    name: "str"

@app.post("/")
async def greet(person: Person) -> dict[str, str]:
    return {"greeting": f"Hello, {person.name}!"}

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""

SERVER: Final = """
import asyncio, collections, hashlib, json, os

gates = collections.defaultdict(asyncio.Event)
counts = collections.Counter()

async def pieces(receive):
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        more = message.get("more_body", False)
        yield message.get("body", b"")

async def begin(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})

async def piece(send, data, more=True):
    await send({"type": "http.response.body", "body": data, "more_body": more})

async def answer(send, value):
    await begin(send, headers=[(b"content-type", b"application/json")])
    await piece(send, json.dumps(value).encode(), more=False)

async def gone(receive):
    while (await receive())["type"] != "http.disconnect":
        pass

async def root(scope, receive, send, name):
    await answer(send, "here")

async def mirror(scope, receive, send, name):
    body = b"".join([data async for data in pieces(receive)])
    seen = {
        "method": scope["method"], "path": scope["raw_path"].decode(), "query": scope["query_string"].decode(),
        "headers": [[key.decode("latin-1"), value.decode("latin-1")] for key, value in scope["headers"]], "body": body.hex(),
    }
    headers = [(b"x-seen", "gr\\u00fc\\u00df".encode("latin-1")), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await begin(send, status=418, headers=headers)
    await piece(send, json.dumps(seen).encode(), more=False)

async def duplex(scope, receive, send, name):
    await begin(send)
    async for data in pieces(receive):
        await piece(send, data)
    await piece(send, b"", more=False)

async def digest(scope, receive, send, name):
    "Reads once the gate `name` is open; without a name at once."
    if name:
        await gates[name].wait()
    sha, size = hashlib.sha256(), 0
    async for data in pieces(receive):
        sha.update(data)
        size += len(data)
    await answer(send, [size, sha.hexdigest()])

async def go(scope, receive, send, name):
    gates[name].set()
    await answer(send, None)

async def count(scope, receive, send, name):
    await answer(send, counts[name])

async def parts(scope, receive, send, name):
    await begin(send)
    await piece(send, b"first")
    await gates[name].wait()
    await piece(send, b"second", more=False)

async def large(scope, receive, send, name):
    await begin(send)
    for number in range(int(name)):
        await piece(send, hashlib.sha256(b"%d" % number).digest() * 2048)
    await piece(send, b"", more=False)

async def endless(scope, receive, send, name):
    await begin(send)
    end = asyncio.ensure_future(gone(receive))
    while not end.done():
        await piece(send, bytes(65536))
        counts[name] += 65536
        await asyncio.sleep(0)  # sending to nobody does not wait
    counts[name + "-gone"] = 1

async def hold(scope, receive, send, name):
    counts[name] = 1
    await gone(receive)
    counts[name + "-gone"] = 1

async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x-seen", b"yes")]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            counts["websocket-gone"] = message.get("code")
            return
        text, data = message.get("text"), message.get("bytes")
        if text == "close":
            return await send({"type": "websocket.close", "code": 4001, "reason": "asked to"})
        await send({"type": "websocket.send", "text": text} if data is None else {"type": "websocket.send", "bytes": data})

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        return await websocket(receive, send)
    route, _, name = scope["path"].strip("/").partition("/")
    await globals()[route or "root"](scope, receive, send, name)

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, port=int(os.environ["PORT"]), lifespan="off", access_log=False)
"""
