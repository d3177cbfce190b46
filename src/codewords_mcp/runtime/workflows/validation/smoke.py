"""Smoke test: one request with an example input to the program's main route, in the sandbox of its
validation.

There is no network and no secret there, so that the test costs nothing and reaches nobody. A
program that needs either gets as far as its first outside call.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.answer_fields import broken_fields
from codewords_mcp.runtime.model.authoring import ExampleFrom
from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.openapi import read_routes
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.crash import explain_crash
from codewords_mcp.runtime.workflows.validation.main_route import main_route

RESPONSE_TIMEOUT = 5.0
"""Seconds for a response to the example."""
_MAX_RESPONSE = 64 << 10
_OUTSIDE = re.compile(
    r"Connect(?:ion)?(?:Error|Timeout|Refused)|ConnectorError|APIConnection|gaierror|URLError|unreachable|NetworkError"
    r"|Connection refused|[Nn]ame resolution|Name or service not known|ProxyError|validation-stand-in|HTTPStatusError"
)
"""Errors caused by the sandbox's isolation, not by the program."""


@dataclass(frozen=True, slots=True)
class Example:
    """An input of the route at `path`, and its source."""

    path: str
    value: Any
    source: ExampleFrom


def _as_json(value: object) -> JsonValue:
    """A TOML value as JSON, with dates as texts. None for numbers that JSON lacks."""
    try:
        # TOML has dates, infinities and NaN, which JSON lacks.
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Smoke:
    """Choice of the input: the `sample` one, else the header's, else, with `derive`, one made from
    the schema.
    """

    sample: Any = None
    derive: bool = False
    source: ExampleFrom = "given"

    def of_header(self, script: Script) -> Smoke:
        """Prefer the header's example, if there is one: it belongs to the current code, a given one
        may be older.
        """
        in_header = _as_json(script.tool.get("example"))
        if in_header is None:
            return self
        return replace(self, sample=in_header, source="header")

    def example(self, openapi: dict[str, Any]) -> Example | None:
        """The input for an app, None without one."""
        route = main_route(read_routes(openapi))
        if route is None or (self.sample is None and not self.derive):
            return None
        if self.sample is not None:
            return Example(route.path, self.sample, self.source)
        return Example(route.path, make_example(route.schema) if route.schema else {}, "derived")


class SmokeResponse(NamedTuple):
    """Status 0: no response within `RESPONSE_TIMEOUT` seconds, or the connection broke."""

    status: int
    body: str

    @property
    def answer(self) -> JsonValue:
        """The JSON of a good response; None for any other."""
        try:
            if 200 <= self.status < 300:
                return parse(self.body)
            return None
        except ValueError:
            return None


async def try_example(socket_path: str, example: Example) -> SmokeResponse:
    """Send the example to the program. The caller ends its sandbox, also while it still responds."""
    from codewords_mcp.runtime.sandboxes import http1

    body = json.dumps(example.value).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]

    try:
        async with asyncio.timeout(RESPONSE_TIMEOUT):
            response = await http1.request(socket_path, "POST", example.path.encode(), headers, _once(body))
            try:
                return SmokeResponse(response.status, await _read(response))
            finally:
                await response.aclose()
    except (TimeoutError, CodewordsError):
        # Whatever broke, the program's own output has the reason.
        return SmokeResponse(0, "")


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _read(response: Any) -> str:
    body = bytearray()
    async for chunk in response.body:
        body += chunk
        # A program may stream without end, and the beginning shows whether it works.
        if len(body) > _MAX_RESPONSE:
            break
    return bytes(body[:_MAX_RESPONSE]).decode(errors="replace")


def judge(script: Script, example: Example, response: SmokeResponse, output: str) -> Check:
    """The check for a response. Never a failure, since the example may be the faulty part."""
    input_name = {"header": "its example", "given": "its example"}.get(
        example.source, "an input made from its schema"
    )
    status = response.status
    if 0 < status < 400:
        if response.answer:
            broken = broken_fields(response.answer, script.tool.get("expect", ()))
        else:
            broken = []
        if broken:
            return _check(
                "warning",
                f"It answers {input_name} with {status}, but not as its header expects: {'; '.join(broken[:5])}.",
                "Change the code, or `expect` under [tool.codewords].",
            )
        return _check("passed", f"It answers {input_name} with {status}.")

    crash = explain_crash(script, output + "\n" + response.body, f"on {input_name}")
    # Before the crash: a program without network ends in a traceback that isn't its fault.
    if _OUTSIDE.search(output + response.body) or status in {424, 502, 503, 504}:
        return _check(
            "note",
            f"On {input_name} it gets as far as its first call outside, which ends here: it was tried without a network.",
        )
    if crash is not None and (status >= 500 or status == 0):
        return crash.model_copy(update={"id": "smoke", "status": "warning"})
    if status == 0:
        return _check("note", f"It gave no answer to {input_name} within {RESPONSE_TIMEOUT:.0f} s.")

    message = f"It answers {input_name} with {status}"
    fix = "Give an input that it takes: `# example = {…}` under [tool.codewords]."
    if status == 422:
        return _check(
            # Of an input that was made from the schema the fault may be in the making.
            "note" if example.source == "derived" else "warning",
            f"{message}: {_describe_422(response)}.",
            fix,
        )

    return _check("warning" if status >= 500 else "note", f"{message}.", fix)


def _check(status: Any, message: str, fix: str | None = None) -> Check:
    return Check(id="smoke", status=status, message=message, fix=fix)


def _describe_422(response: SmokeResponse) -> str:
    """The fields that a 422 response names."""
    try:
        faults: Any = parse(response.body)["detail"]
        fields = [".".join(str(part) for part in fault["loc"] if part != "body") for fault in faults[:5]]
    except (ValueError, LookupError, TypeError):
        return "it refuses the input"
    message = ", ".join(f"`{field[:60]}`" for field in fields if re.fullmatch(r"[\w.\-]+", field))
    return f"it refuses {message or 'the input'}"
