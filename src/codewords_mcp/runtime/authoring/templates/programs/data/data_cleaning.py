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
# example = {rows = [{name = " Ada  Lovelace ", email = "ADA@Example.org", since = "10.12.1815"}, {name = "Ada Lovelace", email = "ada@example.org", since = "1815-12-10"}], key = "email", emails = ["email"], dates = ["since"]}
# ///

"""Clean the rows of a table: spaces, e-mail addresses, dates and doubles; and say what was changed."""

import re
from datetime import datetime
from typing import Any

from codewords_client import logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %B %Y", "%B %d, %Y", "%Y-%m-%dT%H:%M:%S")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

app = FastAPI(title="Data cleaning", description=__doc__)


class Table(BaseModel):
    rows: list[dict[str, Any]] = Field(max_length=50_000, description="One object a row.")
    key: str | None = Field(None, description="Rows with the same value here are one; the first wins, later ones fill its gaps.")
    emails: list[str] = Field([], description="Columns with e-mail addresses.")
    dates: list[str] = Field([], description="Columns with dates; 1/2/2026 is read as the first of February.")


class Problem(BaseModel):
    row: int = Field(description="From 1.")
    column: str
    value: str
    problem: str


class Cleaned(BaseModel):
    rows: list[dict[str, Any]]
    changed_cells: int
    merged_rows: int
    problems: list[Problem]


@app.post("/", response_model=Cleaned)
def clean(table: Table) -> Cleaned:
    """Clean every cell, then put doubles together."""
    logger.info("STEPLOG START clean")
    problems: list[Problem] = []
    changed = 0
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(table.rows, 1):
        cells: dict[str, Any] = {}
        for column, value in row.items():
            cells[column], problem = clean_cell(value, email=column in table.emails, date=column in table.dates)
            changed += cells[column] != value
            if problem:
                problems.append(Problem(row=number, column=column, value=str(value)[:100], problem=problem))
        rows.append(cells)
    logger.info("STEPLOG START merge")
    merged = merge(rows, table.key) if table.key else rows
    return Cleaned(rows=merged, changed_cells=changed, merged_rows=len(rows) - len(merged), problems=problems)


def clean_cell(value: Any, *, email: bool, date: bool) -> tuple[Any, str]:
    """(the value, what is wrong with it); empty text becomes nothing."""
    if not isinstance(value, str):
        return value, ""
    text = " ".join(value.split())
    if not text:
        return None, ""
    if email:
        return text.lower(), "" if EMAIL.fullmatch(text) else "not an e-mail address"
    return clean_date(text) if date else (text, "")


def clean_date(text: str) -> tuple[str, str]:
    """A date as YYYY-MM-DD; as it was where it cannot be read."""
    for form in DATES:
        try:
            return datetime.strptime(text, form).date().isoformat(), ""
        except ValueError:
            continue
    return text, "not a date that is known"


def merge(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """One row for each value of the key; rows without one stay."""
    found: dict[Any, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        kept = found.setdefault(("row", number) if row.get(key) is None else str(row[key]), {})
        kept.update({column: value for column, value in row.items() if kept.get(column) is None})
    return list(found.values())


if __name__ == "__main__":
    run_service(app)
