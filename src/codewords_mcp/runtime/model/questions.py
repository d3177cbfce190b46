"""Questions to a person before an operation: a deploy with new permissions, a deletion, a writing
call.

A question names the asker, the workflow and version, and the reason. Text from programs and models
is an item of its own, by `plain.item`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.code_difference import MOST_SHOWN, CodeDifference
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.grants import Grant, describe_grants, tabulate_grants
from codewords_mcp.runtime.model.plain_text import item, one_line, quoted
from codewords_mcp.runtime.model.workflow import DeployChanges

Rows = list[tuple[str, list[str]]]
MatterKind = Literal["deploy", "run", "serve", "delete", "rollback", "call", "apply"]
GRANTING: Final = frozenset({"deploy", "run", "serve", "rollback"})
"""Kinds of questions whose yes gives a program permissions, and does not only let one call be made."""
_TO_DEPLOY: Final = (
    'Open {url} in a browser and agree, then deploy again. "allow": true agrees where nobody is there to ask.'
)
_TO_RUN: Final = "Open {url} in a browser and agree, then run it again."
_TO_DELETE: Final = "Open {url} in a browser and agree, then delete again."
TO_CALL: Final = "Open {url} in a browser and agree, then make the same call again."
_TITLE, _ACCOUNT = 100, 80
"""Maximum characters shown of a workflow's name, and of an id."""
_REPLAYS, _TEST = "in replays: ", "fails a test: "
BEHAVIOUR: Final = (_REPLAYS, _TEST)
"""Beginnings of the lines that are about what a version does, and not about its permissions."""
_SAME: Final = CodeDifference()


@dataclass(frozen=True, slots=True)
class Wording:
    """The text of a question: in a response, on the page, and after its answer.

    `hint` has a slot for the address. `title` is the question itself. `asker` names the asker and
    the channel. `yes` and `no` are buttons, which say what they do.
    """

    message: str
    hint: str
    title: str
    about: str
    agreed: str
    declined: str
    asker: str = ""
    yes: str = "Agree"
    no: str = "Decline"


@dataclass(frozen=True, slots=True)
class Matter:
    """The subject of a question as the audit trail has it: no text of a program or a model is in it.

    `target` is the id of a thing, or the name of an action. `facts` are numbers, ids and hashes.
    """

    kind: MatterKind
    target: str = ""
    facts: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Question:
    """`rows` are the kinds of permissions with their items, if any; `lines` the same for a
    terminal.

    Questions of equal digests are the same. `diff` is the code's difference to the live version,
    None where it is too large to be shown: then nobody is asked. `changes` is what else a deploy
    changes. `service_id` is the workflow that it is about, if any.
    """

    owner: str
    matter: Matter
    digest: str
    rows: Rows
    lines: list[str]
    wording: Wording
    diff: str | None = ""
    changes: DeployChanges | None = None
    service_id: str = ""

    def with_asker(self, asker: str) -> Question:
        """Return the same question with its asker."""
        return replace(self, wording=replace(self.wording, asker=one_line(asker)))


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that waits, as its page shows it. `changes` has the whole difference of a deploy."""

    wording: Wording
    rows: Rows
    diff: str
    created_at: datetime
    expires_at: datetime
    changes: DeployChanges | None = None
    service_id: str = ""


def of_deploy(
    owner: str,
    name: str,
    service_id: str | None,
    live: int | None,
    grants: Sequence[Grant],
    *,
    unknown_before: bool = False,
    code_hash: str = "",
    difference: CodeDifference = _SAME,
) -> Question:
    """Ask for a version's permissions beyond the agreed ones.

    `service_id`, `live`: None for a new workflow.

    `unknown_before`: the live version is older than manifests, so nothing was agreed yet. An answer
    is for the code of `code_hash`, whose whole difference to the live version the person could see.
    """
    shown = quoted(name, _TITLE)
    message = f"The workflow {shown} was not deployed: a person has to agree to what it may do."
    about, title = "It asks for", f"Deploy the new workflow {shown}, which may do this?"

    if live is not None:
        if unknown_before:
            why = "its versions so far were deployed without a manifest, so nothing has been agreed yet"
        else:
            why = "it asks for more than was agreed"

        message = f"This version of {shown} was not deployed: {why}. Version {live} goes on serving."
        title = f"Deploy a new version of the workflow {shown}, which may do this?"
        about = f"Version {live} of {service_id}, which is live now, may not do this. The new one asks for"

    wording = Wording(
        message=message,
        hint=_TO_DEPLOY,
        title=title,
        about=about,
        agreed=f"{shown} can be deployed with exactly that. Deploying again makes it live.",
        declined="A person declined what this version asks for; nothing was deployed.",
        yes=f"Agree to exactly this: {shown} may be deployed",
        no="No, don't deploy it",
    )
    # a new workflow is known by its name, an old one by its id
    digest = digest_of(owner, service_id or f"new {name}", live, sorted(grants), code_hash)
    diff: str | None = difference.text()
    if len(diff) > MOST_SHOWN:
        diff = None
    matter = Matter(
        "deploy",
        service_id or "",
        {"live": str(live or 0), "code": code_hash, "permissions": _permissions(grants)},
    )
    return Question(
        owner, matter, digest, tabulate_grants(grants), describe_grants(grants), wording, diff,
        service_id=service_id or "",
    )  # fmt: skip


def of_run(
    owner: str, service_id: str, author: str, digest: str, grants: Sequence[Grant], *, again: bool, asker: str
) -> Question:
    """Ask an owner to run another owner's workflow. `author` published it; `asker` wants to run it.

    `digest` is of its permissions; `again`: the owner agreed to fewer before.
    """
    workflow = item(service_id, _ACCOUNT)
    publisher = item(author, _ACCOUNT)
    wording = Wording(
        message=f"{workflow} was not run: {publisher} published it, so you have to agree to what it may do for you.",
        hint=_TO_RUN,
        title=f"May the workflow {workflow}, published by {publisher}, do this with your rights?",
        about="It asks for more than you agreed to" if again else "It asks for",
        agreed=f"{workflow} may run for you with exactly that. Run it again.",
        declined=f"You declined what {workflow} asks for; it was not run.",
        asker=one_line(asker),
        yes=f"Agree: {workflow} may do exactly this for me",
        no="No, don't let it run for me",
    )
    # Secrets of the runner are passed only with Run-As-Template, so they are worded apart.
    others = [grant for grant in grants if grant.kind != "secret"]
    needed_secrets = [
        f"{grant.item}, where you run it with Run-As-Template" for grant in grants if grant.kind == "secret"
    ]
    rows = tabulate_grants(others) + ([("your secrets", needed_secrets)] if needed_secrets else [])
    lines = describe_grants(others) + (
        [f"your secrets {', '.join(needed_secrets)}"] if needed_secrets else []
    )

    subject = digest_of(owner, "run", service_id, digest, sorted(grants))
    matter = Matter("run", service_id, {"permissions": _permissions(grants)})
    return Question(owner, matter, subject, rows, lines, wording, service_id=service_id)


def of_serving(owner: str, draft_id: str, name: str, grants: Sequence[Grant]) -> Question:
    """Ask to serve a draft to its owner, who works on it, with permissions that nobody agreed to yet."""
    shown = quoted(name, _TITLE)
    wording = Wording(
        message=f"{shown} is not served: a person has to agree to what it may do.",
        hint=_TO_RUN,
        title=f"May {shown}, which is being worked on, do this?",
        about="It asks for",
        agreed=f"{shown} may do exactly that while it is worked on. Serve it again.",
        declined=f"A person declined what {shown} asks for; it is not served.",
        yes=f"Agree: {shown} may do exactly this",
        no="No, don't serve it",
    )
    digest = digest_of(owner, "serve", draft_id, sorted(grants))
    matter = Matter("serve", draft_id, {"permissions": _permissions(grants)})
    return Question(owner, matter, digest, tabulate_grants(grants), describe_grants(grants), wording)


def of_deletion(owner: str, name: str, service_id: str, live: int | None, deletion: Deletion) -> Question:
    """Ask for the deletion of a workflow. `live` is the live version."""
    shown = quoted(name, _TITLE)
    wording = Wording(
        message=f"The workflow {shown} was not deleted: a person has to agree to that.",
        hint=_TO_DELETE,
        title=f"Delete the workflow {shown}?",
        about="This goes; its runs stay on record",
        agreed=f"{shown} can be deleted. Deleting again carries it out.",
        declined="A person declined; nothing was deleted.",
        yes=f"Agree: {shown} may be deleted for good",
        no="No, keep it",
    )
    rows = [("deletes", [f"{item(service_id)}: {deletion.removed}, for good"])]
    if deletion.paused:
        rows.append(("pauses", [deletion.paused]))
    if deletion.cancelled:
        rows.append(("cancels", [deletion.cancelled]))

    # A person agrees to these numbers.
    digest = digest_of(owner, "delete", service_id, live, *deletion.model_dump().values())
    matter = Matter("delete", service_id, {"live": str(live or 0)})
    return Question(owner, matter, digest, rows, lines_of(rows), wording, service_id=service_id)


def of_rollback(
    owner: str, name: str, service_id: str, version: int, live: int, grants: Sequence[Grant] | None
) -> Question:
    """Ask for a rollback. `grants`: permissions beyond the live version's; None if unknown."""
    title = f"Make version {version} of the workflow {quoted(name, _TITLE)} live, in place of version {live}?"
    if grants is not None:
        more = tabulate_grants(grants or ())
    else:
        more = [("may do", ["what its code asks for"])]

    wording = Wording(
        message=f"Nothing was done yet: a person has to agree. {title}",
        hint=TO_CALL,
        title=title,
        about=f"It may do this, which version {live} may not" if more else "An assistant is about to do this",
        agreed="It can be done, once. Ask the assistant to go on.",
        declined="A person declined; nothing was done.",
        yes=f"Agree: version {version} may become live, once",
        no=f"No, stay on version {live}",
    )
    rows: Rows = [("workflow", [item(service_id)]), ("version", [str(version)]), *more]
    digest = digest_of(owner, "rollback", service_id, version, live, more)

    facts = {"version": str(version), "live": str(live), "permissions": _permissions(grants or ())}
    matter = Matter("rollback", service_id, facts)
    return Question(owner, matter, digest, rows, lines_of(rows), wording, service_id=service_id)


def with_remarks(question: Question, remarks: Rows, key: str) -> Question:
    """Say more about a call. Questions with another `key` are other ones."""
    first, *fields = question.rows
    rows: Rows = [first, *remarks, *fields]
    return replace(question, rows=rows, lines=lines_of(rows), digest=digest_of(question.digest, key))


def with_behaviour(
    question: Question, name: str, live: int, lines: Sequence[str], keys: Sequence[str]
) -> Question:
    """Ask for what a version does in replays of recorded runs too, beside its permissions.

    `lines` are for a person; questions with equal `keys` are the same.
    """
    wording = question.wording
    if not question.lines:
        shown = quoted(name, _TITLE)
        wording = replace(
            wording,
            message=f"This version of {shown} was not deployed: in replays of recorded runs it does worse, or writes what it "
            f"did not. Version {live} goes on serving.",
            title=f"Deploy a new version of the workflow {shown}, which does this?",
            about=f"In replays of recorded runs, beside version {live}, it does this",
            declined="A person declined what this version does; nothing was deployed.",
        )
    rows: Rows = [*question.rows, ("in replays", list(lines))]
    digest = digest_of(question.owner, question.digest, sorted(keys))
    shown_lines = [*question.lines, *(f"{_REPLAYS}{line}" for line in lines)]
    return replace(question, rows=rows, lines=shown_lines, digest=digest, wording=wording)


def with_missing(question: Question, lines: Sequence[str]) -> Question:
    """Say with the question what a version lacks: secrets without a value, services that can't be used.

    Nothing is asked by it, so the question stays the same one.
    """
    if not question.lines or not lines:
        return question
    rows: Rows = [*question.rows, ("missing yet", list(lines))]
    shown_lines = [*question.lines, *(f"missing yet: {line}" for line in lines)]
    return replace(question, rows=rows, lines=shown_lines)


def with_failed_tests(
    question: Question, name: str, live: int, lines: Sequence[str], failed: Sequence[str]
) -> Question:
    """Ask for a version that fails tests of its workflow too, beside what is asked already.

    `lines` are for a person; questions for the same `failed` runs are the same.
    """
    wording = question.wording
    if not question.lines:
        shown = quoted(name, _TITLE)
        wording = replace(
            wording,
            message=f"This version of {shown} was not deployed: it fails {len(failed)} of its recorded tests. "
            f"Version {live} goes on serving.",
            title=f"Deploy a new version of the workflow {shown}, which fails these tests?",
            about="In tests that are recorded runs, it does otherwise",
            agreed=f"{shown} can be deployed all the same. Deploying again makes it live.",
            declined="A person declined a version that fails its tests; nothing was deployed.",
        )
    rows: Rows = [*question.rows, ("fails tests", list(lines))]
    digest = digest_of(question.owner, question.digest, "tests", sorted(failed))
    shown_lines = [*question.lines, *(f"{_TEST}{line}" for line in lines)]
    return replace(question, rows=rows, lines=shown_lines, digest=digest, wording=wording)


def describe_key(caller: Caller) -> str:
    """The key that a caller has, and whose it is, as a question names it."""
    if caller.member is not None:
        name = item(caller.member.name, 64)
        return (
            f"a session of {name}" if caller.key_id == caller.member.id else f"key {caller.key_id} of {name}"
        )
    if caller.key_id:
        key = f"key {caller.key_id}"
    else:
        key = "the home's own key"
    return f"{key} of {item(caller.owner, 64)}"


def lines_of(rows: Rows) -> list[str]:
    """The rows of a question as lines of text."""
    return [f"{kind}: {', '.join(items)}" for kind, items in rows]


def _permissions(grants: Sequence[Grant]) -> str:
    return digest_of(sorted(grants))


def digest_of(*parts: object) -> str:
    """The digest of these parts, by which a question is known again."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
