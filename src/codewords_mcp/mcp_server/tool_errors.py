"""The error boundary of tools: an exception becomes an `isError` result with our message."""

from __future__ import annotations

from typing import Any, cast

from mcp_types import CallToolResult, TextContent
from pydantic import ValidationError

from codewords_mcp.errors import CodewordsError, ConsentNeeded, InvalidInput, UpstreamFailed, ValidationFailed
from codewords_mcp.mcp_server.check_format import check_lines
from codewords_mcp.mcp_server.consent import fenced_items, pending_lines
from codewords_mcp.mcp_server.errors import to_codewords_error
from codewords_mcp.mcp_server.text import fence
from codewords_mcp.runtime.model.code_difference import first_rows
from codewords_mcp.runtime.model.conflicts import VersionChanged
from codewords_mcp.runtime.model.validation import ValidationReport

ERROR_KEY = "codewords/error"
"""Key in a result's `_meta` of the error as data: `{code, message, origin, hint?, …}`."""


_DIFF = 4_000
EXPOSED_VALUE_HINT = (
    "If that was a secret's value, it is now in this chat and can be read there: tell the user to replace it at its source"
    " (make a new one, revoke this one) and to give the new one on the page only."
)
"""Warning if an argument may have contained a secret's value."""
_TYPES = {
    "tuple_type": 'it must be a list, such as ["…"]',
    "list_type": 'it must be a list, such as ["…"]',
    "dict_type": 'it must be an object, such as {"…": …}',
    "model_type": 'it must be an object, such as {"…": …}',
}
"""Words for kinds of faults, by pydantic's names of them: a model knows JSON, not Python's types."""


class TookTooLong(CodewordsError):
    """A tool that did not respond in time. Work that it started in the runtime continues there."""

    code = "took_too_long"
    status = 504


def error_result(error: BaseException, tool: str, *, about_secrets: bool = False) -> CallToolResult:
    """Turn an exception into a result: `code: message`, the hint, and the failed checks of a deploy.

    `about_secrets`: the invalid argument may be a secret's value, so the hint warns of it.
    """
    known = to_codewords_error(error, tool)
    if about_secrets and isinstance(known, InvalidInput):
        known.hint = f"{known.hint} {EXPOSED_VALUE_HINT}".lstrip()
    if isinstance(known, ConsentNeeded):
        lines = [f"{known.code}: {known.message}", *pending_lines(known, tool, by_token=False)[1:]]
        body = known.to_dict() | {"asks": fenced_items(known)}
        return _failed(lines, body)

    lines = [f"{known.code}: {known.message}"]
    if isinstance(known, ValidationFailed):
        report = ValidationReport.model_validate(known.report)
        lines += check_lines([check for check in report.checks if check.status == "failed"])
    elif known.hint:
        lines.append(known.hint)

    if isinstance(known, VersionChanged):
        live = f"From version {known.base_version} to the live version {known.live_version}"
        lines.append(fence(live, first_rows(known.live_changes, _DIFF), _DIFF + 100))
        lines.append(
            fence(
                f"From version {known.base_version} to this code",
                first_rows(known.own_changes, _DIFF),
                _DIFF + 100,
            )
        )

    if isinstance(known, UpstreamFailed) and known.upstream_said:
        lines.append(fence("What it said", known.upstream_said, 500))
    # The report repeats the failed checks above with all that passed.
    body = {key: value for key, value in known.to_dict().items() if key != "report"}
    return _failed(lines, body)


def _failed(lines: list[str], body: dict[str, Any]) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join(lines))], is_error=True, _meta={ERROR_KEY: body}
    )


def bad_arguments(error: ValidationError, accepted: list[str]) -> InvalidInput:
    """Return an error that names each invalid argument, never its value: it may be a secret."""
    faults: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        message = _TYPES.get(fault["type"]) or cast("Any", fault)["msg"]
        faults.setdefault(name if name in accepted else "arguments", message)
    faults_text = "; ".join(
        f"`{name}`: {message[:1].lower()}{message[1:]}" for name, message in faults.items()
    )
    return InvalidInput(f"Bad arguments: {faults_text}.", hint=_accepts(accepted))


def unknown_arguments(names: list[str], accepted: list[str]) -> InvalidInput:
    """Return an error for unknown arguments. Only identifiers are repeated in it."""
    shown = ", ".join(
        f"`{name}`" if name.isidentifier() and len(name) <= 32 else "(not a name)" for name in sorted(names)
    )
    return InvalidInput(f"Unknown argument {shown}; nothing was done.", hint=_accepts(accepted))


def _accepts(accepted: list[str]) -> str:
    if accepted:
        return f"The tool takes {', '.join(accepted)}."
    return "The tool takes no arguments."
