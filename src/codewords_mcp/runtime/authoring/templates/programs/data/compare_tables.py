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
# example = {before = [{id = 1, price = 10}, {id = 2, price = 5}], after = [{id = 1, price = 12}, {id = 3, price = 1}], key = "id"}
# ///

"""Compare two tables by a key: which rows came, went and changed, and how."""

from typing import Any

from codewords_client import logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI(title="Compare tables", description=__doc__)
Row = dict[str, Any]


class Tables(BaseModel):
    before: list[Row] = Field(max_length=100_000)
    after: list[Row] = Field(max_length=100_000)
    key: str = Field(description="The column that tells rows apart.")
    ignore: list[str] = Field([], description="Columns whose changes do not matter.")


class Change(BaseModel):
    key: str
    before: Row = Field(description="Only the columns that differ.")
    after: Row


class Difference(BaseModel):
    added: list[Row]
    removed: list[Row]
    changed: list[Change]
    same: int


@app.post("/", response_model=Difference)
def compare(tables: Tables) -> Difference:
    """Answers 422 where a key is missing or stands twice in one table."""
    before, after = by_key(tables.before, tables.key, "before"), by_key(tables.after, tables.key, "after")
    both = [key for key in before if key in after]
    changed = [change for key in both if (change := change_of(key, before[key], after[key], set(tables.ignore)))]
    logger.info("Compared", rows=len(after), changed=len(changed))
    return Difference(
        added=[row for key, row in after.items() if key not in before],
        removed=[row for key, row in before.items() if key not in after],
        changed=changed,
        same=len(both) - len(changed),
    )


def by_key(rows: list[Row], key: str, which: str) -> dict[str, Row]:
    """The rows by the value of their key, as text: 1 and "1" are the same."""
    found: dict[str, Row] = {}
    for number, row in enumerate(rows, 1):
        if row.get(key) in {None, ""}:
            raise HTTPException(status_code=422, detail=f"Row {number} of `{which}` has no {key}.")
        if str(row[key]) in found:
            raise HTTPException(status_code=422, detail=f"Row {number} of `{which}` has the {key} of a row before.")
        found[str(row[key])] = row
    return found


def change_of(key: str, before: Row, after: Row, ignore: set[str]) -> Change | None:
    """What differs; None where nothing does."""
    names = [name for name in {**before, **after} if name not in ignore and before.get(name) != after.get(name)]
    if not names:
        return None
    return Change(key=key, before={name: before.get(name) for name in names}, after={name: after.get(name) for name in names})


if __name__ == "__main__":
    run_service(app)
