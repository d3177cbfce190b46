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
# example = {text = "city,people\nOslo,717710\n", source = "csv", target = "markdown"}
# ///

"""Convert a table between CSV, JSON, JSON lines, Markdown and HTML."""

import csv
import html
import io
import json
from typing import Any, Literal

from codewords_client import run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI(title="Convert a table", description=__doc__)


class Conversion(BaseModel):
    text: str = Field(min_length=1, max_length=5_000_000)
    source: Literal["csv", "json", "jsonl"]
    target: Literal["csv", "json", "jsonl", "markdown", "html"]
    delimiter: str = Field(",", min_length=1, max_length=1, description="Of CSV, read and written.")


class Converted(BaseModel):
    text: str
    rows: int
    columns: list[str]


@app.post("/", response_model=Converted)
def convert(asked: Conversion) -> Converted:
    """Read the table in one form and write it in the other."""
    try:
        rows = read(asked)
    except (ValueError, csv.Error) as error:
        raise HTTPException(status_code=422, detail=f"This is not {asked.source}: {error}") from error
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Converted(text=write(asked, rows, columns), rows=len(rows), columns=columns)


def read(asked: Conversion) -> list[dict[str, Any]]:
    """The rows as objects."""
    if asked.source == "csv":
        return list(csv.DictReader(io.StringIO(asked.text), delimiter=asked.delimiter, restkey="more", strict=True))
    if asked.source == "jsonl":
        rows = [json.loads(line) for line in asked.text.splitlines() if line.strip()]
    else:
        rows = json.loads(asked.text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("a list of objects is needed")
    return rows


def write(asked: Conversion, rows: list[dict[str, Any]], columns: list[str]) -> str:
    """The rows in the form that is asked for."""
    if asked.target == "json":
        return json.dumps(rows, ensure_ascii=False, indent=2)
    if asked.target == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    cells = [[text_of(row.get(name)) for name in columns] for row in rows]
    if asked.target == "csv":
        out = io.StringIO()
        csv.writer(out, delimiter=asked.delimiter, lineterminator="\n").writerows([columns, *cells])
        return out.getvalue()
    if asked.target == "markdown":
        lines = [columns, ["---"] * len(columns), *cells]
        return "".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n" for line in lines)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>\n" for line in cells)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def text_of(value: Any) -> str:
    """A cell as text; nested values as JSON."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    run_service(app)
