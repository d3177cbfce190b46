"""Runs inside a published client's own environment: does one thing after another and prints what it saw, as JSON.

Usage: python_driver.py sync|async SERVICE_ID FILE. The runtime is found by the environment, as scripts do it.
"""

# pyright: basic, reportAttributeAccessIssue=false

import asyncio
import inspect
import json
import os
import sys
from urllib.request import ProxyHandler, build_opener

import httpx

import codewords_client

KIND, SERVICE, FILE = sys.argv[1:4]
NAME = {"name": "Ada"}
MESSAGE = {"channel": "#general", "text": "Good morning"}


async def settle(value):
    """The value of a call of either client."""
    if inspect.isasyncgen(value):
        return [item async for item in value]
    if inspect.isgenerator(value):
        return list(value)
    return await value if inspect.isawaitable(value) else value


async def attempt(steps, name, act):
    try:
        steps[name] = await act()
    except Exception as error:  # noqa: BLE001
        response = getattr(error, "response", None)
        steps[name] = {
            "raised": type(error).__name__,
            "says": str(error),
            "status": getattr(response, "status_code", None),
        }


async def drive(client):
    steps = {}

    async def run():
        answer = await settle(client.run(SERVICE, inputs=NAME))
        return {
            "json": answer.json(),
            "status": answer.status_code,
            "request_id": answer.headers.get("x-request-id"),
        }

    async def run_with_marks():
        answer = await settle(
            client.run(SERVICE, path="context", inputs=NAME, correlation_id="chain-1", run_as_template=True)
        )
        return {"json": answer.json(), "origin": answer.headers.get("error-origin")}

    async def get():
        if "method" not in inspect.signature(client.run).parameters:
            return "no GET in this version"
        answer = await settle(client.run(SERVICE, path="ping", method="GET"))
        return answer.json()

    async def refused():
        await settle(client.run(SERVICE, inputs={"name": 3}))

    async def failed():
        await settle(client.run(SERVICE, path="fail", inputs=NAME))

    async def unknown():
        await settle(client.run("no_such_service_00000000", inputs=NAME))

    async def provisioned():
        request_id = await settle(client.provision_request())
        answer = await settle(client.run(SERVICE, inputs=NAME, request_id=request_id))
        return {
            "request_id": request_id,
            "answered_as": answer.headers.get("x-request-id"),
            "logs": await settle(client.get_logs(request_id)),
            "details": await settle(client.get_request_details(request_id)),
        }

    async def background():
        handle = await settle(client.run(SERVICE, inputs=NAME, in_background=True))
        result = await settle(handle.result(timeout_seconds=60))
        return {
            "request_id": handle.request_id,
            "status": result.status_code,
            "json": result.json(),
            "details": await settle(handle.details()),
        }

    async def poll_result():
        handle = await settle(client.run(SERVICE, inputs=NAME, in_background=True))
        result = await settle(client.poll_result(handle.request_id, timeout_seconds=60))
        return {"status": result.status_code, "json": result.json()}

    async def start_service():
        handle = await settle(client.start_service(SERVICE, inputs=NAME))
        # the sync client's never starts anything, and would be waited for in vain
        result = await settle(handle.result(timeout_seconds=1 if KIND == "sync" else 60))
        return {"status": result.status_code, "json": result.json()}

    async def stream_logs():
        answer = await settle(client.run(SERVICE, inputs=NAME))
        opened = client.stream_logs(answer.headers["x-request-id"])
        if hasattr(opened, "__enter__"):  # as its documentation has it
            with opened as lines:
                return [line.get("message") for line in lines]
        return [line.get("message") for line in await settle(opened)]

    async def address():
        kept = os.environ.pop("RUNTIME_URI")
        try:
            one = type(client)()
            await settle(one.close())
        finally:
            os.environ["RUNTIME_URI"] = kept
        return {"named": one.base_url == os.environ["CODEWORDS_RUNTIME_URI"].rstrip("/")}

    async def background_failed():
        handle = await settle(client.run(SERVICE, path="fail", inputs=NAME, in_background=True))
        result = await settle(handle.result(timeout_seconds=60))
        return {"status": result.status_code, "json": result.json()}

    async def live_logs():
        handle = await settle(client.run(SERVICE, path="slowly", inputs=NAME, in_background=True))
        logs = await settle(handle.logs())
        return {
            "messages": [entry.get("message") for entry in logs],
            "stamps": [entry.get("createdAt") for entry in logs],
        }

    async def pending():
        handle = await settle(client.run(SERVICE, path="slowly", inputs=NAME, in_background=True))
        try:
            await settle(handle.result(timeout_seconds=0))
        except Exception as error:  # noqa: BLE001
            seen = type(error).__name__
        else:
            seen = "an answer"
        return {"seen": seen, "then": (await settle(handle.result(timeout_seconds=60))).status_code}

    async def print_logs():
        if "print_logs" not in inspect.signature(client.run).parameters:
            return "no print_logs in this client"
        answer = await settle(client.run(SERVICE, path="slowly", inputs=NAME, print_logs=True))
        return answer.json()

    async def upload_content():
        return download(await settle(client.upload_file_content("notes 1.txt", b"some \x00 bytes")))

    async def upload_file():
        return download(await settle(client.upload_file(FILE)))

    async def methods():
        return [name for name, _ in inspect.getmembers(client, callable) if not name.startswith("_")]

    async def create_file_upload():
        return await settle(client.create_file_upload("notes.txt"))

    async def integrations():
        seed = {"app_slug": "slack", "action_name": "send-message", "props": MESSAGE}
        public = {"app": "slack_v2", "action": "slack_v2-post-message", "props": MESSAGE}
        check = {"operation": "check_auth", "app_slug": "google_calendar"}
        answers = [await settle(client.run("pipedream", inputs=asked)) for asked in (seed, public, check)]
        handle = await settle(client.run("pipedream", inputs=public, in_background=True))
        answers.append(await settle(handle.result(timeout_seconds=60)))
        return [answer.json() for answer in answers]

    async def unconnected():
        asked = {"app_slug": "stripe", "action_name": "create-refund", "props": {"charge": "ch_1"}}
        try:
            await settle(client.run("pipedream", inputs=asked))
        except httpx.HTTPStatusError as error:
            return {"status": error.response.status_code, "json": error.response.json(), "says": str(error)}

    acts = (
        run, run_with_marks, get, refused, failed, unknown, provisioned, background, background_failed, live_logs, pending,
        print_logs, upload_content, upload_file, create_file_upload, poll_result, start_service, stream_logs, address, methods,
        integrations, unconnected,
    )  # fmt: skip
    for act in acts:
        await asyncio.wait_for(attempt(steps, act.__name__, act), 90)
    return steps


def download(link):
    """What anybody gets who has the link, without a key."""
    with build_opener(ProxyHandler({})).open(link, timeout=30) as answer:
        return {"link": link, "size": len(body := answer.read()), "text": body[:100].decode("latin-1")}


async def main():
    if KIND == "sync":
        return await drive(codewords_client.CodewordsClient())
    async with codewords_client.AsyncCodewordsClient() as client:
        return await drive(client)


print("RESULT " + json.dumps(asyncio.run(main())))
