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
#   "CODEWORDS_RUNTIME_URI",
#   "WEBHOOK_SECRET"
# ]
# [tool.codewords]
# example = {}
# ///

"""Take webhooks of another system: the signature is checked, a delivery that comes twice counts once, the last ones are kept."""

import hashlib
import hmac
import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

SIGNATURES = ("x-hub-signature-256", "x-signature-256", "x-signature")
SHOWN = 100
REMEMBERED = timedelta(days=7)
TABLES = ["CREATE TABLE events (id TEXT PRIMARY KEY, at TEXT NOT NULL, body TEXT NOT NULL)"]

app = FastAPI(title="Webhook inbox", description=__doc__)


class Taken(BaseModel):
    taken: bool = Field(description="False for one that was there already.")
    id: str


class Event(BaseModel):
    id: str
    at: str
    body: Any


class Inbox(BaseModel):
    events: list[Event] = Field(description="The newest first.")


@app.post("/", response_model=Taken)
async def take(request: Request) -> Taken:
    """Answers 401 without a right signature: HMAC-SHA256 of the body with WEBHOOK_SECRET, in hexadecimal."""
    raw = await request.body()
    given = next((request.headers[name] for name in SIGNATURES if name in request.headers), "").removeprefix("sha256=")
    right = hmac.new(os.environ["WEBHOOK_SECRET"].encode(), raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given.encode(), right.encode()):
        raise HTTPException(status_code=401, detail="The signature is missing or wrong.")
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise HTTPException(status_code=400, detail="The body is not JSON.") from error
    delivery = request.headers.get("x-github-delivery") or hashlib.sha256(raw).hexdigest()[:24]
    event = Event(id=delivery[:500], at=text(datetime.now(UTC)), body=body)
    if not await keep(event):
        return Taken(taken=False, id=event.id)
    logger.info("STEPLOG START handle", delivery=event.id)
    await handle(event)
    return Taken(taken=True, id=event.id)


async def keep(event: Event) -> bool:
    """Keep an event for GET /events, and drop old ones. False where it is there already."""
    insert = "INSERT INTO events (id, at, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    statements = [
        {"sql": insert, "parameters": [event.id, event.at, json.dumps(event.body)]},
        {"sql": "DELETE FROM events WHERE at < ?", "parameters": [text(datetime.now(UTC) - REMEMBERED)]},
    ]
    done = await service("database", {"migrate": TABLES, "statements": statements})
    return done["results"][0]["changed"] == 1


async def handle(event: Event) -> None:
    """Handle an event: change this."""
    logger.info("handled", event=event.id)


def text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


@app.get("/events", response_model=Inbox)
async def list_events() -> Inbox:
    """The last hundred."""
    select = "SELECT id, at, body FROM events ORDER BY at DESC, id LIMIT ?"
    found = await service("database", {"migrate": TABLES, "sql": select, "parameters": [SHOWN]})
    return Inbox(events=[Event(**row | {"body": json.loads(row["body"])}) for row in found["rows"]])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
