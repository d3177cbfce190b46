"""Code that is worked on: drafts, edits, differences, generating; and deleting workflows."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, query_flag, query_int, read_body
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of, whole_number
from codewords_mcp.http.progress import answer, watched
from codewords_mcp.http.responses import NDJSON, JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.authoring import Draft, DraftServing, Edit, EditedDraft, Generation
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.workflow import Consent, DraftReview

_MANY = 1 << 31


class DraftBody(Body):
    """`code` is the whole file; `example` an input that it answers, kept with it. `check` false only stores it."""

    code: str
    name: str = ""
    description: str = ""
    example: Any = None
    check: bool = True


class ServingBody(Body):
    """`code` is the draft's code from now on; without it the draft is served for another while.

    `debug`: one sandbox serves its runs, with debugpy in it, which `WS /drafts/{draft_id}/debugger` reaches.

    `workflow`: the caller's workflow that the code is a change of; what its live version may do is agreed to already.
    `config`: plain configuration values of its runs; those of `workflow` without it.
    `confirm`, the token of 403 `consent_needed`, says that a person agrees; `allow` agrees to whatever it asks.
    """

    code: str = ""
    workflow: str | None = None
    debug: bool = False
    config: dict[str, str] | None = None
    confirm: str | None = None
    allow: bool = False


class EditBody(Body):
    """One of `edits` (texts that stand in the code once, all or none), a unified `patch`, and other `code`.

    `revision`: of the draft as it was read; another answers 409. Of a workflow, 0 says that it has no draft yet, and
    `base_version` the live version that the change was made to; 409 where that is no longer so.
    """

    edits: list[Edit] = Field(default_factory=list[Edit])
    patch: str = ""
    code: str = ""
    revision: int | None = None
    base_version: int | None = None


class ReviewBody(Body):
    """`revision`: of the draft as it was read; another answers 409. `base_version` as in POST /deploy."""

    revision: int | None = None
    base_version: int | None = None


class GenerateBody(Body):
    """What the workflow takes, does and answers; and what it must or must not use."""

    description: str
    constraints: str = ""


class NameBody(Body):
    """The name under which a draft without a workflow is deployed."""

    name: str


class DeleteBody(Body):
    """`confirm`, the token of 403 `consent_needed`, says that a person agrees; `allow` agrees to whatever it asks."""

    confirm: str | None = None
    allow: bool = False


async def list_drafts(request: Request) -> Response:
    """By last change."""
    return JsonReply({"items": await runtime(request.scope).drafts.list(caller(request.scope))})


async def create_draft(request: Request) -> Response:
    """Check code and store it as a draft, whatever the checks find."""
    body = await read_body(request, DraftBody)
    made = runtime(request.scope).drafts.create(
        caller(request.scope),
        body.code,
        name=body.name,
        description=body.description,
        example=body.example,
        check=body.check,
    )
    return JsonReply(await watched(request, made))


async def serve(request: Request) -> Response:
    """Serve a draft to its owner, with this code, for another while."""
    body = await read_body(request, ServingBody)
    served, draft_id = runtime(request.scope).served_drafts, str(request.path_params["draft_id"])
    if not body.code:
        await served.renew(caller(request.scope), draft_id)
        return Response(status_code=204)
    # The HTTP API is used with a person's key, so its holder vouches for the consent.
    consent = Consent(allow=body.allow, confirm=body.confirm, by_person=True)

    async def work(progress: Progress) -> DraftServing:
        return await served.serve(
            caller(request.scope),
            draft_id,
            body.code,
            workflow=body.workflow,
            debug=body.debug,
            config=body.config,
            consent=consent,
            progress=progress,
        )

    return await answer(request, work)


async def get_draft(request: Request) -> Response:
    """Return one draft, with its code on request."""
    code = query_flag(request, "code", default=False)
    draft_id = request.path_params["draft_id"]
    return JsonReply(
        await runtime(request.scope).drafts.get(caller(request.scope), draft_id, include_code=code)
    )


async def edit(request: Request) -> Response:
    """Change a draft, or make one of a workflow's live version."""
    body = await read_body(request, EditBody)
    made = runtime(request.scope).drafts.edit(
        caller(request.scope),
        _subject(request),
        edits=body.edits,
        patch=body.patch,
        code=body.code,
        revision=body.revision,
        base_version=body.base_version,
    )
    return JsonReply(await watched(request, made))


async def diff(request: Request) -> Response:
    """Compare a draft with its origin, or two versions."""
    found = await runtime(request.scope).reviews.diff(
        caller(request.scope),
        _subject(request),
        version=query_int(request, "version", low=1, high=_MANY),
        against=query_int(request, "against", low=1, high=_MANY),
    )
    return JsonReply({"diff": found})


async def review(request: Request) -> Response:
    """Check and replay a draft beside what is live; nothing is deployed."""
    body = await read_body(request, ReviewBody)

    async def work(progress: Progress) -> DraftReview:
        return await runtime(request.scope).reviews.of_draft(
            caller(request.scope),
            request.path_params["draft_id"],
            revision=body.revision,
            base_version=body.base_version,
            progress=progress,
        )

    return await answer(request, work)


async def rename_draft(request: Request) -> Response:
    """Call a draft by another name; its code and revision stay."""
    body = await read_body(request, NameBody)
    drafts = runtime(request.scope).drafts
    return JsonReply(await drafts.rename(caller(request.scope), request.path_params["draft_id"], body.name))


async def delete_draft(request: Request) -> Response:
    """At once."""
    await runtime(request.scope).drafts.delete(caller(request.scope), request.path_params["draft_id"])
    return Response(status_code=204)


async def delete_workflow(request: Request) -> Response:
    """With its versions, schedules and webhooks, once a person agrees; its runs stay."""
    body = await read_body(request, DeleteBody)
    # The HTTP API is used with a person's key, so its holder vouches for the consent.
    consent = Consent(allow=body.allow, confirm=body.confirm, by_person=True)
    await runtime(request.scope).workflows.delete(
        caller(request.scope), request.path_params["service_id"], consent=consent
    )
    return Response(status_code=204)


async def deletion(request: Request) -> Response:
    """Count what the deletion of a workflow removes, pauses and cancels."""
    counts = await runtime(request.scope).workflows.deletion(
        caller(request.scope), request.path_params["service_id"]
    )
    return JsonReply(counts)


async def generate(request: Request) -> Response:
    """Let a model write a workflow until it passes its checks: a draft, or a brief where no model can be asked."""
    body = await read_body(request, GenerateBody)

    async def work(progress: Progress) -> Generation:
        return await runtime(request.scope).authoring.generate(
            caller(request.scope), body.description, constraints=body.constraints, progress=progress
        )

    return await answer(request, work)


def _subject(request: Request) -> str:
    params = request.path_params
    return str(params.get("draft_id") or params["service_id"])


_DIFF = {"type": "object", "required": ["diff"], "properties": {"diff": {"type": "string"}}}
_AGAINST = Parameter(
    "against", "The version to compare with; the one before otherwise.", whole_number(1, _MANY)
)

OPERATIONS = [
    HttpOperation("GET", "/drafts", "List drafts", list_drafts, reply=items_of(Draft)),
    HttpOperation("POST", "/drafts", "Keep code as a draft", create_draft, body=DraftBody, reply=EditedDraft),
    HttpOperation(
        "GET", "/drafts/{draft_id}", "One draft", get_draft, reply=Draft,
        parameters=(Parameter("code", "1 adds the code.", {"type": "integer", "enum": [0, 1], "default": 0}),),
    ),
    HttpOperation("PUT", "/drafts/{draft_id}/name", "Rename a draft", rename_draft, body=NameBody, reply=Draft),
    HttpOperation(
        "PUT", "/drafts/{draft_id}/serving", "Serve a draft while it is worked on", serve, body=ServingBody,
        reply=DraftServing, other_media=(NDJSON,),
        description="Its owner calls it at `/run/{draft_id}/{path}` like a workflow, for 90 s after each such request: then, or "
        "when it is deleted, it is served no longer. Its code is stored unchecked, as the next revision. An environment may "
        "have to be built: with `Accept: application/x-ndjson` it streams `{progress}` lines, then `{result}` or `{error}`. "
        "Without `code` it answers 204, or 404 where the draft is not served.",
    ),
    HttpOperation("DELETE", "/drafts/{draft_id}", "Delete a draft", delete_draft, status=204),
    HttpOperation("POST", "/drafts/{draft_id}/edits", "Change a draft", edit, body=EditBody, reply=EditedDraft),
    HttpOperation("GET", "/drafts/{draft_id}/diff", "What a draft changes", diff, parameters=(_AGAINST,), reply=_DIFF),
    HttpOperation(
        "POST", "/drafts/{draft_id}/review", "What a deploy of a draft would change, and ask for", review,
        body=ReviewBody, reply=DraftReview, other_media=(NDJSON,),
        description="Nothing is deployed. Takes a while: with `Accept: application/x-ndjson` it streams `{progress}` lines, "
        "then `{result}` or `{error}`.",
    ),
    HttpOperation(
        "POST", "/workflows/{service_id}/edits", "Make a draft of the live version, with a change", edit,
        body=EditBody, reply=EditedDraft,
    ),
    HttpOperation(
        "GET", "/workflows/{service_id}/diff", "What is different between two versions", diff, reply=_DIFF,
        parameters=(Parameter("version", "The later one; the live one otherwise.", whole_number(1, _MANY)), _AGAINST),
    ),
    HttpOperation(
        "DELETE", "/workflows/{service_id}", "Delete a workflow with its versions, schedules and webhooks", delete_workflow,
        body=DeleteBody, status=204,
        description="Without `confirm` or `allow` it answers 403 `consent_needed`. Runs stay; while some go on, 409.",
    ),
    HttpOperation(
        "GET", "/workflows/{service_id}/deletion", "Count what goes with a workflow when it is deleted", deletion,
        reply=Deletion,
    ),
    HttpOperation(
        "POST", "/generate", "Let a model write a workflow", generate, body=GenerateBody, reply=Generation,
        other_media=(NDJSON,),
        description="Takes a while: with `Accept: application/x-ndjson` it streams `{progress}` lines, then `{result}` or "
        "`{error}`. The same body again goes on with what was broken off.",
    ),
]  # fmt: skip
