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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "STRIPE_KEY", "SHOP_TOKEN"]
# ///

"""Pay back returned orders of the last week."""

import logging
import os
import time
import uuid
from datetime import UTC, datetime

import httpx
from codewords_client import run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

log = logging.getLogger("refunds")
app = FastAPI(title="Refunds")


class RefundRequest(BaseModel):
    currency: str = "eur"
    limit: float = 100


class RefundReport(BaseModel):
    refunded: list[str]
    skipped: list[str]
    total: float
    report_id: str
    finished_at: str


@app.post("/", response_model=RefundReport)
async def refund(request: RefundRequest) -> RefundReport:
    since = int(time.time()) - 7 * 86400
    shop = {"Authorization": f"Bearer {os.environ['SHOP_TOKEN']}"}
    stripe = {"Authorization": f"Bearer {os.environ['STRIPE_KEY']}"}
    async with httpx.AsyncClient(timeout=20) as http:
        response = await http.get(
            "https://api.shop.example/orders",
            params={"since": since, "status": "returned"},
            headers=shop,
        )
        if response.is_error:
            raise HTTPException(status_code=502, detail="The shop does not answer.")
        refunded, skipped, total = [], [], 0.0
        for order in response.json()["orders"]:
            if order["amount"] > request.limit:
                skipped.append(order["id"])
                continue
            answer = await http.post(
                "https://api.stripe.com/v1/refunds",
                data={
                    "charge": order["charge"],
                    "amount": round(order["amount"] * 100),
                    "metadata[order]": order["id"],
                },
                headers={**stripe, "Idempotency-Key": str(uuid.uuid4())},
            )
            if answer.is_error:
                log.warning("refund of %s failed", order["id"])
                skipped.append(order["id"])
                continue
            refunded.append(answer.json()["id"])
            total += order["amount"]
        await http.post(
            "https://hooks.chat.example/services/T1/B2",
            json={"text": f"Refunded {len(refunded)} orders, {total:.2f} {request.currency}"},
        )
    return RefundReport(
        refunded=refunded,
        skipped=skipped,
        total=total,
        report_id=uuid.uuid4().hex,
        finished_at=datetime.now(UTC).isoformat(),
    )


if __name__ == "__main__":
    run_service(app)
