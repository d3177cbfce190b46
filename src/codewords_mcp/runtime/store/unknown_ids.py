"""Errors for ids of workflows and drafts that are unknown, with the id that was probably meant."""

from __future__ import annotations

import difflib
from typing import Final

from sqlalchemy import Connection, select

from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction, deploy_draft
from codewords_mcp.runtime.model.authoring import DRAFT_ID
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import drafts, workflows

NO_WORKFLOW: Final = "There is no workflow of that id."
_MAX_COMPARED = 500
"""The workflows and drafts, changed last, whose names are compared."""
_MAX_LENGTH = 100
_ALIKE = 0.75


def no_workflow(
    connection: Connection, owner: str | None, unknown_id: str, message: str = NO_WORKFLOW
) -> NotFound:
    """Make the error for an id that is no workflow's, perhaps a name or a draft's id.

    `owner`: whose workflows and drafts may be named in it; None for nobody's.
    """
    if owner is None:
        return NotFound(message, remedy=Remedy(RemedyAction.LIST_WORKFLOWS))
    if DRAFT_ID.fullmatch(unknown_id):
        if _has_draft(connection, owner, unknown_id):
            return NotFound("A draft serves nobody until it is deployed.", remedy=deploy_draft(unknown_id))
        return no_draft(connection, owner, unknown_id)

    meant = _nearest(_workflow_names(connection, owner), unknown_id) or _nearest(
        _draft_names(connection, owner), unknown_id
    )
    if meant:
        return NotFound(message, hint=f"Did you mean {meant}?")
    return NotFound(message, remedy=Remedy(RemedyAction.LIST_WORKFLOWS))


def no_draft(connection: Connection, owner: str, unknown_id: str) -> NotFound:
    """Make the error for an id of a draft that is not there."""
    message = "There is no draft of that id: it was deleted, deployed or has expired."
    meant = _nearest(_draft_names(connection, owner), unknown_id)
    if meant:
        return NotFound(message, hint=f"Did you mean {meant}?")
    return NotFound(message, remedy=Remedy(RemedyAction.LIST_DRAFTS))


def _has_draft(connection: Connection, owner: str, draft_id: str) -> bool:
    found = select(drafts.c.id).where(
        drafts.c.id == draft_id, drafts.c.owner == owner, drafts.c.expires_at > now()
    )
    return connection.execute(found).first() is not None


def _workflow_names(connection: Connection, owner: str) -> list[tuple[str, str]]:
    """(id, name) of the owner's workflows, last changed first."""
    query = select(workflows.c.id, workflows.c.name).where(workflows.c.owner == owner)
    query = query.order_by(workflows.c.updated_at.desc(), workflows.c.id).limit(_MAX_COMPARED)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _draft_names(connection: Connection, owner: str) -> list[tuple[str, str]]:
    """(id, name) of the owner's drafts, last changed first."""
    query = select(drafts.c.id, drafts.c.name).where(drafts.c.owner == owner, drafts.c.expires_at > now())
    query = query.order_by(drafts.c.updated_at.desc(), drafts.c.id).limit(_MAX_COMPARED)
    return [(row[0], row[1]) for row in connection.execute(query)]


def _nearest(known: list[tuple[str, str]], unknown: str) -> str | None:
    """The id whose own text or whose name is meant: the same, a part of it, or one that differs little."""
    # A caller chooses the length, and comparing takes time that grows with its square.
    text = " ".join(unknown[:_MAX_LENGTH].lower().split())
    if not text:
        return None

    by_text: dict[str, str] = {}
    for known_id, name in known:
        # Of equal names the first one counts, which was changed last.
        by_text.setdefault(known_id.lower(), known_id)
        by_text.setdefault(" ".join(name.lower().split()), known_id)
    if text in by_text:
        return by_text[text]
    for other, known_id in by_text.items():
        if text in other:
            return known_id

    near = difflib.get_close_matches(text, by_text, n=1, cutoff=_ALIKE)
    return by_text[near[0]] if near else None
