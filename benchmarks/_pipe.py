"""The peer of gateway.py: a bare pipe, Starlette and aiohttp, that swaps the key and forwards; it counts nothing.

python _pipe.py PORT UPSTREAM
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

PORT, UPSTREAM = int(sys.argv[1]), sys.argv[2]
_DROPPED = {"host", "content-length", "authorization", "accept-encoding"}
_session: list[aiohttp.ClientSession] = []


async def pipe(request: Request) -> StreamingResponse:
    if not _session:
        _session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False))
    headers = {name: value for name, value in request.headers.items() if name not in _DROPPED}
    body = await request.body()
    url = UPSTREAM + "/v1/" + request.path_params["path"]
    answer = await _session[0].request(
        request.method, url, headers=headers | {"authorization": "Bearer sk"}, data=body
    )

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in answer.content.iter_any():
            yield chunk
        answer.release()

    return StreamingResponse(chunks(), answer.status, {"content-type": answer.headers["content-type"]})


app = Starlette(routes=[Route("/openai/{path:path}", pipe, methods=["POST"])])
uvicorn.run(app, port=PORT, log_level="error", access_log=False, loop="uvloop", http="httptools")
