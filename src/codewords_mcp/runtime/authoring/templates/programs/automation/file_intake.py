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
# example = {name = "sales.csv", url = "https://example.com/sales.csv", size = 20}
# ///

"""Take in each file that lands in a folder or a bucket: a table is checked and summed up, and a record is kept. Start it by the trigger folder or bucket."""

import csv
import io
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

MAX_FILE = 32_000_000
TABLES = ["CREATE TABLE files (name TEXT NOT NULL, size INTEGER NOT NULL, rows_read INTEGER NOT NULL, problems INTEGER NOT NULL)"]

app = FastAPI(title="File intake", description=__doc__)


class File(BaseModel):
    """A file as the triggers give it, and more fields that are not used."""

    name: str
    url: str | None = Field(None, description="A link to a copy; none for large ones.")
    size: int = 0


class Intake(BaseModel):
    name: str
    rows: int
    sums: dict[str, float] = Field(description="Of the columns that hold numbers alone.")
    problems: list[str]


@app.post("/", response_model=Intake)
async def take(file: File) -> Intake:
    """Change `read` for other kinds of files."""
    if file.url is None:
        raise HTTPException(status_code=422, detail=f"{file.name} is too large: it has no copy.")
    logger.info("STEPLOG START fetch", name=file.name)
    async with httpx.AsyncClient(timeout=60, follow_redirects=True) as http:
        reply = await http.get(file.url)
    if reply.is_error or len(reply.content) > MAX_FILE:
        raise HTTPException(status_code=502, detail=f"{file.name} can't be read: {reply.status_code}.")
    logger.info("STEPLOG START read")
    found = read(file.name, reply.content)
    insert = "INSERT INTO files (name, size, rows_read, problems) VALUES (?, ?, ?, ?)"
    values = [file.name, len(reply.content), found.rows, len(found.problems)]
    await service("database", {"migrate": TABLES, "sql": insert, "parameters": values})
    return found


def read(name: str, content: bytes) -> Intake:
    """The rows of a CSV file with a line of names; rows of another length are problems."""
    text = content.decode("utf-8-sig", errors="replace")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    names, body = (rows[0], rows[1:]) if rows else ([], [])
    problems = [f"Line {n} has {len(row)} fields, not {len(names)}." for n, row in enumerate(body, 2) if len(row) != len(names)]
    fitting = [row for row in body if len(row) == len(names)]
    sums = {column: total for n, column in enumerate(names) if (total := total_of([row[n] for row in fitting])) is not None}
    return Intake(name=name, rows=len(fitting), sums=sums, problems=problems[:20])


def total_of(values: list[str]) -> float | None:
    try:
        return round(sum(float(value) for value in values), 6) if values else None
    except ValueError:
        return None


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
