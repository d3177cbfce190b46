"""Questions before a call that writes: of a library service, an action, a tool, or writes that were held."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from codewords_mcp.runtime.model.plain_text import item, one_line, quoted
from codewords_mcp.runtime.model.questions import (
    TO_CALL,
    Matter,
    Question,
    Rows,
    Wording,
    digest_of,
    lines_of,
)

_NAME, _ACCOUNT, _VALUE = 40, 80, 600
"""Maximum characters shown of a field's name, an account's id and a value."""
_WRITE: Final = 1000
MOST_FIELDS: Final = 40


def of_call(owner: str, action: str, props: Mapping[str, Any], account: str | None) -> Question:
    """Ask for one writing call of an integration's action, with exactly these fields and this
    account.
    """
    name = item(action)
    rows = [("action", [name]), *_fields(props)]
    if account:
        rows.append(("account", [item(account, _ACCOUNT)]))
    # The digest has all arguments: consent to one call is not consent to another.
    digest = digest_of(owner, "call", action, account, json.dumps(props, sort_keys=True))
    return Question(owner, Matter("call", action), digest, rows, lines_of(rows), _wording_of_call(name))


def of_service(owner: str, service: str, path: str, data: Any) -> Question:
    """One call of a library service that sends, changes or acts on something."""
    name = item(f"{service}/{path}".rstrip("/"))
    if isinstance(data, dict):
        fields = cast("dict[str, Any]", data)
    else:
        fields = {"input": data}
    rows: Rows = [("service", [name]), *_fields(fields)]
    digest = digest_of(owner, "service", service, path, json.dumps(data, sort_keys=True))
    return Question(owner, Matter("call", service), digest, rows, lines_of(rows), _wording_of_call(name))


def of_tool(owner: str, tool: str, arguments: Mapping[str, Any], title: str) -> Question:
    """Ask for a tool call, in the platform's own words. An answer is for exactly these arguments."""
    wording = Wording(
        message=f"Nothing was done yet: a person has to agree. {title}",
        hint=TO_CALL,
        title=title,
        about="An assistant is about to do this",
        agreed="It can be done, once. Ask the assistant to go on.",
        declined="A person declined; nothing was done.",
        yes="Agree: exactly this may be done, once",
        no="No, don't do it",
    )
    rows: Rows = [("tool", [tool]), *_fields(arguments)]
    digest = digest_of(owner, "tool", tool, json.dumps(arguments, sort_keys=True))

    return Question(owner, Matter("call", tool), digest, rows, lines_of(rows), wording)


def of_apply(
    owner: str,
    list_id: str,
    service_id: str,
    version: int,
    writes: Sequence[tuple[int, str, str]],
    varies: Sequence[str],
) -> Question:
    """Ask to run a workflow for real with the writes that its dry run held.

    `writes` are (number on the list, key, line); `varies` the parts that may differ from what the lines say.
    """
    name = item(service_id, _ACCOUNT)
    count = f"{len(writes)} write{'s' if len(writes) > 1 else ''}"
    wording = Wording(
        message=f"Nothing was sent yet: a person has to agree to the {count} that the dry run of {name} held.",
        hint=TO_CALL,
        title=f"Send {_these(len(writes))} once, for real?",
        about=f"Version {version} of {name} runs again, sends what it held, and is ended before any other write",
        agreed="It can be run with exactly that, once. Ask the assistant to go on.",
        declined="A person declined; nothing was sent.",
        yes=f"Agree: exactly {'this write' if len(writes) == 1 else f'these {count}'} may be sent, once",
        no="No, send nothing",
    )
    lines = [item(f"{number}. {line}", _WRITE) for number, _, line in writes]
    rows: Rows = [("sends", lines)]
    if varies:
        rows.append(("may differ", list(varies)))
    digest = digest_of(owner, "apply", list_id, version, [(number, key) for number, key, _ in writes])
    shown = lines + [f"May differ: {part}" for part in varies]
    matter = Matter("apply", service_id, {"run": list_id, "version": str(version)})
    return Question(owner, matter, digest, rows, shown, wording, service_id=service_id)


def _these(count: int) -> str:
    if count == 1:
        return "this write"
    return f"these {count} writes, each"


def _wording_of_call(name: str) -> Wording:
    return Wording(
        message=f"{name} was not called: it may change or send something, so a person has to agree first.",
        hint=TO_CALL,
        title=f"May the assistant call {name} now, once?",
        about="It is about to do this",
        agreed="The call can be made with exactly that, once. Ask the assistant to go on.",
        declined=f"A person declined this call of {name}; nothing was done.",
        yes=f"Agree: {name} may be called with exactly this, once",
        no="No, don't call it",
    )


def _fields(values: Mapping[str, Any]) -> Rows:
    # Each value is one quoted item, so that a text with line breaks can't pass for other rows.
    rows: Rows = [(item(name, _NAME), [_shown(values[name])]) for name in list(values)[:MOST_FIELDS]]
    if (more := len(values) - MOST_FIELDS) > 0:
        rows.append(("and", [f"{more} more fields"]))
    return rows


def _shown(value: Any) -> str:
    """A value on one line, quoted where it is text, and bounded."""
    if isinstance(value, str):
        return quoted(value, _VALUE)
    return one_line(json.dumps(value, ensure_ascii=False), _VALUE)
