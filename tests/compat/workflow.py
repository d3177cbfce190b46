# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "fastapi==0.115.12",
#   "uvicorn[standard]==0.34.2",
#   "pydantic==2.11.3",
#   "structlog==25.2.0",
#   "httpx==0.25.0",
#   "codewords-client==0.2.4"
# ]
# [tool.env-checker]
# env_vars = [
#   "PORT=8000",
#   "LOGLEVEL=INFO",
#   "CODEWORDS_API_KEY",
#   "CODEWORDS_RUNTIME_URI"
# ]
# ///

"""The workflow that the published clients call. The same packages as the seed's greeting, so the same environment."""

# pyright: basic

import asyncio
import importlib.metadata
import json
import os

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from codewords_client import AsyncCodewordsClient, CodewordsClient

app = FastAPI(title="Compatibility")


class Who(BaseModel):
    name: str


@app.post("/")
async def greet(who: Who) -> dict:
    print("STEPLOG START greet", flush=True)
    print(f"greeting {who.name}", flush=True)
    return {"message": f"Hello {who.name}!"}


@app.get("/ping")
async def ping() -> dict:
    return {"pong": True}


@app.post("/query")
async def query(who: Who, page: int) -> dict:
    return {"name": who.name, "page": page}


@app.post("/context")
async def context(who: Who, request: Request) -> dict:
    names = ("x-request-id", "x-correlation-id", "codewords-caller-id", "authorization")
    return {name: request.headers.get(name) for name in names}


@app.post("/fail")
async def fail(who: Who) -> dict:
    print("about to fail", flush=True)
    raise HTTPException(418, "no tea here")


@app.post("/divide")
async def divide(who: Who) -> float:
    return 1 / 0


@app.post("/slowly")
async def slowly(who: Who) -> dict:
    for number in range(3):
        print(f"step {number}", flush=True)
        await asyncio.sleep(0.3)
    return {"message": f"Hello {who.name}, at last!"}


@app.post("/events")
async def events(who: Who) -> StreamingResponse:
    async def lines():
        for number in range(3):
            yield f"data: {json.dumps({'number': number})}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(lines(), media_type="text/event-stream")


@app.post("/client")
async def client(who: Who) -> dict:
    """Which client this is, and whether each kind can call on from here."""
    service = os.environ["SERVICE_ID"]
    async with AsyncCodewordsClient() as one:
        first = await one.run(service_id=service, path="/context", data={"name": who.name})
    second = await asyncio.to_thread(lambda: CodewordsClient().run(service, {"name": who.name}))
    return {
        "version": importlib.metadata.version("codewords-client"),
        "down_the_chain": first["x-correlation-id"],
        "message": second.get("message"),
    }


@app.post("/missing-service")
async def missing_service(who: Who) -> dict:
    async with AsyncCodewordsClient() as one:
        return (await one.run(service_id="perplexity", data={"url": "https://example.com"})).json()


@app.post("/administer")
async def administer(who: Who) -> dict:
    """A run's key must not do this."""
    async with AsyncCodewordsClient() as one:
        await one.manage_secrets(operation="add", secret_name="STOLEN", secret_value="x")
    return {}


@app.post("/file")
async def file(who: Who) -> dict:
    async with AsyncCodewordsClient() as one:
        return {"link": await one.upload_file_content("from the sandbox.txt", who.name.encode())}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")))
