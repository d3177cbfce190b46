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
# env_vars = [
#   "PORT=8000",
#   "LOGLEVEL=INFO",
#   "CODEWORDS_API_KEY",
#   "CODEWORDS_RUNTIME_URI"
# ]
# [tool.codewords]
# example = {url = "https://example.com/export.json", name = "export"}
# ///

"""Back up a file from the web: kept compressed and dated, only if it has changed, the oldest copies going first."""

import asyncio
import gzip
import hashlib
from datetime import UTC, datetime
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

MAX_BYTES = 50_000_000

app = FastAPI(title="File backup", description=__doc__)


class Source(BaseModel):
    url: str
    name: str = Field(pattern=r"^[\w-]{1,60}$")
    keep: int = Field(14, ge=1, le=365, description="Copies that stay listed.")
    at_least: int = Field(1, ge=0, description="Bytes; a smaller file is taken for a fault and not kept.")


class Copy(BaseModel):
    at: str
    link: str
    bytes: int
    sha256: str


class Backup(BaseModel):
    changed: bool = Field(description="False where it is what the newest copy holds.")
    copies: list[Copy] = Field(description="The newest first.")


@app.post("/", response_model=Backup)
async def back_up(source: Source) -> Backup:
    """Fetch, compare, compress, keep. Run it by a schedule."""
    logger.info("STEPLOG START fetch")
    data = await fetch(source.url)
    if len(data) < source.at_least:
        raise HTTPException(status_code=502, detail=f"The file has only {len(data)} bytes; nothing was kept.")
    place = f"file_backup:{source.name}"
    copies = [Copy(**one) for one in (await service("redis_coordinator", {"action": "get", "key": place}))["value"] or []]
    digest = hashlib.sha256(data).hexdigest()
    if copies and copies[0].sha256 == digest:
        return Backup(changed=False, copies=copies)
    logger.info("STEPLOG START keep", bytes=len(data))
    now = datetime.now(UTC)
    packed = await asyncio.to_thread(gzip.compress, data)
    async with AsyncCodewordsClient() as client:
        link = await client.upload_file_content(f"{source.name}-{now:%Y%m%d-%H%M%S}.gz", packed)
    made = Copy(at=now.isoformat(timespec="seconds"), link=link, bytes=len(data), sha256=digest)
    copies = [made, *copies][: source.keep]
    await service("redis_coordinator", {"action": "set", "key": place, "value": [one.model_dump() for one in copies]})
    return Backup(changed=True, copies=copies)


async def fetch(url: str) -> bytes:
    """The file. Answers 502 where it cannot be had, 413 where it is too large."""
    data = bytearray()
    try:
        async with httpx.AsyncClient(follow_redirects=True, timeout=60) as http, http.stream("GET", url) as reply:
            reply.raise_for_status()
            async for chunk in reply.aiter_bytes():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise HTTPException(status_code=413, detail=f"The file is larger than {MAX_BYTES:,} bytes.")
    except httpx.HTTPError as error:
        raise HTTPException(status_code=502, detail=f"The file cannot be fetched: {type(error).__name__}.") from error
    return bytes(data)


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
