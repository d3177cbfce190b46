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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "OPENAI_BASE_URL", "OPENAI_API_KEY", "DESK_TOKEN"]
# [tool.codewords]
# services = ["openai", "pipedream"]
# ///

"""Analyse a support ticket with a model and write the result into the help desk."""

import json
import os
import uuid
from datetime import UTC, datetime

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel

DESK = "https://desk.example/api/tickets"
app = FastAPI(title="Ticket desk")


class TicketRequest(BaseModel):
    ticket_id: str
    subject: str
    content: str
    tier: str = "standard"


class TicketResponse(BaseModel):
    ticket_id: str
    category: str
    priority: str
    team: str
    trace_id: str


TEAMS = {"billing": "finance", "technical": "engineering"}


@app.post("/", response_model=TicketResponse)
async def analyse(ticket: TicketRequest) -> TicketResponse:
    trace_id = str(uuid.uuid4())
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(
            f"{os.environ['OPENAI_BASE_URL']}/chat/completions",
            json={
                "model": "gpt-4o-mini",
                "temperature": 0.2,
                "messages": [
                    {
                        "role": "system",
                        "content": f"You sort tickets. Now it is {datetime.now(UTC).isoformat()}.",
                    },
                    {
                        "role": "user",
                        "content": f"Tier: {ticket.tier}\nSubject: {ticket.subject}\n{ticket.content}",
                    },
                ],
            },
            headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
        )
        answer.raise_for_status()
        found = json.loads(answer.json()["choices"][0]["message"]["content"])
        team = TEAMS.get(found["category"], "support")
        try:
            update = await http.patch(
                f"{DESK}/{ticket.ticket_id}",
                json={
                    "category": found["category"],
                    "priority": found["priority"],
                    "team": team,
                    "trace_id": trace_id,
                },
                headers={"Authorization": f"Bearer {os.environ['DESK_TOKEN']}", "X-Request-Id": trace_id},
            )
            update.raise_for_status()
        except httpx.HTTPError as error:
            logger.error("the help desk was not updated", error=str(error))
    if found["priority"] == "urgent":
        async with AsyncCodewordsClient() as client:
            await client.run(
                service_id="pipedream",
                inputs={
                    "app_slug": "slack",
                    "action_name": "send-message",
                    "props": {"channel": "#support", "text": f"Urgent: {ticket.subject}"},
                },
            )
    return TicketResponse(
        ticket_id=ticket.ticket_id,
        category=found["category"],
        priority=found["priority"],
        team=team,
        trace_id=trace_id,
    )


if __name__ == "__main__":
    run_service(app)
