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
# example = {texts = ["the tide goes out", "the tide comes in"], top = 2}
# ///

"""Count the words of many texts at once, announcing each step and logging what happens."""

import asyncio
from collections import Counter

from codewords_client import logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

AT_ONCE = 5

app = FastAPI(title="Parallel steps", description=__doc__)


class Texts(BaseModel):
    texts: list[str] = Field(min_length=1, max_length=1000, description="The texts to count, one item each.")
    top: int = Field(3, ge=1, le=50, description="How many of the most frequent words to name.")


class Counted(BaseModel):
    words_per_text: list[int]
    words: int
    most_frequent: dict[str, int]


@app.post("/", response_model=Counted)
async def count(request: Texts) -> Counted:
    """Count the words of each text and name the most frequent ones."""
    logger.info("STEPLOG START count")
    turns = asyncio.Semaphore(AT_ONCE)
    counters = await asyncio.gather(*(count_one(number, text, turns) for number, text in enumerate(request.texts)))

    logger.info("STEPLOG START merge")
    total = sum(counters, Counter())
    logger.info("Counted", texts=len(counters), words=total.total())
    return Counted(
        words_per_text=[counter.total() for counter in counters],
        words=total.total(),
        most_frequent=dict(total.most_common(request.top)),
    )


async def count_one(number: int, text: str, turns: asyncio.Semaphore) -> Counter[str]:
    """The words of one text; at most AT_ONCE are counted at a time."""
    async with turns:
        counter = await asyncio.to_thread(lambda: Counter(text.lower().split()))
        logger.debug("Counted a text", number=number, words=counter.total())
        return counter


if __name__ == "__main__":
    run_service(app)
