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
# example = {url = "https://example.com/", email = "you@example.com"}
# ///

"""Watch a web page, and mail what changed in its text since the last run."""

import difflib
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

SHOWN = 200

app = FastAPI(title="Page change monitor", description=__doc__)


class Watch(BaseModel):
    url: str
    email: str | None = Field(None, description="Who is told; nobody without one.")
    ignore: list[str] = Field([], description="Lines with one of these words do not count, such as a counter of visitors.")


class Change(BaseModel):
    first_run: bool
    changed: bool
    diff: list[str] = Field(description="Lines that came (+) and went (-).")
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=Change)
async def watch(asked: Watch) -> Change:
    """Compare the page's text with that of the last run. Run it by a schedule."""
    logger.info("STEPLOG START read")
    page = await service("webpage_to_markdown", {"url": asked.url})
    lines = [line for line in page["markdown"].splitlines() if line.strip() and not any(word in line for word in asked.ignore)]
    logger.info("STEPLOG START compare")
    place = f"page_change_monitor:{asked.url}"[:500]
    before = (await service("redis_coordinator", {"action": "get", "key": place}))["value"]
    found = [] if before is None else list(difflib.unified_diff(before, lines, lineterm="", n=0))[2:]
    diff = [line for line in found if not line.startswith("@@")][:SHOWN]
    mailed = False
    if asked.email and diff:
        logger.info("STEPLOG START mail")
        subject = f"Changed: {page['title'] or asked.url}"[:200]
        mailed = (await service("send_email", {"to": asked.email, "subject": subject, "text": "\n".join([asked.url, "", *diff])}))["delivered"]
    # kept last, so that a mail that fails is sent by the next run
    await service("redis_coordinator", {"action": "set", "key": place, "value": lines})
    return Change(first_run=before is None, changed=bool(diff), diff=diff, mailed=mailed)


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
