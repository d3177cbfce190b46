"""Turn a person's name for a workflow or run into its id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from codewords_mcp.cli._completion import complete_workflow
from codewords_mcp.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from codewords_mcp.cli._client import RuntimeClient

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
WorkflowRef = Annotated[
    str,
    typer.Argument(
        metavar="WORKFLOW",
        help="A workflow's id or name, as `codewords list` shows them.",
        show_default=False,
        autocompletion=complete_workflow,
    ),
]
RunRef = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run's id, as `codewords runs` shows it, or `last`.", show_default=False
    ),
]

_ID = re.compile(r".+_[0-9a-f]{8}")
_DRAFT = re.compile(r"draft_[0-9a-f]{12}")


def part(text: str) -> str:
    """Quote an id as one part of a path, with any characters that were typed. Raises InvalidInput for no id."""
    # A client would normalize these out of the path, and call another route.
    if not text or text in {".", ".."}:
        raise InvalidInput("An id is missing.", hint="`codewords list` and `codewords runs` show ids.")
    return quote(text, safe="")


def is_draft(reference: str) -> bool:
    """Whether this is a draft's id."""
    return _DRAFT.fullmatch(reference) is not None


def workflow_id(client: RuntimeClient, reference: str) -> str:
    """The id of the workflow that was named. What is no workflow's name is taken as an id (a library service's).

    Raises InvalidInput where several workflows have the name, NotFound where none has it and one nearly has.
    """
    # No request for what has the form of an id.
    if _ID.fullmatch(reference):
        return reference

    page = client.record("GET", "/workflows", params={"query": reference, "limit": 100})
    ids = [str(item["service_id"]) for item in page["items"] if item["name"] == reference]
    if len(ids) > 1:
        raise InvalidInput(
            f"{len(ids)} workflows have this name: {', '.join(ids)}.", hint="Give the id of one of them."
        )

    if not ids:
        _refuse_typo(client, reference)
    if ids:
        return ids[0]

    return reference


def _refuse_typo(client: RuntimeClient, reference: str) -> None:
    """Raise NotFound where this is nearly the name of a workflow, and not that of a library service."""
    import difflib

    items = client.record("GET", "/workflows", params={"limit": 100})["items"]
    near = difflib.get_close_matches(reference, [str(item["name"]) for item in items], n=1, cutoff=0.75)
    # Services are called like workflows, and `github` is close to many names.
    if near and reference not in {service["name"] for service in client.items("/services")}:
        raise NotFound(f"There is no workflow {reference}.", hint=f"Did you mean {near[0]}?")


def run_id(client: RuntimeClient, reference: str) -> str:
    """The id of the run that was meant. Raises NotFound where `last` finds none."""
    if reference != "last":
        return reference
    newest = client.record("GET", "/runs", params={"limit": 1})["items"]
    if not newest:
        raise NotFound("There is no run yet.", hint="`codewords run WORKFLOW` makes one.")
    return str(newest[0]["id"])
