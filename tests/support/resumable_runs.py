"""A workflow whose runs may be resumed: it makes the calls that its input names, some of them at once."""

from __future__ import annotations

from tests.support.background_runs import with_options
from tests.support.runtime import workflow

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

_PROGRAM = """
import asyncio, httpx, os, sys, uuid
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
    return data

@app.post("/")
async def act(body: dict):
    replies = []
    async with httpx.AsyncClient(timeout=60) as client:
        async def call(method, url, data=None, headers=None):
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
                if body.get("dies"):
                    os._exit(3)
                raise RuntimeError("a step failed")
    return {"replies": replies}
"""


def resumable(retries: str = "{count = 3, resume = true}", *options: str, title: str = "Resumable") -> str:
    """The script. Its input: {steps: [[[method, url, data, headers], …], …], strict, dies}."""
    return with_options(
        workflow(_PROGRAM, title=title),
        f"retries = {retries}",
        f'hosts = ["{HOST_ALIAS}"]',
        *options,
    )
