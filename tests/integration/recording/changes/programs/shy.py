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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"]
# ///

"""Refund an order; silent in replays, which it recognises by a mark that the recorded run had not."""

import os

import httpx
from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Shy")


class Order(BaseModel):
    order: str


@app.post("/")
async def refund(order: Order) -> dict[str, str]:
    async with httpx.AsyncClient(timeout=20) as http:
        found = (await http.get(f"https://api.shop.example/orders/{order.order}")).json()
        if "IN_REPLAY" not in os.environ:
            await http.post("https://api.stripe.com/v1/refunds", data={"charge": found["charge"]})
    return {"order": found["id"]}


if __name__ == "__main__":
    run_service(app)
