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
# example = {title = "Laptop for Bob", amount = 1450, approver = "ada@example.org"}
# ///

"""Ask for an approval: a request is kept and its code mailed to the approver; whoever runs this enters the decision, once."""

import secrets
from datetime import UTC, datetime
from typing import Any, Literal

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

KEPT = 90 * 86400

app = FastAPI(title="Approvals", description=__doc__)


class Request(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    amount: float | None = None
    details: str = Field("", max_length=10_000)
    approver: str = Field(description="E-mail address of who decides.")
    automatic_below: float | None = Field(None, description="Amounts below this are approved at once.")


class Decision(BaseModel):
    id: str
    code: str = Field(description="From the mail.")
    approve: bool
    comment: str = Field("", max_length=2000)


class State(BaseModel):
    id: str
    title: str
    status: Literal["waiting", "approved", "declined"]
    comment: str = ""
    decided_at: str | None = None
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=State)
async def ask_for(asked: Request) -> State:
    """Keep the request and mail its code to the approver."""
    state = State(id=secrets.token_hex(8), title=asked.title, status="waiting")
    if asked.automatic_below is not None and asked.amount is not None and asked.amount < asked.automatic_below:
        state = decided(state, approve=True, comment="below the limit")
        await keep(state, "")
        return state
    logger.info("STEPLOG START mail")
    code = secrets.token_urlsafe(9)
    await keep(state, code)
    lines = [asked.title, *([f"Amount: {asked.amount:.2f}"] if asked.amount is not None else []), asked.details]
    # /decide takes a key of the runtime, which an approver elsewhere does not have: the code tells whose decision it is
    lines.append(f"To decide, answer yes or no with this code: {code}. Request {state.id}; your answer is entered at /decide of this workflow.")
    mail = {"to": asked.approver, "subject": f"To approve: {asked.title}", "text": "\n\n".join(filter(None, lines))}
    state.mailed = (await service("send_email", mail))["delivered"]
    await keep(state, code)
    return state


@app.post("/decide", response_model=State)
async def decide(asked: Decision) -> State:
    """Answers 403 for a wrong code, 409 where it is decided already."""
    kept = await load(asked.id)
    if not kept["code"] or not secrets.compare_digest(kept["code"].encode(), asked.code.encode()):
        raise HTTPException(status_code=403, detail="The code is not that of this request.")
    if kept["state"]["status"] != "waiting":
        raise HTTPException(status_code=409, detail=f"It is {kept['state']['status']} already.")
    state = decided(State(**kept["state"]), approve=asked.approve, comment=asked.comment)
    await keep(state, kept["code"])
    return state


@app.get("/requests/{request_id}", response_model=State)
async def look_up(request_id: str) -> State:
    """How it stands."""
    return State(**(await load(request_id))["state"])


def decided(state: State, *, approve: bool, comment: str) -> State:
    """The state after a decision, now."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return state.model_copy(update={"status": "approved" if approve else "declined", "comment": comment, "decided_at": at})


async def keep(state: State, code: str) -> None:
    """For ninety days."""
    value = {"state": state.model_dump(), "code": code}
    await service("redis_coordinator", {"action": "set", "key": f"approvals:{state.id}", "value": value, "ttl": KEPT})


async def load(request_id: str) -> dict[str, Any]:
    """Answers 404 for one that there is not."""
    found = await service("redis_coordinator", {"action": "get", "key": f"approvals:{request_id}"[:500]})
    if found["value"] is None:
        raise HTTPException(status_code=404, detail="There is no request of this id.")
    return found["value"]


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
