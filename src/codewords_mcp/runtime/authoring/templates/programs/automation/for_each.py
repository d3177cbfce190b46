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
# example = {workflow = "greeting_99115e9a", items = [{name = "Ada"}, {name = "Bob"}]}
# ///

"""Run another workflow for each item of a list, several at a time, and collect the answers and the failures."""

import asyncio
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="For each", description=__doc__)


class Items(BaseModel):
    workflow: str = Field(pattern=r"^\w{1,80}$", description="The id of the workflow that is run.")
    items: list[dict[str, Any]] = Field(min_length=1, max_length=1000, description="Its inputs.")
    at_once: int = Field(5, ge=1, le=50)


class Outcome(BaseModel):
    position: int
    answer: Any = None
    problem: str | None = None


class Outcomes(BaseModel):
    outcomes: list[Outcome] = Field(description="In the order of the items.")
    failed: int


@app.post("/", response_model=Outcomes)
async def run_each(asked: Items) -> Outcomes:
    """One run an item. An item that fails does not end the others."""
    logger.info("STEPLOG START items", count=len(asked.items))
    turns = asyncio.Semaphore(asked.at_once)
    outcomes = await asyncio.gather(*(run_one(asked.workflow, n, one, turns) for n, one in enumerate(asked.items)))
    return Outcomes(outcomes=outcomes, failed=sum(one.problem is not None for one in outcomes))


async def run_one(workflow: str, position: int, inputs: dict[str, Any], turns: asyncio.Semaphore) -> Outcome:
    """Write the workflow's id here as text, "greeting_99115e9a", and this may call that one only."""
    try:
        async with turns, AsyncCodewordsClient() as client:
            reply = await client.run(service_id=workflow, path="", inputs=inputs)
            reply.raise_for_status()
    except httpx.HTTPStatusError as error:
        return Outcome(position=position, problem=f"It answered {error.response.status_code}.")
    return Outcome(position=position, answer=reply.json())


if __name__ == "__main__":
    run_service(app)
