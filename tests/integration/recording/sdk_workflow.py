# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportCallIssue=false, reportArgumentType=false
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "fastapi==0.115.12", "uvicorn[standard]==0.34.2", "openai==3.57.0", "anthropic==2.14.0", "google-genai==3.6.1",
#   "requests", "httpx[http2]", "httpx2", "aiohttp", "urllib3", "botocore", "firecrawl-py==4.55.0", "websockets",
# ]
# [tool.env-checker]
# env_vars = ["PORT=8000", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"]
# [tool.codewords]
# hosts = ["*"]
# services = ["firecrawl"]
# ///
"""A workflow that asks hosts, models and a service by the SDKs that people use, each unmodified.

Those that one test asks for are imported there: the replays of the others start without them, dozens of times.
"""

import asyncio
import os
import threading
import urllib.request

import aiohttp
import anthropic
import google.genai
import httpx
import httpx2
import openai
import requests
import urllib3
import uvicorn
from fastapi import FastAPI

app = FastAPI(title="SDKs")
RUNTIME, KEY = os.environ.get("CODEWORDS_RUNTIME_URI", ""), os.environ.get("CODEWORDS_API_KEY", "")
HI = [{"role": "user", "content": "hi"}]
PATIENT_SECONDS = 120


@app.post("/")
async def ask(given: dict):
    found = {}
    for name in given["ask"]:
        if name in RETRYING:
            print(f"STEPLOG START {name}")
            found[name] = await asyncio.to_thread(RETRYING[name], given["url"])
            continue
        try:
            found[name] = await asyncio.to_thread(CLIENTS[name], given["url"], given["page"])
        except Exception as error:  # noqa: BLE001  # what it is, is the test's result
            found[name] = f"failed: {type(error).__name__}: {error}"
    return found


def by_requests(url, _):
    with requests.Session() as session:
        posted = session.post(f"{url}/requests", json={"amount": 3}, auth=("ada", "words"))
        return [posted.text, session.get(f"{url}/requests?coding=gzip").json()["path"]]


def by_httpx(url, _):
    with httpx.Client(http2=True, timeout=PATIENT_SECONDS) as client:
        reply = client.post(f"{url}/httpx", content=b"b" * 100_000)
        return [reply.http_version, reply.json()["size"]]


def by_httpx2(url, _):
    with httpx2.stream("GET", f"{url}/stream", timeout=PATIENT_SECONDS) as reply:
        return list(reply.iter_lines())


def by_aiohttp(url, _):
    async def several():
        async with aiohttp.ClientSession(trust_env=True) as session:

            async def one(number):
                async with session.get(f"{url}/aiohttp", params={"number": number}) as reply:
                    return (await reply.json())["query"]

            return await asyncio.gather(*(one(number) for number in range(5)))

    return asyncio.run(several())


def by_urllib3(url, _):
    return urllib3.PoolManager().request("PUT", f"{url}/urllib3", body=b"words").json()["body"]


def by_urllib(url, _):
    with urllib.request.urlopen(f"{url}/urllib") as reply:
        return reply.read().decode()


def by_botocore(url, _):
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    session.set_credentials("AKIAIOSFODNN7EXAMPLE", "of-the-tests")
    s3 = session.create_client(
        "s3", endpoint_url=url, region_name="eu-central-1", config=Config(s3={"addressing_style": "path"})
    )
    # Signed with the time, and once in the address.
    got = s3.get_object(Bucket="documents", Key="offer.txt")
    signed = s3.generate_presigned_url("get_object", {"Bucket": "documents", "Key": "offer.txt"})
    return [len(got["Body"].read()) > 0, requests.get(signed).status_code]


def by_websockets(url, _):
    import websockets

    async def talk():
        async with websockets.connect(url.replace("https://", "wss://") + "/talk") as socket:
            await socket.recv()
            await socket.send("hello")
            heard = [await socket.recv()]
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            session.ws_connect(f"{url}/talk") as socket,
        ):
            await socket.receive_str()
            await socket.send_str("hello")
            return [*heard, await socket.receive_str()]

    return asyncio.run(talk())


def by_openai(_, __):
    client = openai.OpenAI(api_key=KEY, base_url=f"{RUNTIME}/openai/v1")
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=HI).choices[0].message.content
    chunks = client.chat.completions.create(model="gpt-4o-mini-d30-c4", messages=HI, stream=True)
    return [whole, [one.choices[0].delta.content for one in chunks if one.choices]]


def by_anthropic(_, __):
    client = anthropic.Anthropic(api_key=KEY, base_url=f"{RUNTIME}/anthropic")
    order = {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": HI}
    with client.messages.stream(**order) as stream:
        return [client.messages.create(**order).content[0].text, list(stream.text_stream)]


def by_gemini(_, __):
    client = google.genai.Client(api_key=KEY, http_options={"base_url": f"{RUNTIME}/gemini"})
    order = {"model": "gemini-2.5-flash", "contents": "hi"}
    pieces = [one.text for one in client.models.generate_content_stream(**order)]
    return [client.models.generate_content(**order).text, pieces]


def by_firecrawl(_, page):
    import firecrawl

    client = firecrawl.Firecrawl(api_key=KEY, api_url=f"{RUNTIME}/run/firecrawl")
    return client.scrape(page, formats=["markdown"]).markdown


def by_threads(url, _):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(requests.get(f"{url}/same").status_code))
        for _ in range(20)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return found


SECONDS = 5  # a replay whose host stays silent may take ten


def openai_again(_):
    client = openai.OpenAI(api_key=KEY, base_url=f"{RUNTIME}/openai/v1", timeout=SECONDS)
    return client.chat.completions.create(model="gpt-4o-mini", messages=HI).choices[0].message.content


def anthropic_again(_):
    client = anthropic.Anthropic(api_key=KEY, base_url=f"{RUNTIME}/anthropic", timeout=SECONDS)
    return client.messages.create(model="claude-sonnet-4-6", max_tokens=100, messages=HI).content[0].text


def gemini_again(_):
    # The only one that does not by itself.
    again = {"attempts": 3, "initial_delay": 0.1}
    options = {"base_url": f"{RUNTIME}/gemini", "timeout": SECONDS * 1000, "retry_options": again}
    client = google.genai.Client(api_key=KEY, http_options=options)
    return client.models.generate_content(model="gemini-2.5-flash", contents="hi").text


def requests_again(url):
    again = urllib3.Retry(total=2, status_forcelist=[429, 500], allowed_methods=None, backoff_factor=0.1)
    with requests.Session() as session:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=again))
        return session.get(f"{url}/by-requests", timeout=SECONDS).json()["path"]


def aiohttp_again(url):
    async def ask():
        limit = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(trust_env=True, timeout=limit, raise_for_status=True) as session:
            for _ in range(3):
                try:
                    async with session.get(f"{url}/by-aiohttp") as reply:
                        return (await reply.json())["path"]
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.1)
        raise RuntimeError("it failed three times")

    return asyncio.run(ask())


def httpx_once(url):
    reply = httpx.get(f"{url}/by-httpx", timeout=SECONDS)
    reply.raise_for_status()
    return reply.json()["path"]


RETRYING = {
    "openai again": openai_again, "anthropic again": anthropic_again, "gemini again": gemini_again,
    "requests again": requests_again, "aiohttp again": aiohttp_again, "httpx once": httpx_once,
}  # fmt: skip
CLIENTS = {
    "requests": by_requests, "httpx": by_httpx, "httpx2": by_httpx2, "aiohttp": by_aiohttp, "urllib3": by_urllib3,
    "urllib": by_urllib, "botocore": by_botocore, "websockets": by_websockets, "openai": by_openai,
    "anthropic": by_anthropic, "gemini": by_gemini, "firecrawl": by_firecrawl, "threads": by_threads,
}  # fmt: skip

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")))
