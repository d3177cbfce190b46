"""Python clients as workflows use them, each once over the interception; prints what each got, as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import Callable

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import requests
import urllib3

URL, KEY = sys.argv[1], os.environ["KEY"]
HEADERS = {"Authorization": f"Bearer {KEY}"}
BIG = b"b" * (3 << 20)


async def by_aiohttp() -> str:
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.get(f"{URL}/aiohttp", headers=HEADERS) as reply,
    ):
        return await reply.text()


def by_httpx_2() -> str:
    with httpx.Client(http2=True) as client:
        replies = [client.post(f"{URL}/httpx-h2", headers=HEADERS, content=BIG) for _ in range(3)]
        assert replies[0].http_version == "HTTP/2", replies[0].http_version
        assert len(client.get(f"{URL}/big", headers=HEADERS).content) == 8 << 20
        return replies[2].text


def by_urllib3() -> str:
    pool = urllib3.ProxyManager(os.environ["HTTPS_PROXY"])
    return pool.request("GET", f"{URL}/urllib3", headers=HEADERS).data.decode()


def by_urllib() -> str:
    with urllib.request.urlopen(urllib.request.Request(f"{URL}/urllib", headers=HEADERS)) as reply:
        return str(reply.read().decode())


def by_requests() -> str:
    with requests.Session() as session:
        assert len(session.get(f"{URL}/big", headers=HEADERS).content) == 8 << 20
        session.post(f"{URL}/requests", headers=HEADERS, data=iter([BIG, BIG]))
        return session.get(f"{URL}/requests-basic", auth=(KEY, "")).text


CLIENTS: dict[str, Callable[[], str]] = {
    "requests": by_requests,
    "httpx": lambda: httpx.get(f"{URL}/httpx", headers=HEADERS).text,
    "httpx-h2": by_httpx_2,
    "httpx2": lambda: httpx2.get(f"{URL}/httpx2", headers=HEADERS).text,
    "aiohttp": lambda: asyncio.run(by_aiohttp()),
    "urllib3": by_urllib3,
    "urllib": by_urllib,
    "openai": lambda: repr(openai.OpenAI(api_key=KEY, base_url=f"{URL}/openai").models.list()),
    "anthropic": lambda: repr(anthropic.Anthropic(api_key=KEY, base_url=f"{URL}/anthropic").models.list()),
}
if __name__ == "__main__":
    found = {}
    for name, ask in CLIENTS.items():
        try:
            found[name] = ask()
        except Exception as error:  # noqa: BLE001  # what it is, is the test's result
            found[name] = f"failed: {type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(found))
