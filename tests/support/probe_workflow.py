# pyright: basic, reportMissingImports=false
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "fastapi==0.116.1",
#   "uvicorn==0.35.0",
#   "websockets==15.0.1",
# ]
# [tool.env-checker]
# env_vars = ["PORT=8000", "PROBE_SECRET"]
# ///
"""What the tests of the HTTP door deploy: it shows what reached it, streams, hangs, fails and calls back."""

import asyncio
import hashlib
import json
import os
import urllib.error
import urllib.request

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


@app.post("/")
async def main(request: Request) -> dict:
    return {"got": await request.json(), "status": "mine"}


@app.api_route("/echo/{rest:path}", methods=METHODS)
@app.api_route("/echo", methods=METHODS)
async def echo(request: Request) -> dict:
    body = await request.body()
    print("STEPLOG START echo", flush=True)
    return {
        "method": request.method,
        "path": request.scope["raw_path"].decode(),
        "query": request.url.query,
        "headers": [[name.decode(), value.decode()] for name, value in request.scope["headers"]],
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }


async def duplex(scope, receive, send) -> None:
    # On bare ASGI: a StreamingResponse would listen for the disconnect and eat the chunks.
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        await send(
            {"type": "http.response.body", "body": message.get("body", b"").upper(), "more_body": more}
        )


app.mount("/duplex", duplex)


@app.get("/cookie")
async def cookie(request: Request, response: Response) -> dict:
    response.set_cookie("session", "1")
    return dict(request.cookies)


@app.get("/sse")
async def sse() -> StreamingResponse:
    async def events():
        yield "data: first\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(events(), media_type="text/event-stream")


@app.api_route("/hang", methods=["GET", "POST"])
async def hang() -> None:
    print("hanging", flush=True)
    await asyncio.Event().wait()


@app.get("/lines")
async def lines(count: int = 3) -> dict:
    for number in range(count):
        print(f"line {number}", flush=True)
    return {"count": count}


@app.get("/status/{code}")
async def status(code: int) -> None:
    raise HTTPException(code, f"I answer {code}", headers={"Retry-After": "7"})


@app.get("/raise")
async def fail() -> None:
    raise RuntimeError("on purpose")


@app.get("/bytes")
async def many(size: int) -> StreamingResponse:
    async def blocks():
        left = size
        while left:
            block = b"x" * min(left, 65536)
            left -= len(block)
            yield block

    return StreamingResponse(blocks(), media_type="application/octet-stream")


@app.post("/call")
async def call(wanted: list[list[str]]) -> list[dict]:
    """Ask the runtime with this run's own key; `wanted` are methods and paths."""

    def ask(method: str, path: str) -> dict:
        request = urllib.request.Request(
            os.environ["CODEWORDS_RUNTIME_URI"] + path,
            data=b"{}" if method != "GET" else None,
            method=method,
            headers={"Authorization": os.environ["CODEWORDS_API_KEY"], "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return {"status": answer.status, "body": json.loads(answer.read() or b"null")}
        except urllib.error.HTTPError as error:
            return {"status": error.code, "body": json.loads(error.read() or b"null")}

    return [await asyncio.to_thread(ask, method, path) for method, path in wanted]


@app.get("/secret")
async def secret() -> dict:
    return {"length": len(os.environ.get("PROBE_SECRET", ""))}


@app.websocket("/flood")
async def flood(socket: WebSocket) -> None:
    await socket.accept()
    while True:
        await socket.send_text("x" * 1000)
        await asyncio.sleep(0)


@app.websocket("/ws/{rest:path}")
async def talk(socket: WebSocket, rest: str) -> None:
    wanted = socket.scope["subprotocols"]
    await socket.accept(subprotocol=wanted[0] if wanted else None)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "bye":
            await socket.close(4001, "as you wish")
            return
        if message.get("text") is not None:
            await socket.send_text(f"{rest}: {message['text']}")
        else:
            await socket.send_bytes(message["bytes"][::-1])


@app.websocket("/refuse")
async def refuse(socket: WebSocket) -> None:
    await socket.close(1008)


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]), log_level="warning")
