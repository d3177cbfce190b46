"""Diagnosis of a failed run: its step, traceback lines, input, and changes since the last success."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, cast

from codewords_mcp.errors import InvalidScript, JournalDamaged, StorageFailed, WriteHeld, WriteUnknown
from codewords_mcp.errors.remedies import show_workflow
from codewords_mcp.runtime.model.authoring import Diagnosis, Frame, refusals
from codewords_mcp.runtime.model.code_difference import code_difference, first_rows, program_lines
from codewords_mcp.runtime.model.run import LogLine, Run, RunError
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.crash import explain_crash, last_exception

LOG_LINES = 400
"""Number of last log lines that are read."""
_FRAME = re.compile(r'File "[^"\n]*/main\.py", line (\d+)(?:, in (\S{1,80}))?')
_FRAMES, _TEXT, _DIFF, _INPUT = 4, 160, 700, 500
_AROUND = 3
"""Lines of code shown before and after the failed one."""
_MISFIT = "The input does not fit the route's schema."
_NOT_REACHED = (
    "The host was not reached: check its name, and that it is among the hosts the workflow may reach. 127.0.0.1 and "
    "localhost are the sandbox itself; this machine is host.codewords.internal, where the operator opens the port with "
    "CODEWORDS_EGRESS_ALLOW_PRIVATE."
)
_FIXES = (
    ("KeyError", "Use .get(…) or check that the key is there: what came in lacks it."),
    ("IndexError", "A list is shorter than the code thinks: check its length first."),
    ("TypeError", "A value has another type than the code thinks, often None: check it before use."),
    ("AttributeError", "An object is not what the code thinks, often None: check it before use."),
    (
        "ResponseValidationError",
        "What the handler returns does not fit its response_model: correct one of the two.",
    ),
    ("ValidationError", "Data does not fit its model: make the field optional, or convert it first."),
    (
        "JSONDecodeError",
        "What was read is not JSON: look at the status and the text of the answer before parsing it.",
    ),
    ("HTTPStatusError", "The other side refused: check address, credentials and input of that call."),
    ("Timeout", "The other side is slow: give a longer timeout, or do less at once."),
    (
        "Connect",
        _NOT_REACHED,
    ),
    ("gaierror", "The host has no address: check its name."),
    ("ModuleNotFoundError", "Add the package to `dependencies` in the header."),
)


_UNSET = re.compile(r"Set the secret ([A-Z][A-Z0-9_]{1,63})")
"""The hint of our own services for a missing secret, which programs often pass on."""
_PROVIDER_CALL = re.compile(r"\b501\b.*?/(openai|anthropic|gemini)/", re.DOTALL)
"""The exception of an HTTP client for a call of a provider by the gateway, which has no key: the answer's text is not in it."""
_NO_ROUTE = {404: "Not Found", 405: "Method Not Allowed"}
"""FastAPI's own responses for a path or method without a route."""
_ROUTES = 20
_ENDED_BY_RUNTIME = frozenset(
    error.code for error in (WriteHeld, WriteUnknown, JournalDamaged, StorageFailed)
)
"""Errors with which the runtime ends a run before something is sent: exceptions of the program only follow from that, or are
those of an earlier attempt.
"""
_CONNECTION_ERROR = re.compile(
    r"Connect|ReadError|RemoteProtocol|WriteError|ProxyError|SSL|gaierror|URLError|APIConnection|Disconnected|Reset|Timeout"
)
"""Exceptions that a refused connection raises in a program."""


def diagnose(
    run: Run,
    log: Sequence[LogLine],
    code: str,
    request_text: str | None,
    last_success: tuple[Run, str] | None,
    *,
    routes: Sequence[str] = (),
    unset: Collection[str] = (),
    no_access: RunError | None = None,
) -> Diagnosis:
    """Compute the diagnosis, in under 800 tokens. `last_success` is the last successful run with
    its version's code.

    `routes` are those of the version that ran. `unset`: names of secrets without a value that it or
    its services may need. `no_access`: the error of its last call of a service, which lacked an account or credential.
    """
    if run.error is not None and run.error.code in _ENDED_BY_RUNTIME:
        return Diagnosis(
            step=run.steps[-1].id if run.steps else None,
            error=run.error.message,
            input=request_text[:_INPUT] if request_text else None,
            fix=run.error.hint or None,
            remedy=run.error.remedy,
        )
    output = "\n".join(line.message for line in log if line.stream != "platform")
    # Some programs answer with their traceback instead of printing it, escaped as JSON.
    if isinstance(run.response_content, str) and "Traceback" in run.response_content:
        output += "\n" + run.response_content.replace("\\n", "\n")
    name, message, trace = last_exception(output) or ("", "", "")
    name, message = name.rsplit(".", maxsplit=1)[-1], message[:_TEXT]
    frames = _frames(trace, code)
    refused = refusals(run)
    text = f"{output}\n{run.response_content or ''}"
    named = [
        *_UNSET.findall(text),
        *(f"{provider.upper()}_API_KEY" for provider in _PROVIDER_CALL.findall(message)),
    ]
    secret = next((name for name in named if name in unset), None)
    unknown = (
        run.response_status in _NO_ROUTE
        and not frames
        # The framework's own answer, so the program itself never saw the request.
        and run.response_json == {"detail": _NO_ROUTE[run.response_status]}
    )

    remedy = None
    # the most specific cause first: a missing secret or route explains the exception that follows
    if secret:
        fix = f"{secret} has no value yet: a person sets it."
    elif no_access is not None:
        fix, remedy = f"{no_access.message} {no_access.hint}".strip(), no_access.remedy
        secret = remedy.secret if remedy is not None else None
    elif unknown:
        fix = "No route has this path and method: run it again with one that there is."
    else:
        fix = _fix_for_refusals(refused, name) or _fix(run, code, trace, name)
        if run.error is not None and fix == run.error.hint:
            remedy = run.error.remedy
        elif fix == _MISFIT:
            remedy = show_workflow(run.service_id or "")
            fix = f"{_MISFIT} {remedy.words}"

    return Diagnosis(
        step=run.steps[-1].id if run.steps else None,
        error=(f"{name}: {message}" if message else name) or None,
        frames=frames,
        around=_around(frames[-1].line, code) if frames else None,
        input=request_text[:_INPUT] if request_text else None,
        since=_changes_since(run, code, last_success),
        fix=fix,
        remedy=remedy,
        secret=secret,
        routes=list(routes[:_ROUTES]) if unknown else [],
        refused=refused,
    )


def _fix_for_refusals(refused: list[str], name: str) -> str | None:
    """The fix if the program failed because of a refused connection."""
    # A program may handle a refused connection and fail later for another reason.
    if not refused or not (name == "" or _CONNECTION_ERROR.search(name)):
        return None
    return f"A connection was refused or failed: {refused[0]}."


def _frames(trace: str, code: str) -> list[Frame]:
    lines = program_lines(code)
    found: list[Frame] = []
    for number, function in _FRAME.findall(trace):
        at = int(number)
        if 0 < at <= len(lines):
            text = lines[at - 1].strip()[:_TEXT]
        else:
            text = ""
        found.append(Frame(line=at, function=function or "?", text=text))
    # The innermost frames: they are next to the fault.
    return found[-_FRAMES:]


def _around(line: int, code: str) -> str | None:
    lines = program_lines(code)
    if not 0 < line <= len(lines):
        return None
    first, last = max(line - _AROUND, 1), min(line + _AROUND, len(lines))
    return "\n".join(
        f"{'>' if at == line else ' '}{at:>4} {lines[at - 1][:_TEXT]}".rstrip()
        for at in range(first, last + 1)
    )


def _changes_since(run: Run, code: str, last_success: tuple[Run, str] | None) -> str | None:
    """Changes since the last success, None without one."""
    if last_success is None:
        return None

    before, before_code = last_success
    when = before.created_at.isoformat(timespec="seconds")
    if before.version == run.version or before_code == code:
        return f"Run {before.id} of the same code succeeded at {when}: look for what is different in its input or outside."

    diff = first_rows(code_difference(before_code, code).text(), _DIFF)

    return f"Version {before.version} succeeded at {when}. Changed since:\n{diff}"


def _fix(run: Run, code: str, trace: str, name: str) -> str | None:
    if (
        run.error is not None
        and (run.error.origin == "platform" or run.error.code != "program_failed")
        and run.error.hint
    ):
        return run.error.hint

    try:
        crash = explain_crash(parse_script(code), trace)
    except InvalidScript:
        crash = None

    if crash is not None and crash.fix:
        return crash.fix
    if name:
        # The order of `_FIXES` matters: ResponseValidationError contains ValidationError.
        return next((fix for part, fix in _FIXES if part in name), None)

    return _by_status(run)


def _by_status(run: Run) -> str | None:
    if run.response_status == 422:
        answer: Any = run.response_json
        # FastAPI lists what does not fit; a text is the workflow's own refusal.
        if isinstance(answer, dict) and isinstance(cast("dict[str, Any]", answer).get("detail"), str):
            return "The workflow itself refuses this input: its answer says why."
        return _MISFIT
    if run.status == "timed_out":
        return "Do less in one run, or several things at once."
    return None
