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
# example = {number = "2026-017", seller = "Ada Ltd, 1 Mill Lane, London", buyer = "Acme Inc, 5 High Street, Leeds", issued = "2026-05-03", lines = [{text = "Consulting, hours", quantity = 12, price = "95.00", tax_percent = "20"}]}
# ///

"""Make an invoice: exact totals by tax rate and a printable page, kept as a file and mailed if asked."""

import html
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="Invoice", description=__doc__)


class Line(BaseModel):
    text: str
    quantity: Decimal = Field(gt=0)
    price: Decimal = Field(ge=0, description="Of one, without tax.")
    tax_percent: Decimal = Field(Decimal(0), ge=0, le=100)


class Order(BaseModel):
    number: str
    seller: str
    buyer: str
    issued: date
    due_days: int = Field(30, ge=0, le=365)
    currency: str = Field("EUR", pattern="^[A-Z]{3}$")
    lines: list[Line] = Field(min_length=1, max_length=500)
    email: str | None = Field(None, description="Where it is sent.")


class Invoice(BaseModel):
    net: Decimal
    tax: dict[str, Decimal] = Field(description="By rate in percent.")
    gross: Decimal
    due: date
    page: str = Field(description="Link to the printable page.")
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=Invoice)
async def make(order: Order) -> Invoice:
    """Compute the totals, then write, keep and mail the page."""
    logger.info("STEPLOG START compute")
    amounts = [cents(line.quantity * line.price) for line in order.lines]
    by_rate: dict[Decimal, Decimal] = defaultdict(Decimal)
    for line, amount in zip(order.lines, amounts, strict=True):
        by_rate[line.tax_percent] += amount
    net = sum(amounts, Decimal(0))
    tax = {f"{rate.normalize():f}": cents(base * rate / 100) for rate, base in by_rate.items()}
    gross = net + sum(tax.values(), Decimal(0))
    due = order.issued + timedelta(days=order.due_days)
    logger.info("STEPLOG START write")
    page = page_of(order, amounts, net, tax, gross, due)
    async with AsyncCodewordsClient() as client:
        link = await client.upload_file_content(f"invoice-{order.number}.html".replace("/", "-"), page.encode())
    mailed = False
    if order.email:
        logger.info("STEPLOG START mail")
        text = f"Please find your invoice {order.number} of {gross} {order.currency}, due {due}: {link}"
        mailed = (await service("send_email", {"to": order.email, "subject": f"Invoice {order.number}", "text": text, "html": page}))["delivered"]
    return Invoice(net=net, tax=tax, gross=gross, due=due, page=link, mailed=mailed)


def cents(amount: Decimal) -> Decimal:
    """Rounded as invoices are: half a cent goes up."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def page_of(order: Order, amounts: list[Decimal], net: Decimal, tax: dict[str, Decimal], gross: Decimal, due: date) -> str:
    """A page that prints on one sheet."""
    rows = "".join(
        f"<tr><td>{html.escape(line.text)}<td>{line.quantity}<td>{line.price}<td>{amount}"
        for line, amount in zip(order.lines, amounts, strict=True)
    )
    taxes = "".join(f"<tr><td colspan=3>Tax {rate} %<td>{amount}" for rate, amount in tax.items())
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Invoice {html.escape(order.number)}</title>"
        "<style>body{font:16px system-ui;max-width:44rem;margin:2rem auto;padding:0 1rem}table{width:100%;border-collapse:collapse}"
        "td,th{padding:.4rem;border-bottom:1px solid #ccc;text-align:right}td:first-child,th:first-child{text-align:left}</style>"
        f"<p>{html.escape(order.seller)}</p><p>To: {html.escape(order.buyer)}</p>"
        f"<h1>Invoice {html.escape(order.number)}</h1><p>Issued {order.issued}, due {due}</p>"
        f"<table><tr><th>What<th>Quantity<th>Price<th>{order.currency}{rows}"
        f"<tr><td colspan=3>Net<td>{net}{taxes}<tr><th colspan=3>To pay<th>{gross}</table>"
    )


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
