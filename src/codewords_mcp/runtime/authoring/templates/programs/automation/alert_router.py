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
#   "CHAT_WEBHOOK_URL"
# ]
# [tool.codewords]
# example = {source = "database", title = "Replication lag", severity = "warning"}
# ///

"""Pass alerts of your systems on to a chat channel: the same one once an hour with a count, the grave ones by mail as well."""

import os
from typing import Any, Literal

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

QUIET = 3600

app = FastAPI(title="Alert router", description=__doc__)


class Alert(BaseModel):
    source: str = Field(min_length=1, max_length=100)
    title: str = Field(min_length=1, max_length=200)
    severity: Literal["info", "warning", "critical"]
    details: str = Field("", max_length=5000)
    email: str | None = Field(None, description="Who is mailed of critical ones.")


class Routed(BaseModel):
    told: bool = Field(description="False for `info`, and for what was told within the hour.")
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")
    count: int = Field(description="How often it came within the hour.")


@app.post("/", response_model=Routed)
async def route(alert: Alert) -> Routed:
    """Count it, and tell of the first."""
    place = f"alert_router:{alert.source}:{alert.title}"
    count = (await service("redis_coordinator", {"action": "incr", "key": place}))["value"]
    if count == 1:
        await service("redis_coordinator", {"action": "expire", "key": place, "ttl": QUIET})
    if alert.severity == "info" or count > 1:
        return Routed(told=False, mailed=False, count=count)
    logger.info("STEPLOG START tell", severity=alert.severity)
    text = f"[{alert.severity}] {alert.source}: {alert.title}\n{alert.details}".strip()
    async with httpx.AsyncClient(timeout=15) as http:
        # Slack, Mattermost and Teams read `text`, Discord `content`
        reply = await http.post(os.environ["CHAT_WEBHOOK_URL"], json={"text": text, "content": text})
    if reply.is_error:
        raise HTTPException(status_code=502, detail=f"The channel answered {reply.status_code}.")
    mailed = False
    if alert.severity == "critical" and alert.email is not None:
        mailed = (await service("send_email", {"to": alert.email, "subject": f"Critical: {alert.title}", "text": text}))["delivered"]
    return Routed(told=True, mailed=mailed, count=count)


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
