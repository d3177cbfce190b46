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
# example = {csv_url = "https://docs.google.com/spreadsheets/d/e/SHEET/pub?output=csv", key = "id", email = "you@example.com"}
# ///

"""Watch a sheet that is published as CSV, and mail the rows that came, went or changed since the last run."""

import csv
import io
import json
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI(title="Sheet watch", description=__doc__)
Row = dict[str, str]


class Watch(BaseModel):
    csv_url: str = Field(description="In Google Sheets: File, Share, Publish to web, as CSV.")
    key: str = Field(description="The column that tells rows apart.")
    email: str | None = Field(None, description="Who is told; nobody without one.")


class Changes(BaseModel):
    first_run: bool
    rows: int
    added: list[Row]
    removed: list[Row]
    changed: list[Row] = Field(description="As they are now.")
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=Changes)
async def watch(asked: Watch) -> Changes:
    """Compare the sheet with what the last run saw. Run it by a schedule."""
    logger.info("STEPLOG START fetch")
    now = await fetch(asked.csv_url, asked.key)
    logger.info("STEPLOG START compare")
    place = f"sheet_watch:{asked.csv_url}"[:500]
    before: dict[str, Row] | None = (await service("redis_coordinator", {"action": "get", "key": place}))["value"]
    old = before or {}
    told = Changes(
        first_run=before is None,
        rows=len(now),
        added=[] if before is None else [row for key, row in now.items() if key not in old],
        removed=[row for key, row in old.items() if key not in now],
        changed=[row for key, row in now.items() if key in old and old[key] != row],
    )
    if asked.email and (told.added or told.removed or told.changed):
        logger.info("STEPLOG START mail")
        text = json.dumps(told.model_dump(include={"added", "removed", "changed"}), ensure_ascii=False, indent=2)
        told.mailed = (await service("send_email", {"to": asked.email, "subject": "The sheet has changed", "text": text}))["delivered"]
    # kept last, so that a mail that fails is sent by the next run
    await service("redis_coordinator", {"action": "set", "key": place, "value": now})
    return told


async def fetch(url: str, key: str) -> dict[str, Row]:
    """The rows by their key. Answers 502 where the sheet cannot be had, 422 where it has no such column."""
    try:
        async with httpx.AsyncClient(follow_redirects=True, timeout=30) as http:
            reply = await http.get(url)
            reply.raise_for_status()
    except httpx.HTTPError as error:
        raise HTTPException(status_code=502, detail=f"The sheet cannot be fetched: {type(error).__name__}.") from error
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    if rows and key not in rows[0]:
        raise HTTPException(status_code=422, detail=f"The sheet has no column {key}; it has {', '.join(rows[0])}.")
    return {row[key]: row for row in rows if row[key]}


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
