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
# example = {urls = ["https://example.com/"], email = "you@example.com"}
# ///

"""Check whether sites answer, how fast, and with the text they should; mail when one goes down or comes back."""

import asyncio
import time
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

AT_ONCE = 10
TRIES = 2

app = FastAPI(title="Uptime check", description=__doc__)


class Sites(BaseModel):
    urls: list[str] = Field(min_length=1, max_length=100)
    contains: str = Field("", description="A text that each page must have.")
    seconds: float = Field(10, gt=0, le=60, description="How long an answer may take.")
    email: str | None = Field(None, description="Who is told of changes.")


class Site(BaseModel):
    url: str
    up: bool
    status: int | None
    milliseconds: int
    problem: str = ""
    changed: bool = Field(False, description="Since the last run.")


class Report(BaseModel):
    all_up: bool
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")
    sites: list[Site]


@app.post("/", response_model=Report)
async def check(asked: Sites) -> Report:
    """Look at all of them, compare with the last run, tell of changes. Run it by a schedule."""
    logger.info("STEPLOG START look")
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(follow_redirects=True, timeout=asked.seconds) as http:
        sites = await asyncio.gather(*(look(http, url, asked.contains, turns) for url in dict.fromkeys(asked.urls)))
    logger.info("STEPLOG START compare")
    before: dict[str, bool] = (await service("redis_coordinator", {"action": "get", "key": "uptime_check"}))["value"] or {}
    sites = [site.model_copy(update={"changed": before.get(site.url, True) != site.up}) for site in sites]
    changed = [site for site in sites if site.changed]
    mailed = False
    if asked.email and changed:
        logger.info("STEPLOG START mail")
        text = "\n".join(f"{site.url} is {'up again' if site.up else f'down: {site.problem}'}" for site in changed)
        mailed = (await service("send_email", {"to": asked.email, "subject": f"{len(changed)} sites changed", "text": text}))["delivered"]
    now = before | {site.url: site.up for site in sites}
    await service("redis_coordinator", {"action": "set", "key": "uptime_check", "value": now})
    return Report(all_up=all(site.up for site in sites), mailed=mailed, sites=sites)


async def look(http: httpx.AsyncClient, url: str, contains: str, turns: asyncio.Semaphore) -> Site:
    """One site; down only if it is so twice."""
    async with turns:
        for _ in range(TRIES):
            began = time.monotonic()
            status, problem = await ask_site(http, url, contains)
            took = round((time.monotonic() - began) * 1000)
            if not problem:
                break
    return Site(url=url, up=not problem, status=status, milliseconds=took, problem=problem)


async def ask_site(http: httpx.AsyncClient, url: str, contains: str) -> tuple[int | None, str]:
    """(status, what is wrong)."""
    try:
        reply = await http.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return None, type(error).__name__
    if reply.status_code >= 400:
        return reply.status_code, f"it answers {reply.status_code}"
    return reply.status_code, "" if contains in reply.text else "the text is missing"


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
