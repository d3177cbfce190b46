"""One run asked for by a person: its input, the call, its answer on the way to a terminal or a pipe."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import SLOW, Json, RuntimeClient, remote_error
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._run_report import STYLES
from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import CodewordsError, InvalidInput, RunTimedOut, RuntimeUnavailable
from codewords_mcp.runtime.model.answer_fields import broken_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx2


_MAX_FIELDS: Final = 5


def read_input(data: str | None) -> bytes:
    """The JSON bytes of `--input`. Raises InvalidInput where it is not JSON or cannot be read."""
    if data is None:
        return b"{}"

    try:
        if data == "-":
            raw = sys.stdin.buffer.read()
        elif data.startswith("@"):
            raw = Path(data[1:]).read_bytes()
        else:
            raw = data.encode()
    except OSError as error:
        raise InvalidInput(
            f"{data[1:]} cannot be read: {error.strerror}.", hint="--input @FILE takes a JSON file."
        ) from error

    try:
        # Checked before a run is made; the bytes themselves are sent as they were given.
        parse(raw)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            where = f" (line {error.lineno}, column {error.colno}: {error.msg})"
        else:
            where = ""

        raise InvalidInput(
            f"--input is not JSON{where}.", hint="""Quote it for the shell: --input '{"name": "Ada"}'."""
        ) from error

    return raw


@dataclass
class RunCall:
    """A run that a person requested, under an id known before it starts, so that Ctrl-C can cancel it.

    `run_id` is empty where the run may be an earlier one, by its idempotency key.
    """

    client: RuntimeClient
    run_id: str
    target: str
    method: str
    body: bytes | None
    timeout: float | None
    more: dict[str, str]
    """Headers of this call."""
    expect: Sequence[str] = ()
    """Fields that its answer has to have."""

    def __post_init__(self) -> None:
        if self.timeout is None:
            self.deadline = None
        else:
            self.deadline = time.monotonic() + self.timeout
        self.headers = dict(self.more)
        if self.run_id:
            self.headers["X-Provisioned-Request-Id"] = self.run_id
        if self.body is not None:
            self.headers["Content-Type"] = "application/json"

    def start(self, *, as_json: bool) -> int:
        with self.client.stream(
            self.method, f"/run_async{self.target}", content=self.body, headers=self.headers, timeout=30
        ) as response:
            content = response.read()
            if response.is_error:
                raise remote_error(response.status_code, content)

        run_id = str(parse(content)["request_id"])
        if as_json:
            _output.print_json({"id": run_id, "request_id": run_id})
        else:
            _output.line(run_id)
            _output.note(f"Follow it: codewords logs {run_id} -f")

        return OK

    def wait(self, *, as_json: bool) -> int:
        started = time.monotonic()
        with _output.spinner(f"Running {self.run_id}"):
            answer = self._answer(pass_on=not as_json and not sys.stdout.isatty())
        # The record tells a workflow's own error response from one of the platform.
        record = self.client.record("GET", f"/request/{self.run_id}")
        if as_json:
            _output.print_json(record)
        elif not _is_ours(record):
            # An error of ours in the response's place is reported by `_verdict`.
            _print_answer(answer)
        return self._verdict(record, time.monotonic() - started)

    def _answer(self, *, pass_on: bool) -> CallResponse:
        """Read the workflow's answer, handing its bytes to a pipe as they come."""
        try:
            with self.client.stream(
                self.method,
                f"/run{self.target}",
                content=self.body,
                headers=self.headers,
                timeout=self._call_timeout(),
            ) as response:
                # Raised, so that it isn't printed as the workflow's response.
                if response.headers.get("error-origin") == "platform":
                    raise remote_error(response.status_code, response.read())
                return CallResponse(response, self._bounded(response.iter_bytes()), pass_on=pass_on)
        except RuntimeUnavailable:
            if self.deadline is None or time.monotonic() < self.deadline:
                raise
            raise self._over() from None

    def _call_timeout(self) -> float:
        if self.deadline is None:
            return SLOW
        # httpx takes 0 as an error and not as a timeout.
        return max(self.deadline - time.monotonic(), 0.1)

    def _bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            # Passed on before the check: what came in time belongs to the person.
            yield chunk
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise self._over()

    def _over(self) -> RunTimedOut:
        cancel_quietly(self.client, self.run_id)
        return RunTimedOut(
            f"The run {self.run_id} did not answer within {self.timeout:g} s and was cancelled.",
            hint="Give a longer --timeout, or --async.",
        )

    def _verdict(self, record: Json, seconds: float) -> int:
        error: Json = record.get("error") or {}
        status = str(record["status"])
        _output.note(f"{self.run_id} {status} in {seconds:.2f} s", STYLES.get(status, "dim"))
        if status == "succeeded":
            return self._expected(record)

        answered = record.get("responseStatus")
        message = error.get("message") or f"The workflow answered {answered}."
        if unfit := _unfit_fields(record.get("responseJson")):
            message += f" The input does not fit: {unfit}."
        hint = f"Where and why: codewords runs {self.run_id}"
        if answered in {404, 405, 422}:
            hint = f"Its routes and what they take: codewords show {record.get('serviceId')}"
        _output.error(message, worded(error.get("hint"), error.get("remedy")) or hint)
        return FAILED

    def _expected(self, record: Json) -> int:
        """Compare the answer with what is expected of it."""
        broken = broken_fields(record.get("responseJson"), self.expect)
        for line in broken:
            _output.error(
                f"Not as its header expects: {line}.", f"What it answered: codewords runs {self.run_id}"
            )
        if self.expect and not broken:
            _output.note(
                f"Its answer is as its header expects: {', '.join(self.expect)}.", "green", always=True
            )
        return FAILED if broken else OK


class CallResponse:
    """A workflow's response, read to its end: buffered for a terminal, or already passed on to a pipe."""

    def __init__(self, response: httpx2.Response, chunks: Iterator[bytes], *, pass_on: bool) -> None:
        self.content_type: str = response.headers.get("content-type", "")
        self.passed_on = pass_on
        self.content = b""
        if not pass_on:
            self.content = b"".join(chunks)
            return
        last = b"\n"
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
            # A stream of events must reach the next program as it comes.
            sys.stdout.buffer.flush()
            last = chunk[-1:]
        # What a shell prints next begins a line of its own; a file gets the answer's bytes alone.
        if last != b"\n" and self.is_text and stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            sys.stdout.buffer.write(b"\n")
            sys.stdout.buffer.flush()

    @property
    def is_text(self) -> bool:
        """Whether the answer says that it is text."""
        return self.content_type.startswith("text/") or "json" in self.content_type


def _unfit_fields(answer: Any) -> str:
    """The fields of the input that FastAPI refused, each with its reason; "" for another answer."""
    if not isinstance(answer, dict):
        return ""
    detail: Any = cast("dict[str, Any]", answer).get("detail")
    if not isinstance(detail, list):
        return ""
    found = [_unfit_field(one) for one in cast("list[Any]", detail)[:_MAX_FIELDS]]
    return "; ".join(filter(None, found))


def _unfit_field(one: Any) -> str:
    if not isinstance(one, dict):
        return ""
    fault = cast("dict[str, Any]", one)
    place: list[Any] = fault.get("loc") or []
    return f"{'.'.join(map(str, place[1:])) or 'the body'}: {fault.get('msg', '')}"[:200]


def _is_ours(record: Json) -> bool:
    """Whether the answer only tells that the program gave none (it exited, never listened …)."""
    error: Json = record.get("error") or {}
    return str(error.get("code")).startswith("program_")


def _print_answer(answer: CallResponse) -> None:
    if answer.passed_on:
        return

    if "json" in answer.content_type:
        try:
            _output.print_json(parse(answer.content))
        # A workflow may call anything JSON: what is none is shown as it came.
        except ValueError:
            pass
        else:
            return

    if answer.is_text:
        _output.line(answer.content.decode(errors="replace").rstrip("\n"))
    elif answer.content:
        kind = answer.content_type or "no stated type"
        _output.note(f"{len(answer.content)} bytes of {kind}: send them to a file with `> FILE`.")


def cancel_quietly(client: RuntimeClient, id_: str) -> None:
    """Cancel a run that nobody waits for any more; that it has ended already is as good."""
    try:
        client.call("POST", f"/runs/{id_}/cancel")
    except CodewordsError:
        return
