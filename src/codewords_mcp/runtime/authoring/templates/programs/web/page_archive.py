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
# example = {urls = ["https://example.com/"]}
# ///

"""Keep web pages as they are today: a ZIP of their texts as Markdown, with an index."""

import asyncio
import io
import re
import zipfile
from datetime import UTC, datetime
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

AT_ONCE = 5

app = FastAPI(title="Page archive", description=__doc__)


class Pages(BaseModel):
    urls: list[str] = Field(min_length=1, max_length=100)
    name: str = Field("pages", pattern=r"^[\w-]{1,60}$")


class Archive(BaseModel):
    file: str = Field(description="Link to the ZIP.")
    pages: int
    bytes: int
    failed: list[str] = Field(description="Pages that could not be read.")


@app.post("/", response_model=Archive)
async def archive(asked: Pages) -> Archive:
    """Read all of them, pack them, keep the file."""
    logger.info("STEPLOG START read")
    turns = asyncio.Semaphore(AT_ONCE)
    urls = list(dict.fromkeys(asked.urls))
    found = await asyncio.gather(*(read(url, turns) for url in urls))
    pages = [page for page in found if page is not None]
    if not pages:
        raise HTTPException(status_code=502, detail="None of the pages can be read.")
    logger.info("STEPLOG START pack")
    packed = await asyncio.to_thread(pack, pages)
    async with AsyncCodewordsClient() as client:
        link = await client.upload_file_content(f"{asked.name}-{datetime.now(UTC):%Y-%m-%d}.zip", packed)
    failed = [url for url, page in zip(urls, found, strict=True) if page is None]
    return Archive(file=link, pages=len(pages), bytes=len(packed), failed=failed)


async def read(url: str, turns: asyncio.Semaphore) -> dict[str, Any] | None:
    """A page; None where it cannot be had."""
    async with turns:
        try:
            return await service("webpage_to_markdown", {"url": url})
        except httpx.HTTPStatusError as error:
            logger.warning("A page cannot be read", url=url, status=error.response.status_code)
            return None


def pack(pages: list[dict[str, Any]]) -> bytes:
    """The ZIP, with an index of titles."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        index = []
        for number, page in enumerate(pages, 1):
            name = f"{number:03}-{re.sub(r'[^a-z0-9]+', '-', (page['title'] or 'page').lower())[:60].strip('-')}.md"
            file.writestr(name, f"# {page['title']}\n\n{page['url']}\n\n{page['markdown']}\n")
            index.append(f"- [{page['title'] or page['url']}]({name})")
        file.writestr("index.md", "\n".join(index) + "\n")
    return out.getvalue()


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
