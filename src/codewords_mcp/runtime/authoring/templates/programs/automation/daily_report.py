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
# example = {email = "you@example.com", numbers = {orders = 41, revenue = 1830.5}}
# ///

"""Keep numbers day by day and mail how they moved; it can put itself on a schedule."""

import os
from datetime import UTC, datetime
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

KEPT = 400

app = FastAPI(title="Daily report", description=__doc__)


class Numbers(BaseModel):
    numbers: dict[str, float] = Field(min_length=1, max_length=50)
    email: str | None = None


class Move(BaseModel):
    name: str
    value: float
    before: float | None
    percent: float | None = Field(description="Against the last day; null without one.")
    week_mean: float


class Report(BaseModel):
    day: str
    moves: list[Move]
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


class Plan(BaseModel):
    cron: str = Field("0 7 * * *", description="When, as five fields.")
    timezone: str = "UTC"
    numbers: dict[str, float] = Field(min_length=1, max_length=50)
    email: str


class Planned(BaseModel):
    schedule_id: str
    next_run_at: str | None


@app.post("/", response_model=Report)
async def report(asked: Numbers) -> Report:
    """Keep today's numbers, compare them with the days before, and mail the table."""
    logger.info("STEPLOG START keep")
    day = datetime.now(UTC).date().isoformat()
    days: dict[str, dict[str, float]] = (
        await service("redis_coordinator", {"action": "get", "key": "daily_report"})
    )["value"] or {}
    past = [numbers for name, numbers in sorted(days.items()) if name != day]
    moves = [move(name, value, [one[name] for one in past if name in one]) for name, value in asked.numbers.items()]
    days = dict(sorted((days | {day: asked.numbers}).items())[-KEPT:])
    await service("redis_coordinator", {"action": "set", "key": "daily_report", "value": days})
    mailed = False
    if asked.email:
        logger.info("STEPLOG START mail")
        lines = [f"{one.name}: {one.value:g}" + (f" ({one.percent:+.1f} %)" if one.percent is not None else "") for one in moves]
        mailed = (await service("send_email", {"to": asked.email, "subject": f"Report of {day}", "text": "\n".join(lines)}))["delivered"]
    return Report(day=day, moves=moves, mailed=mailed)


def move(name: str, value: float, past: list[float]) -> Move:
    """How a number moved."""
    before = past[-1] if past else None
    percent = None if not before else round((value - before) / abs(before) * 100, 2)
    week = [*past[-6:], value]
    return Move(name=name, value=value, before=before, percent=percent, week_mean=round(sum(week) / len(week), 4))


@app.post("/plan", response_model=Planned)
async def plan(asked: Plan) -> Planned:
    """Run by itself from now on."""
    wanted = {
        "service_id": os.environ["SERVICE_ID"],
        "cron_expression": asked.cron,
        "timezone": asked.timezone,
        "input_data": {"numbers": asked.numbers, "email": asked.email},
    }
    made = await service("schedule_runs", wanted)
    return Planned(schedule_id=made["schedule_id"], next_run_at=made["next_run_at"])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
