# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "codewords-client==0.4.11",
#   "fastapi==0.115.12",
#   "httpx==0.28.1",
#   "pydantic==2.11.3",
#   "uvicorn[standard]==0.34.2"
# ]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "RENDER_KEY"]
# ///

"""Render a document by a service that takes its time, and keep the result in a signed bucket."""

import asyncio
import hashlib
import hmac
import os
import time
from datetime import UTC, datetime

import httpx
from codewords_client import run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

RENDERER = "https://render.example"
BUCKET = "https://documents.s3.eu-central-1.amazonaws.com"
app = FastAPI(title="Render job")


class Document(BaseModel):
    name: str
    text: str


class Rendered(BaseModel):
    job: str
    pages: int
    polls: int
    address: str
    took_ms: int


@app.post("/", response_model=Rendered)
async def render(document: Document) -> Rendered:
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=20) as http:
        started = await http.post(
            f"{RENDERER}/jobs",
            files={"file": (f"{document.name}.txt", document.text.encode(), "text/plain")},
            data={"format": "pdf", "requested_at": datetime.now(UTC).isoformat()},
            headers={"X-Api-Key": os.environ["RENDER_KEY"]},
        )
        started.raise_for_status()
        job = started.json()["id"]
        polls = 0
        while True:
            polls += 1
            state = (
                await http.get(f"{RENDERER}/jobs/{job}", params={"_": time.time_ns() // 1_000_000})
            ).json()
            if state["status"] != "running":
                break
            await asyncio.sleep(0.001)
        if state["status"] != "done":
            raise HTTPException(status_code=502, detail=f"The job ended as {state['status']}.")
        address = f"{BUCKET}/{document.name}.json"
        body = f'{{"name": "{document.name}", "pages": {state["pages"]}, "stored": "{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}}'
        stored = await http.put(address, content=body.encode(), headers=signed("PUT", address, body))
        stored.raise_for_status()
    return Rendered(
        job=job,
        pages=state["pages"],
        polls=polls,
        address=address,
        took_ms=round((time.monotonic() - began) * 1000),
    )


def signed(method: str, address: str, body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    digest = hashlib.sha256(body.encode()).hexdigest()
    scope = f"{now:%Y%m%d}/eu-central-1/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now:%Y%m%dT%H%M%SZ}\n{scope}\n{method}\n{address}\n{digest}"
    signature = hmac.new(b"test", text.encode(), hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
        "x-amz-content-sha256": digest,
        "authorization": f"AWS4-HMAC-SHA256 Credential=AKIATEST/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}",
    }


if __name__ == "__main__":
    run_service(app)
