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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "CRM_TOKEN"]
# ///

"""Sync the open deals of a CRM into a sheet, page by page, many at once."""

import asyncio
import os
import random

import httpx
from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel

CRM = "https://crm.example/api/v2"
SHEET = "https://sheets.example/v4/rows"
app = FastAPI(title="Deal sync")


class SyncRequest(BaseModel):
    min_value: float = 0
    page_size: int = 2


class SyncReport(BaseModel):
    deals: int
    value: float
    owners: dict[str, int]
    greeting: str
    sample: int


@app.post("/", response_model=SyncReport)
async def sync(request: SyncRequest) -> SyncReport:
    async with httpx.AsyncClient(
        timeout=20, headers={"Authorization": f"Token {os.environ['CRM_TOKEN']}"}
    ) as http:
        deals, cursor = [], ""
        while True:
            params = {"limit": request.page_size, "state": "open"}
            if cursor:
                params["cursor"] = cursor
            page = (await http.get(f"{CRM}/deals", params=params)).json()
            deals += page["items"]
            cursor = page["next"]
            if not cursor:
                break
        deals = [deal for deal in deals if deal["value"] >= request.min_value]
        owners = await asyncio.gather(*(owner_of(http, deal) for deal in deals))
        await asyncio.gather(*(put_row(http, deal, owner) for deal, owner in zip(deals, owners, strict=True)))
    counts: dict[str, int] = {}
    for owner in owners:
        counts[owner] = counts.get(owner, 0) + 1
    return SyncReport(
        deals=len(deals),
        value=sum(deal["value"] for deal in deals),
        owners=counts,
        greeting=random.choice(["Hello", "Hi", "Good day"]),
        sample=random.randint(1, 1_000_000),
    )


async def owner_of(http: httpx.AsyncClient, deal: dict) -> str:
    response = await http.get(f"{CRM}/users/{deal['owner_id']}")
    return response.json()["name"] if response.is_success else "unknown"


async def put_row(http: httpx.AsyncClient, deal: dict, owner: str) -> None:
    await asyncio.sleep(random.random() / 500)
    row = {"key": deal["id"], "cells": [deal["title"], deal["value"], owner]}
    response = await http.post(SHEET, json=row)
    response.raise_for_status()


if __name__ == "__main__":
    run_service(app)
