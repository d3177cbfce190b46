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
# example = {text = "one word after the other", pause = 0.05}
# ///

"""Answer bit by bit as server-sent events, so that whoever asks sees the beginning at once."""

import asyncio
import json
from collections.abc import AsyncIterator

from codewords_client import logger, run_service
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

app = FastAPI(title="Streamed answer", description=__doc__)


class Text(BaseModel):
    text: str = Field(min_length=1, max_length=100_000, description="The text to send back word by word.")
    pause: float = Field(0.05, ge=0, le=5, description="Seconds between two words.")


@app.post("/", responses={200: {"content": {"text/event-stream": {}}}})
async def stream(request: Text) -> StreamingResponse:
    """Send each word as an event `{"index", "word"}`, then an event `done`."""
    return StreamingResponse(events(request), media_type="text/event-stream")


async def events(request: Text) -> AsyncIterator[str]:
    """The events, framed as the protocol wants: a blank line ends each."""
    words = request.text.split()
    logger.info("Streaming", words=len(words))
    for index, word in enumerate(words):
        yield f"data: {json.dumps({'index': index, 'word': word})}\n\n"
        await asyncio.sleep(request.pause)
    yield f"event: done\ndata: {json.dumps({'words': len(words)})}\n\n"


if __name__ == "__main__":
    run_service(app)
