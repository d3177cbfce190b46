# /// script
# requires-python = "==3.11.*"
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
from datetime import UTC, datetime
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

SIGNATURES = ("x-hub-signature-256", "x-signature-256", "x-signature")
KEPT = 100
REMEMBERED = 7 * 86400

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
    counted = await service(
        "redis_coordinator", {"action": "incr", "key": f"webhook_inbox:{delivery}"[:500], "ttl": REMEMBERED}
    )
    if counted["value"] > 1:
        return Taken(taken=False, id=delivery)
    logger.info("STEPLOG START handle", delivery=delivery)
    await handle(Event(id=delivery, at=datetime.now(UTC).isoformat(timespec="seconds"), body=body))
    return Taken(taken=True, id=delivery)


async def handle(event: Event) -> None:
    """What is done with an event: change this. Here it is kept for GET /events."""
    events = (await service("redis_coordinator", {"action": "get", "key": "webhook_inbox"}))["value"] or []
    events = [event.model_dump(), *events][:KEPT]
    await service("redis_coordinator", {"action": "set", "key": "webhook_inbox", "value": events})


@app.get("/events", response_model=Inbox)
async def list_events() -> Inbox:
    """The last hundred."""
    return Inbox(events=(await service("redis_coordinator", {"action": "get", "key": "webhook_inbox"}))["value"] or [])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
