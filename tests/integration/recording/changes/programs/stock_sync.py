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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "STOCK_TOKEN"]
# ///

"""Order what has run low: reads a warehouse by GraphQL, reserves by a mutation, and writes a log of lines."""

import asyncio
import json
import os
import secrets
import time
from datetime import UTC, datetime, timedelta

import httpx
from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel

GRAPH = "https://stock.example/graphql"
LOG = "https://log.example/lines"
QUERY = "query Low($below: Int!) { items(below: $below) { sku left tags } }"
MUTATION = "mutation Order($sku: String!, $count: Int!, $due: String!) { order(sku: $sku, count: $count, due: $due) { number } }"
app = FastAPI(title="Stock sync")


class Bounds(BaseModel):
    below: int = 10
    refill: int = 50


@app.post("/")
async def sync(bounds: Bounds) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {os.environ['STOCK_TOKEN']}", "X-Nonce": secrets.token_urlsafe(12)}
    due = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    async with httpx.AsyncClient(timeout=20, headers=headers) as http:
        low = await graph(http, QUERY, {"below": bounds.below})
        items = low["items"]

        async def order(item: dict) -> dict:
            count = bounds.refill - item["left"]
            found = await graph(http, MUTATION, {"sku": item["sku"], "count": count, "due": due})
            return {"sku": item["sku"], "number": found["order"]["number"], "count": count}

        orders = await asyncio.gather(*(order(item) for item in items))
        lines = "".join(json.dumps({"at": time.time(), **one}) + "\n" for one in orders)
        logged = await http.post(LOG, content=lines, headers={"content-type": "application/x-ndjson"})
    tags = {tag for item in items for tag in item["tags"]}
    return {
        "orders": orders,
        "tags": list(tags),
        "logged": logged.status_code,
        "batch": secrets.token_hex(8),
        "due": due,
    }


async def graph(http: httpx.AsyncClient, query: str, variables: dict) -> dict:
    for attempt in range(3):
        response = await http.post(GRAPH, json={"query": query, "variables": variables})
        if response.status_code != 503:
            break
        await asyncio.sleep(0.01 * 2**attempt)
    response.raise_for_status()
    return response.json()["data"]


if __name__ == "__main__":
    run_service(app)
