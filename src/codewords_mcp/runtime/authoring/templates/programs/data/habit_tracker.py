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
# example = {name = "running", amount = 5, day = "2026-05-03"}
# ///

"""Keep a list in a database of its own: note what happened each day, and see streaks and sums; for habits, stock or expenses."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

TABLES = ["CREATE TABLE notes (name TEXT NOT NULL, day TEXT NOT NULL, amount REAL NOT NULL, PRIMARY KEY (name, day))"]
ADD = "INSERT INTO notes (name, day, amount) VALUES (:name, :day, :amount) ON CONFLICT (name, day) DO UPDATE SET amount = notes.amount + excluded.amount"

app = FastAPI(title="Habit tracker", description=__doc__)


class Note(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    amount: float = Field(1, description="Added to what the day has; negative to take away.")
    day: date | None = Field(None, description="Today, in UTC, unless it is given.")


class Standing(BaseModel):
    name: str
    total: float
    days: int
    streak: int = Field(description="Days in a row until the last one.")


class Standings(BaseModel):
    items: list[Standing]


@app.post("/", response_model=Standing)
async def note(asked: Note) -> Standing:
    """Add it, and say how the name stands."""
    day = asked.day or datetime.now(UTC).date()
    logger.info("STEPLOG START note", name=asked.name)
    await service("database", {"migrate": TABLES, "sql": ADD, "parameters": {"name": asked.name, "day": day.isoformat(), "amount": asked.amount}})
    return standing(asked.name, await rows(asked.name))


@app.get("/all", response_model=Standings)
async def show() -> Standings:
    """Every name."""
    found = await rows(None)
    names = sorted({row["name"] for row in found})
    return Standings(items=[standing(name, [row for row in found if row["name"] == name]) for name in names])


async def rows(name: str | None) -> list[dict[str, Any]]:
    select = "SELECT name, day, amount FROM notes WHERE name = :name OR :name IS NULL ORDER BY day DESC LIMIT 10000"
    return (await service("database", {"migrate": TABLES, "sql": select, "parameters": {"name": name}}))["rows"]


def standing(name: str, found: list[dict[str, Any]]) -> Standing:
    days = [date.fromisoformat(row["day"]) for row in found if row["amount"]]
    streak = 0
    while streak < len(days) and days[streak] == days[0] - timedelta(days=streak):
        streak += 1
    return Standing(name=name, total=sum(row["amount"] for row in found), days=len(days), streak=streak)


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
