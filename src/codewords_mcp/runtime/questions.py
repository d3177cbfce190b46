"""What a person is asked before something is done: a deploy that asks for more, a deletion, a call that may change something."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from codewords_mcp.runtime.manifest import Grant, described, tabled

Rows = list[tuple[str, list[str]]]
_TO_DEPLOY: Final = (
    "Open {url} in a browser and agree, then deploy again. "
    '`codewords deploy --allow`, or "allow": true, agrees where nobody is there to ask.'
)
_TO_RUN: Final = "Open {url} in a browser and agree, then run it again."
_TO_DELETE: Final = "Open {url} in a browser and agree, then delete again."
_TO_CALL: Final = "Open {url} in a browser and agree, then make the same call again."
_NAME, _ACCOUNT, _VALUE = 40, 80, 600
"""Characters that are shown of a field's name, of an account's id, of a value."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How a question is put: in a reply, on the page, and once it is answered. `hint` has a place for its address."""

    message: str
    hint: str
    title: str
    about: str
    agreed: str
    declined: str


@dataclass(frozen=True, slots=True)
class Question:
    """`rows` are what kind of thing is asked for, and each of it, none where nothing is; `lines` the same for a terminal.

    Questions of equal digests are the same one.
    """

    owner: str
    digest: str
    rows: Rows
    lines: list[str]
    wording: Wording


def of_deploy(
    owner: str,
    name: str,
    service_id: str | None,
    live: int | None,
    grants: Sequence[Grant],
    *,
    unknown_before: bool = False,
) -> Question:
    """What a version asks for beyond what was agreed. `service_id` and `live` are None for a new workflow.

    `unknown_before`: the live version is of before there were manifests, so that nothing has been agreed yet.
    """
    message, about = "This workflow was not deployed: a person has to agree to what it may do.", "It asks for"
    if live is not None:
        why = (
            "its versions so far were deployed without a manifest, so nothing has been agreed yet"
            if unknown_before
            else "it asks for more than was agreed"
        )
        message = f"This version was not deployed: {why}. Version {live} goes on serving."
        about = f"Version {live}, which is live now, may not do this. The new one asks for"
    wording = Wording(
        message=message,
        hint=_TO_DEPLOY,
        title=f"May the workflow {name} do this?",
        about=about,
        agreed=f"{name} can be deployed with exactly that. Deploying again makes it live.",
        declined="A person declined what this version asks for; nothing was deployed.",
    )
    # a new workflow is known by its name, an old one by its id
    digest = _digest(owner, service_id or f"new {name}", live, sorted(grants))
    return Question(owner, digest, tabled(grants), described(grants), wording)


def of_run(
    owner: str, service_id: str, author: str, digest: str, grants: Sequence[Grant], *, again: bool
) -> Question:
    """A workflow of another owner is to run for this one. `digest` is of what it may do; `again`: less was agreed before."""
    said = f"{_shown(service_id, _ACCOUNT)} of {_shown(author, _ACCOUNT)}"
    wording = Wording(
        message=f"{said} was not run: it is another owner's, so you have to agree to what it may do for you.",
        hint=_TO_RUN,
        title=f"May the workflow {said} do this with your rights?",
        about="It asks for more than you agreed to" if again else "It asks for",
        agreed=f"{said} may run for you with exactly that. Run it again.",
        declined=f"You declined what {said} asks for; it was not run.",
    )
    others = [grant for grant in grants if grant.kind != "secret"]
    held = [
        f"{grant.item}, where you run it with Run-As-Template" for grant in grants if grant.kind == "secret"
    ]
    rows = tabled(others) + ([("your secrets", held)] if held else [])
    lines = described(others) + ([f"your secrets {', '.join(held)}"] if held else [])
    return Question(owner, _digest(owner, "run", service_id, digest, sorted(grants)), rows, lines, wording)


def of_deletion(owner: str, name: str, service_id: str, live: int | None, versions: int) -> Question:
    """A workflow is to be deleted, with so many versions. `live` is the one that serves."""
    what = f"{versions} version{'s' if versions > 1 else ''} and its schedules and webhooks, for good"
    wording = Wording(
        message="Nothing was deleted: a person has to agree to that.",
        hint=_TO_DELETE,
        title=f"Delete the workflow {name}?",
        about="This goes; its runs stay on record",
        agreed=f"{name} can be deleted. Deleting again carries it out.",
        declined="A person declined; nothing was deleted.",
    )
    rows = [("deletes", [f"{name}: {what}"])]
    return Question(owner, _digest(owner, "delete", service_id, live, versions), rows, _lines(rows), wording)


def of_call(owner: str, action: str, props: dict[str, Any], account: str | None) -> Question:
    """One call of an integration's action that may change something, with exactly these fields and this account."""
    rows = [("action", [action]), *((_shown(name, _NAME), [_shown(props[name], _VALUE)]) for name in props)]
    if account:
        rows.append(("account", [_shown(account, _ACCOUNT)]))
    wording = Wording(
        message=f"{action} was not run: it may change something, so a person has to agree first.",
        hint=_TO_CALL,
        title="May the assistant do this now, once?",
        about="It is about to do this",
        agreed="The call can be made with exactly that, once. Ask the assistant to go on.",
        declined=f"A person declined this call of {action}; nothing was run.",
    )
    digest = _digest(owner, "call", action, account, json.dumps(props, sort_keys=True))
    return Question(owner, digest, rows, _lines(rows), wording)


def _lines(rows: Rows) -> list[str]:
    return [f"{kind}: {', '.join(items)}" for kind, items in rows]


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _shown(value: Any, most: int) -> str:
    """On one line, and bounded."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    flat = " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
    return flat if len(flat) <= most else f"{flat[:most]}… ({len(flat) - most} more characters)"
