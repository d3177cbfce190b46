"""A workflow whose runs may be resumed: it makes the calls that its input names, some of them at once."""

from __future__ import annotations

from tests.support.background_runs import with_options
from tests.support.runtime import workflow

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

_PROGRAM = """
import asyncio, httpx, json, os, time, uuid
from datetime import datetime, timezone

def filled(data):
    if isinstance(data, dict):
        return {name: filled(value) for name, value in data.items()}
    if data == "NOW":
        return datetime.now(timezone.utc).isoformat()
    if data == "UUID":
        return str(uuid.uuid4())
    if data == "NONCE":
        return os.urandom(8).hex()
    if data == "LONG":
        return "x" * 400_000
    if data == "NOISE":
        return os.urandom(300_000).hex()
    return data

# A sandbox has 256 connections at a time.
places = asyncio.Semaphore(200)

async def on_its_own(method, url, data):
    # A pool of httpx looks through all that wait for a connection at each answer.
    async with places:
        return await asked(method, url, data)

async def asked(method, url, data):
    host, _, path = url.partition("//")[2].partition("/")
    name, _, port = host.partition(":")
    text = json.dumps(data).encode() if data is not None else b""
    head = f"{method} /{path} HTTP/1.1\\r\\nhost: {host}\\r\\ncontent-length: {len(text)}\\r\\nconnection: close\\r\\n\\r\\n"
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(head.encode() + text)
    answer = await reader.read()
    writer.close()
    return [int(answer.split(b" ", 2)[1]), answer.partition(b"\\r\\n\\r\\n")[2].decode()]

def end(way):
    if way == "memory":
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 16)
    if way == "time":
        time.sleep(600)
    if way:
        os._exit(3)

@app.post("/")
async def act(body: dict):
    replies = []
    async with httpx.AsyncClient(timeout=60) as client:
        async def call(method, url, data=None, headers=None):
            if method == "EXIT":
                reply = await client.get(url)
                if reply.status_code >= 500:
                    os._exit(3)
                return [reply.status_code, ""]
            if body.get("unpooled"):
                return await on_its_own(method, url, data)
            headers = filled(headers or {})
            if url.startswith("/"):
                url = os.environ["CODEWORDS_RUNTIME_URI"] + url
                headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
            reply = await client.request(method, url, json=filled(data), headers=headers)
            return [reply.status_code, reply.text[:300]]

        for step in body["steps"]:
            print("step", flush=True)
            done = await asyncio.gather(*(call(*one) for one in step))
            replies.append(done)
            if body.get("strict") and any(status >= 500 for status, _ in done):
                end(body.get("dies"))
                raise RuntimeError("a step failed")
    return {"replies": replies}
"""


def resumable(
    retries: str = "{count = 3, resume = true}",
    *options: str,
    title: str = "Resumable",
    env: tuple[str, ...] = (),
) -> str:
    """The script. Its input: {steps: [[[method, url, data, headers], …], …], strict, dies, unpooled}.

    `strict`: an answer of 500 and more ends the attempt by an error, or as `dies` says: "memory", "time", or true. The method
    EXIT reads, and ends the process where the answer is 500 and more. `unpooled`: each call has a connection of its own, 200 at
    a time.
    """
    return with_options(
        workflow(_PROGRAM, title=title, env=env),
        f"retries = {retries}",
        f'hosts = ["{HOST_ALIAS}"]',
        *options,
    )
