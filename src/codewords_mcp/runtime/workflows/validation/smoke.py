"""Trying a program once: its main route is asked with an example input, in the sandbox that started it for its checks.

There is no network and no secret there, so that trying costs nothing and reaches nobody. A program that needs either
gets as far as its first call outside.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from codewords_mcp.bounded_json import parse
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.authoring import ExampleFrom
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.openapi import routes_of
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.crash import explain_crash
from codewords_mcp.runtime.workflows.validation.samples import example_of, main_route

WITHIN = 5.0
"""Seconds for an answer to the example."""
_MAX_ANSWER = 64 << 10
_OUTSIDE = re.compile(
    r"Connect(?:ion)?(?:Error|Timeout|Refused)|ConnectorError|APIConnection|gaierror|URLError|unreachable|NetworkError"
    r"|Connection refused|[Nn]ame resolution|Name or service not known|ProxyError|validation-stand-in|HTTPStatusError"
)
"""What says that a program met the end of its sandbox, not a fault of its own."""


@dataclass(frozen=True, slots=True)
class Example:
    """An input of the route at `path`, and where it is from."""

    path: str
    value: Any
    source: ExampleFrom


def _as_json(value: Any) -> Any:
    """A value of TOML as JSON has it, dates as texts; None for numbers that JSON does not have."""
    try:
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Smoke:
    """Which input a program is tried with: the one that is `given`, else the header's, else, if `derive`, one of its schema."""

    given: Any = None
    derive: bool = False
    source: ExampleFrom = "given"

    def of_header(self, script: Script) -> Smoke:
        """With what the header says; it says what the code is now, so it goes before what was given once."""
        in_header = _as_json(script.tool.get("example"))
        if in_header is None:
            return self
        return replace(self, given=in_header, source="header")

    def example(self, openapi: dict[str, Any]) -> Example | None:
        """The input for an app; None where there is none to try it with."""
        route = main_route(routes_of(openapi))
        if route is None or (self.given is None and not self.derive):
            return None
        if self.given is not None:
            return Example(route.path, self.given, self.source)
        return Example(route.path, example_of(route.schema) if route.schema else {}, "derived")


class SmokeResponse(NamedTuple):
    """Status 0: none within `WITHIN` seconds, or the connection broke off."""

    status: int
    body: str


async def try_example(socket_path: str, example: Example) -> SmokeResponse:
    """Ask the program. It may take as long as it likes; the caller ends its sandbox."""
    from codewords_mcp.runtime.sandboxes import http1

    body = json.dumps(example.value).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]

    try:
        async with asyncio.timeout(WITHIN):
            reply = await http1.request(socket_path, "POST", example.path.encode(), headers, _once(body))
            try:
                return SmokeResponse(reply.status, await _read(reply))
            finally:
                await reply.aclose()
    except (TimeoutError, CodewordsError):
        return SmokeResponse(0, "")


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _read(reply: Any) -> str:
    kept = bytearray()
    async for chunk in reply.body:
        kept += chunk
        if len(kept) > _MAX_ANSWER:
            break
    return bytes(kept[:_MAX_ANSWER]).decode(errors="replace")


def judge(script: Script, example: Example, answer: SmokeResponse, output: str) -> Check:
    """What the answer says about the program; never a failure, since an example may be a bad one."""
    what = {"header": "its example", "given": "its example"}.get(
        example.source, "an input made from its schema"
    )
    status = answer.status
    if 0 < status < 400:
        return _check("passed", f"It answers {what} with {status}.")

    crash = explain_crash(script, output + "\n" + answer.body, f"on {what}")
    if _OUTSIDE.search(output + answer.body) or status in {424, 502, 503, 504}:
        return _check(
            "note",
            f"On {what} it gets as far as its first call outside, which ends here: it was tried without a network.",
        )
    if crash is not None and (status >= 500 or status == 0):
        return crash.model_copy(update={"id": "smoke", "status": "warning"})
    if status == 0:
        return _check("note", f"It gave no answer to {what} within {WITHIN:.0f} s.")

    told = f"It answers {what} with {status}"
    fix = "Give an input that it takes: `# example = {…}` under [tool.codewords]."
    if status == 422:
        return _check(
            "note" if example.source == "derived" else "warning", f"{told}: {_refused(answer)}.", fix
        )

    return _check("warning" if status >= 500 else "note", f"{told}.", fix)


def _check(status: Any, message: str, fix: str | None = None) -> Check:
    return Check(id="smoke", status=status, message=message, fix=fix)


def _refused(answer: SmokeResponse) -> str:
    """Which fields a 422 names."""
    try:
        faults: Any = parse(answer.body)["detail"]
        places = [".".join(str(part) for part in one["loc"] if part != "body") for one in faults[:5]]
    except (ValueError, LookupError, TypeError):
        return "it refuses the input"
    told = ", ".join(f"`{place[:60]}`" for place in places if re.fullmatch(r"[\w.\-]+", place))
    return f"it refuses {told or 'the input'}"
