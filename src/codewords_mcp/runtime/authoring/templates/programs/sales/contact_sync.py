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
#   "HUBSPOT_TOKEN"
# ]
# [tool.codewords]
# example = {contacts = [{email = "ada@example.org", firstname = "Ada", company = "Acme"}]}
# ///

"""Send contacts to HubSpot, only those that are new or have changed since the last run, in batches."""

import hashlib
import json
import os
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

HUBSPOT = "https://api.hubapi.com"
BATCH = 100

app = FastAPI(title="Contact sync", description=__doc__)


class Contacts(BaseModel):
    contacts: list[dict[str, str]] = Field(max_length=10_000, description="With `email`; the rest are HubSpot's properties.")


class Synced(BaseModel):
    sent: int
    unchanged: int
    refused: list[str] = Field(description="Contacts without an e-mail address.")


@app.post("/", response_model=Synced)
async def sync(asked: Contacts) -> Synced:
    """Compare with what was sent before, send the rest, remember each batch once HubSpot has it."""
    logger.info("STEPLOG START compare")
    by_email = {one["email"].strip().lower(): one for one in asked.contacts if "@" in one.get("email", "")}
    sent: dict[str, str] = (await service("redis_coordinator", {"action": "get", "key": "contact_sync"}))["value"] or {}
    new = {email: one for email, one in by_email.items() if sent.get(email) != mark(one)}
    logger.info("STEPLOG START send", contacts=len(new))
    emails = list(new)
    async with httpx.AsyncClient(base_url=HUBSPOT, timeout=30) as http:
        for at in range(0, len(emails), BATCH):
            batch = emails[at : at + BATCH]
            await send(http, {email: new[email] for email in batch})
            sent |= {email: mark(new[email]) for email in batch}
            await service("redis_coordinator", {"action": "set", "key": "contact_sync", "value": sent})
    refused = [json.dumps(one, ensure_ascii=False)[:100] for one in asked.contacts if "@" not in one.get("email", "")]
    return Synced(sent=len(new), unchanged=len(by_email) - len(new), refused=refused)


def mark(contact: dict[str, str]) -> str:
    """Equal for equal contacts."""
    return hashlib.sha256(json.dumps(contact, sort_keys=True).encode()).hexdigest()[:16]


async def send(http: httpx.AsyncClient, contacts: dict[str, dict[str, str]]) -> None:
    """Add or change them. Answers 502 where HubSpot refuses."""
    inputs = [
        {"id": email, "idProperty": "email", "properties": {**one, "email": email}} for email, one in contacts.items()
    ]
    key = {"Authorization": f"Bearer {os.environ['HUBSPOT_TOKEN']}"}
    try:
        reply = await http.post("/crm/v3/objects/contacts/batch/upsert", json={"inputs": inputs}, headers=key)
    except httpx.HTTPError as error:
        raise HTTPException(status_code=502, detail="HubSpot cannot be reached.") from error
    if reply.is_error:
        raise HTTPException(status_code=502, detail=f"HubSpot answered {reply.status_code}: check HUBSPOT_TOKEN and the properties.")


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
