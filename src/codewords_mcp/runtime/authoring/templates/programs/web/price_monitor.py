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
# example = {url = "https://example.com/product", below = 50.0, email = "you@example.com"}
# ///

"""Watch a product's price as its shop declares it, keep its history, and mail when it falls."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

DATA = re.compile(r"<script[^>]*application/ld\+json[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
META = re.compile(r'<meta[^>]*(?:product:price:amount|itemprop="price")[^>]*content="([\d.,]+)"', re.IGNORECASE)
KEPT = 365

app = FastAPI(title="Price monitor", description=__doc__)


class Watch(BaseModel):
    url: str
    below: float | None = Field(None, gt=0, description="Tell only of prices below this; otherwise of every fall.")
    email: str | None = None


class Price(BaseModel):
    price: float
    currency: str | None
    before: float | None = Field(description="At the last run.")
    lowest: float
    told: bool = Field(description="Whether a mail server took the mail; without one it waits in the outbox.")


@app.post("/", response_model=Price)
async def watch(asked: Watch) -> Price:
    """Read the price, compare it with the history, and mail if it is time. Run it by a schedule."""
    logger.info("STEPLOG START read")
    page = await service("firecrawl", {"url": asked.url, "formats": ["rawHtml"], "onlyMainContent": False})
    if not page["success"]:
        raise HTTPException(status_code=502, detail="The page cannot be read.")
    price, currency = price_of(page["data"]["rawHtml"])
    logger.info("STEPLOG START compare", price=price)
    place = f"price_monitor:{asked.url}"[:500]
    history: list[list[Any]] = (await service("redis_coordinator", {"action": "get", "key": place}))["value"] or []
    before = history[-1][1] if history else None
    fell = before is None or price < before
    tell = bool(asked.email) and fell and (price < asked.below if asked.below else before is not None)
    mailed = False
    if tell:
        logger.info("STEPLOG START mail")
        text = f"{price} {currency or ''}, before {before or 'unknown'}: {asked.url}"
        mailed = (await service("send_email", {"to": asked.email, "subject": "The price has fallen", "text": text}))["delivered"]
    history = [*history, [datetime.now(UTC).isoformat(timespec="seconds"), price]][-KEPT:]
    await service("redis_coordinator", {"action": "set", "key": place, "value": history})
    return Price(price=price, currency=currency, before=before, lowest=min(one[1] for one in history), told=mailed)


def price_of(page: str) -> tuple[float, str | None]:
    """What the page declares for machines: schema.org, else a meta tag. Answers 422 where it does neither."""
    for block in DATA.findall(page):
        try:
            data = json.loads(block)
        except ValueError:
            continue
        for offer in offers(data):
            price = offer.get("price", offer.get("lowPrice"))
            if price is not None:
                return number(str(price)), offer.get("priceCurrency")
    if found := META.search(page):
        return number(found[1]), None
    raise HTTPException(status_code=422, detail="The page declares no price that programs can read.")


def number(text: str) -> float:
    """1,204.50 and 1.204,50 are the same. Answers 422 for what is no number."""
    plain = re.sub(r"[^\d.,]", "", text)
    if re.search(r",\d{1,2}$", plain):
        plain = plain.replace(".", "").replace(",", ".")
    try:
        return float(plain.replace(",", ""))
    except ValueError as error:
        raise HTTPException(status_code=422, detail="The declared price is no number.") from error


def offers(data: Any) -> list[dict[str, Any]]:
    """Every object with a price, wherever it is nested."""
    if isinstance(data, list):
        return [one for part in data for one in offers(part)]
    if not isinstance(data, dict):
        return []
    own = [data] if {"price", "lowPrice"} & data.keys() else []
    return own + [one for part in data.values() for one in offers(part)]


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
