"""Why a run failed: the step, the workflow's own lines of the traceback, the input, what is different since it last worked."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.authoring.edits import diff_of
from codewords_mcp.runtime.model.authoring import Diagnosis, Frame, refusals
from codewords_mcp.runtime.model.run import LogLine, Run
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.crash import explain_crash, last_exception

LOG_LINES = 400
"""Last lines of the log that are looked at."""
_FRAME = re.compile(r'File "[^"\n]*/main\.py", line (\d+)(?:, in (\S{1,80}))?')
_FRAMES, _TEXT, _DIFF, _INPUT = 4, 160, 700, 500
_AROUND = 3
"""Lines of the code before and after the one that failed."""
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


_UNSET = re.compile(r"codewords secrets set ([A-Z][A-Z0-9_]{1,63})")
"""What our own services answer, and programs pass on, where a secret is missing."""
_NO_ROUTE = {404: "Not Found", 405: "Method Not Allowed"}
"""What FastAPI answers of itself to a path, or a method of it, that no route has."""
_ROUTES = 20
_BROKEN_OFF = re.compile(
    r"Connect|ReadError|RemoteProtocol|WriteError|ProxyError|SSL|gaierror|URLError|APIConnection|Disconnected|Reset|Timeout"
)
"""Exceptions that a refused connection shows as in a program."""


def diagnose(
    run: Run,
    log: Sequence[LogLine],
    code: str,
    asked: str | None,
    good: tuple[Run, str] | None,
    *,
    routes: Sequence[str] = (),
    unset: Collection[str] = (),
) -> Diagnosis:
    """The whole of it in under 800 tokens. `good` is the last run that succeeded, with its version's code.

    `routes` are those of the version that ran, `unset` the names of secrets that it and its services may need and that have
    no value.
    """
    output = "\n".join(line.message for line in log if line.stream != "platform")
    if isinstance(run.response_content, str) and "Traceback" in run.response_content:
        output += "\n" + run.response_content.replace("\\n", "\n")
    name, said, trace = last_exception(output) or ("", "", "")
    name, said = name.rsplit(".", maxsplit=1)[-1], said[:_TEXT]
    frames = _frames(trace, code)
    refused = refusals(run)
    told = f"{output}\n{run.response_content or ''}"
    secret = next((name for name in _UNSET.findall(told) if name in unset), None)
    unknown = (
        run.response_status in _NO_ROUTE
        and not frames
        and run.response_json == {"detail": _NO_ROUTE[run.response_status]}
    )

    return Diagnosis(
        step=run.steps[-1].id if run.steps else None,
        error=(f"{name}: {said}" if said else name) or None,
        frames=frames,
        around=_around(frames[-1].line, code) if frames else None,
        input=asked[:_INPUT] if asked else None,
        since=_since(run, code, good),
        fix=(
            f"{secret} has no value yet: a person sets it."
            if secret
            else "No route has this path and method: run it again with one that there is."
            if unknown
            else _of_refusals(refused, name) or _fix(run, code, trace, name)
        ),
        secret=secret,
        routes=list(routes[:_ROUTES]) if unknown else [],
        refused=refused,
    )


def _of_refusals(refused: list[str], name: str) -> str | None:
    """What to do where a connection was refused and the program failed over it."""
    if not refused or not (name == "" or _BROKEN_OFF.search(name)):
        return None
    return f"A connection was refused or failed: {refused[0]}."


def _frames(trace: str, code: str) -> list[Frame]:
    lines = code.splitlines()
    found: list[Frame] = []
    for number, function in _FRAME.findall(trace):
        at = int(number)
        if 0 < at <= len(lines):
            text = lines[at - 1].strip()[:_TEXT]
        else:
            text = ""
        found.append(Frame(line=at, function=function or "?", text=text))
    return found[-_FRAMES:]


def _around(line: int, code: str) -> str | None:
    lines = code.splitlines()
    if not 0 < line <= len(lines):
        return None
    first, last = max(line - _AROUND, 1), min(line + _AROUND, len(lines))
    return "\n".join(
        f"{'>' if at == line else ' '}{at:>4} {lines[at - 1][:_TEXT]}".rstrip()
        for at in range(first, last + 1)
    )


def _since(run: Run, code: str, good: tuple[Run, str] | None) -> str | None:
    """What is different since the last success; None where there was none."""
    if good is None:
        return None

    before, before_code = good
    when = before.created_at.isoformat(timespec="seconds")
    if before.version == run.version or before_code == code:
        return f"Run {before.id} of the same code succeeded at {when}: look for what is different in its input or outside."

    diff = diff_of(before_code, code, (f"version {before.version}", f"version {run.version}"))
    if len(diff) <= _DIFF:
        shown = diff
    else:
        shown = diff[:_DIFF] + "\n…"

    return f"Version {before.version} succeeded at {when}. Changed since:\n{shown}"


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
        return next((fix for part, fix in _FIXES if part in name), None)

    return _by_status(run)


def _by_status(run: Run) -> str | None:
    if run.response_status == 422:
        return "The input does not fit the route's schema: get_workflow shows it, and an example."
    if run.status == "timed_out":
        return "Do less in one run, or several things at once."
    return None
