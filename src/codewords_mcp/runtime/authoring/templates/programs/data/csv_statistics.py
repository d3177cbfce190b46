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
# example = {csv_text = "city,population\nLagos,15388000\nLima,10092000\nOslo,717710\n"}
# ///

"""Describe a CSV table: its columns, what they hold, and the statistics of the numeric ones."""

import csv
import io
import statistics

from codewords_client import logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI(title="CSV statistics", description=__doc__)


class Table(BaseModel):
    csv_text: str = Field(min_length=1, description="The table as CSV text; its first row names the columns.")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Found out where it is not given.")


class Numbers(BaseModel):
    minimum: float
    maximum: float
    mean: float
    median: float


class Column(BaseModel):
    name: str
    filled: int
    different: int
    numbers: Numbers | None = Field(None, description="Only where every filled cell is a number.")


class Summary(BaseModel):
    rows: int
    columns: list[Column]


@app.post("/", response_model=Summary)
def describe(table: Table) -> Summary:
    """Describe each column of the table."""
    rows = read(table)
    names, cells = rows[0], rows[1:]
    logger.info("Read the table", rows=len(cells), columns=len(names))
    columns = [describe_column(name, [row[index].strip() for row in cells if index < len(row)]) for index, name in enumerate(names)]
    return Summary(rows=len(cells), columns=columns)


def read(table: Table) -> list[list[str]]:
    """All rows that are not empty. Answers 422 where there is no table in the text."""
    try:
        delimiter = table.delimiter or csv.Sniffer().sniff(table.csv_text[:4096], ",;\t|").delimiter
    except csv.Error:
        delimiter = ","
    try:
        rows = [row for row in csv.reader(io.StringIO(table.csv_text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise HTTPException(status_code=422, detail=f"This is not CSV: {error}") from error
    if not rows:
        raise HTTPException(status_code=422, detail="The text has no rows.")
    return rows


def describe_column(name: str, cells: list[str]) -> Column:
    """One column; empty cells count as missing."""
    filled = [cell for cell in cells if cell]
    return Column(name=name, filled=len(filled), different=len(set(filled)), numbers=describe_numbers(filled))


def describe_numbers(cells: list[str]) -> Numbers | None:
    """The statistics of cells that are all numbers, else None."""
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    if not values or not all(abs(value) < float("inf") for value in values):
        return None
    return Numbers(minimum=min(values), maximum=max(values), mean=statistics.fmean(values), median=statistics.median(values))


if __name__ == "__main__":
    run_service(app)
