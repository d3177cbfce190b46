"""The internal listener, against the whole runtime: what a workflow reaches there without a key, with its own, with another's."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from pathlib import Path
from typing import Any, Final

import httpx
from tests.attacks.probes import Result, Scenes, held
from tests.attacks.scenarios.keys import OWN, WAY, Den, log_of, open_den
from tests.support.served_runtime import ServedRuntime

_PERSON: Final = "What a person decides there, a workflow must not decide in their place."
_OWNERS: Final = "One owner's files and senders are nothing to another's workflow."
_ADMIN: Final = "Its key is for what the workflow does, not for what its owner may."

scenes: Scenes[Den] = Scenes("listener", "The internal listener of sandboxes")


async def _refused(den: Den, *requests: tuple[str, str], keyed: int = 403) -> str:
    """Each request without a key, with the sandbox's own key, and with that of another sandbox."""
    other = re.search("cwk-run-[0-9a-f]{64}", await asyncio.to_thread(log_of, den.runtime, den.victims_run))
    keys: list[dict[str, str]] = [{}, OWN, {"Authorization": other[0] if other else "cwk-run-" + "0" * 64}]
    answers = await den.asks(*((method, path, key) for method, path in requests for key in keys))
    statuses = [status for status, _ in answers]
    return held(statuses == [401, keyed, 401] * len(requests), statuses)


async def _call(den: Den, method: str, path: str, body: Any = None) -> Any:
    return await asyncio.to_thread(den.runtime.call, method, path, body)


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


@scenes.scene("consent", "Answer a question that a person was asked, on its page", _PERSON, "401 or 403")
async def _(den: Den) -> str:
    return await _refused(den, ("GET", "/consents/" + "a" * 43), ("POST", "/consents/" + "a" * 43))


@scenes.scene("secret-page", "Type a value into a page that was opened for a secret", _PERSON, "401 or 403")
async def _(den: Den) -> str:
    entry = await _call(den, "POST", "/secrets/TYPED/entry")
    path = _path(entry["url"])
    return await _refused(den, ("GET", path), ("POST", path))


@scenes.scene("connect", "Connect an app by the page of a person", _PERSON, "401 or 403")
async def _(den: Den) -> str:
    nonce = "a" * 32
    return await _refused(
        den, ("GET", f"/connect/{nonce}"), ("GET", f"/connect/{nonce}/go"), ("GET", f"/connect/{nonce}/done")
    )


@scenes.scene("login", "Follow a sign-in link of a person", _PERSON, "401 or 403")
async def _(den: Den) -> str:
    return await _refused(den, ("GET", "/login/" + "a" * 43), ("POST", "/login/" + "a" * 43))


@scenes.scene("pages", "Open the pages of the runtime", _PERSON, "401 or 403")
async def _(den: Den) -> str:
    paths = ("/", "/docs", "/openapi.json", "/healthz", "/browser/pair/" + "a" * 32, "/browser/connect")
    return await _refused(den, *(("GET", path) for path in paths))


@scenes.scene("mcp", "Use the tools of a person over MCP", _ADMIN, "401 or 403")
async def _(den: Den) -> str:
    return await _refused(
        den, ("POST", "/mcp"), ("POST", "/mcp/files"), ("GET", "/sse"), ("POST", "/messages/")
    )


@scenes.scene("administration", "Make keys, deploy and stop the runtime", _ADMIN, "401 or 403")
async def _(den: Den) -> str:
    return await _refused(
        den, ("POST", "/keys"), ("GET", "/keys"), ("POST", "/deploy"), ("POST", "/stop"), ("GET", "/runs")
    )


@scenes.scene("webhooks", "Post to a webhook of another workflow", _OWNERS, "401 or 404")
async def _(den: Den) -> str:
    hook = await _call(den, "POST", "/webhooks", {"service_id": den.victim})
    return await _refused(den, ("POST", _path(hook["url"])), keyed=404)


@scenes.scene("files", "Read and fill a file of another owner by its signed link", _OWNERS, "404, each time")
async def _(den: Den) -> str:
    key = (await _call(den, "POST", "/keys", {"owner": "ann"}))["key"]
    ann = dataclasses.replace(den.runtime, key=key)
    links = await asyncio.to_thread(ann.call, "POST", "/file?filename=hers")
    requests = [
        (method, _path(links[name])) for method, name in (("PUT", "upload_uri"), ("GET", "download_uri"))
    ]
    answers = await den.asks(*((method, path, key) for method, path in requests for key in ({}, OWN)))
    statuses = [status for status, _ in answers]
    return held(statuses == [404] * 4, statuses)


@scenes.scene("other-key", "Use the key of a run that goes on in another sandbox", _OWNERS, "401")
async def _(den: Den) -> str:
    printed = re.search("cwk-run-[0-9a-f]{64}", await asyncio.to_thread(log_of, den.runtime, den.victims_run))
    assert printed is not None, "the other run prints its key"
    answers = await den.asks(("POST", "/provision-request", {"Authorization": printed[0]}))
    return held(answers[0][0] == 401, answers[0][0])


@scenes.scene(
    "outside",
    "Use the key of a run that goes on, from outside of its sandbox",
    _OWNERS,
    "401, which says why",
)
async def _(den: Den) -> str:
    printed = re.search("cwk-run-[0-9a-f]{64}", await asyncio.to_thread(log_of, den.runtime, den.victims_run))
    assert printed is not None, "the other run prints its key"
    said: list[str] = []
    for path in ("/runs", "/services", "/openapi.json"):
        status, text = await asyncio.to_thread(_from_outside, den.runtime, path, printed[0])
        said.append(f"{status}, {'says why' if 'only inside' in text else 'says nothing'}")
    return held(said == ["401, says why"] * 3, said)


def _from_outside(runtime: ServedRuntime, path: str, key: str) -> tuple[int, str]:
    with httpx.Client(base_url=runtime.url, headers={"Authorization": key}, trust_env=False) as client:
        answer = client.get(path)
        return answer.status_code, answer.text


async def play(folder: Path) -> list[Result]:
    """All against one runtime with a home in `folder`."""

    def run() -> list[Result]:
        with open_den(folder) as den:
            return asyncio.run(scenes.play(den, WAY))

    return await asyncio.to_thread(run)
