"""A workflow that keeps rows in a database of its own."""

from __future__ import annotations

from tests.support.runtime import workflow

KEEPER = workflow(
    """
import json, os, urllib.request

@app.post("/")
async def keep(body: dict):
    request = urllib.request.Request(
        os.environ["CODEWORDS_RUNTIME_URI"] + "/run/database/", json.dumps(body).encode(),
        {"Authorization": os.environ["CODEWORDS_API_KEY"], "Content-Type": "application/json"},
    )
    return json.load(urllib.request.urlopen(request))
""",
    title="Keeper",
)
ROWS = {
    "migrate": ["CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)"],
    "statements": [
        {"sql": "INSERT INTO notes (text) VALUES (?)", "parameters": [word]} for word in ("one", "two")
    ],
}
