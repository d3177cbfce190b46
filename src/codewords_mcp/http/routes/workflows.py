"""Deploy, validate, look at and roll back workflows."""

from __future__ import annotations

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, query_flag, query_int, read_body
from codewords_mcp.http.operations import HttpOperation, Parameter, items_of, page_of, whole_number
from codewords_mcp.http.progress import answer
from codewords_mcp.http.responses import NDJSON, JsonReply
from codewords_mcp.http.state import SESSION, caller, runtime
from codewords_mcp.runtime.model.authoring import Template
from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.validation import ValidationReport
from codewords_mcp.runtime.model.workflow import (
    CodeReview,
    Consent,
    Deployment,
    ListedWorkflow,
    TriggerInput,
    WorkflowDetail,
)

_MANY = 1 << 31


class ValidateBody(Body):
    """`code` is the whole file, with its PEP 723 header.

    `draft_id`: it is checked as an edit of this draft would be, with the draft's input. `start` false leaves out what takes
    long: its environment, and starting it.
    """

    code: str
    draft_id: str | None = None
    start: bool = True


class DeployBody(Body):
    """One of `code`, `template_id` and `draft_id`. With `service_id`, a new version of that workflow.

    Without it, a `name` that another workflow has answers 409, with its `service_id`. `base_version` is the live version
    that the code began from; where other code is live, 409 with `live_changes` and `own_changes`. `config` replaces the
    workflow's plain configuration values, with the version.

    A draft is a new version of what it was made of; with `revision` it has to be that one.

    Recorded runs are replayed on a new version first, unless `replay` is false; what is worse or writes anew is asked for.
    So is one that fails a recorded test, unless `tests` is false.
    A version that may do more than the live one gets 403 `consent_needed`, with what it asks for. Then `confirm`, the
    token of that answer, says that a person agrees to exactly that; `allow` agrees to whatever it asks. With a key of the
    scope `deploy` neither counts: a person answers on the question's page.
    A new workflow from a template of the gallery needs neither: its code is known, and the key's holder chose it.
    `capabilities` of the answer has what it may do; with `ask` it is asked first, too.
    """

    code: str | None = None
    template_id: str | None = None
    draft_id: str | None = None
    revision: int | None = None
    name: str | None = None
    service_id: str | None = None
    base_version: int | None = None
    description: str = ""
    public: bool | None = None
    config: dict[str, str] | None = None
    replay: bool = True
    tests: bool = True
    confirm: str | None = None
    allow: bool = False
    ask: bool = False


class CodeReviewBody(Body):
    """Fields as of `POST /deploy`. `ask`: open the question of the deploy, whose page is the `url` of the response.

    `inputs` are tried against the schemas of the routes; `misfits` of the response has a sentence for each that is refused.
    """

    code: str
    name: str | None = None
    service_id: str | None = None
    base_version: int | None = None
    config: dict[str, str] | None = None
    inputs: list[TriggerInput] = Field(default_factory=list[TriggerInput])
    ask: bool = False


class TemplateBody(Body):
    """`category`: lower-case letters, digits and dashes."""

    category: str = "own"


class RollbackBody(Body):
    """The version to serve, as GET /workflows/{service_id} lists them."""

    version: int


async def validate(request: Request) -> Response:
    """Run every check; a failing check is a result, not an error."""
    body = await read_body(request, ValidateBody)

    async def work(progress: Progress) -> ValidationReport:
        return await runtime(request.scope).authoring.validate(
            caller(request.scope), body.code, draft_id=body.draft_id, start=body.start, progress=progress
        )

    return await answer(request, work)


async def deploy(request: Request) -> Response:
    """Validate, build and make live; any failure leaves the version before serving."""
    body = await read_body(request, DeployBody)

    async def work(progress: Progress) -> Deployment:
        return await runtime(request.scope).workflows.deploy(
            caller(request.scope),
            code=body.code,
            template_id=body.template_id,
            draft_id=body.draft_id,
            revision=body.revision,
            name=body.name,
            service_id=body.service_id,
            base_version=body.base_version,
            description=body.description,
            public=body.public,
            config=body.config,
            by=_deployer(request),
            replay=body.replay,
            tests=body.tests,
            consent=_consent(request, body),
            progress=progress,
        )

    return await answer(request, work)


def _consent(request: Request, body: DeployBody) -> Consent:
    """The consent that the request brings: its holder vouches for a person, unless its key may deploy only.

    The console shows the question of every template, since its person has seen a title only.
    """
    agrees = caller(request.scope).agrees
    gallery = agrees and not body.ask and not request.scope.get(SESSION)
    return Consent(allow=body.allow and agrees, confirm=body.confirm, by_person=agrees, gallery=gallery)


async def review(request: Request) -> Response:
    """Check and replay code beside what is live; nothing is deployed."""
    body = await read_body(request, CodeReviewBody)

    async def work(progress: Progress) -> CodeReview:
        return await runtime(request.scope).reviews.of_code(
            caller(request.scope),
            body.code,
            name=body.name,
            service_id=body.service_id,
            base_version=body.base_version,
            config=body.config,
            inputs=body.inputs,
            ask=body.ask,
            progress=progress,
        )

    return await answer(request, work)


def _deployer(request: Request) -> str:
    """Name the console, where its session asks; "" for whoever has a key."""
    if request.scope.get(SESSION):
        return f"{item(caller(request.scope).owner, 64)}, in the console"
    return ""


async def list_templates(request: Request) -> Response:
    """List templates: the gallery and the caller's own."""
    query = request.query_params
    found = await runtime(request.scope).templates.list(
        caller(request.scope), query=query.get("query", ""), category=query.get("category", "")
    )
    return JsonReply({"items": found})


async def share_template(request: Request) -> Response:
    """Put a workflow among the caller's templates."""
    body = await read_body(request, TemplateBody)
    service_id = request.path_params["service_id"]
    await runtime(request.scope).templates.share(caller(request.scope), service_id, body.category)
    return Response(status_code=204)


async def unshare_template(request: Request) -> Response:
    """The workflow stays."""
    service_id = request.path_params["service_id"]
    await runtime(request.scope).templates.share(caller(request.scope), service_id, None)
    return Response(status_code=204)


async def list_workflows(request: Request) -> Response:
    """By last change."""
    workflows = runtime(request.scope).workflows
    if query_flag(request, "recent", default=False):
        listed = workflows.list_with_runs
    else:
        listed = workflows.list
    page = await listed(
        caller(request.scope),
        query=request.query_params.get("query", ""),
        limit=query_int(request, "limit", low=1, high=100) or 20,
        cursor=request.query_params.get("cursor"),
    )
    return JsonReply(page)


async def get_workflow(request: Request) -> Response:
    """Return one workflow, with its code on request; another owner's public one as its runners see it."""
    workflows, service_id = runtime(request.scope).workflows, request.path_params["service_id"]
    public = await workflows.get_public(caller(request.scope), service_id)
    if public is not None:
        return JsonReply(public)

    detail = await workflows.get(
        caller(request.scope),
        service_id,
        version=query_int(request, "version", low=1, high=_MANY),
        include_code=query_flag(request, "code", default=False),
    )
    return JsonReply(detail)


async def rollback(request: Request) -> Response:
    """Switch to another version immediately."""
    body = await read_body(request, RollbackBody)
    service_id = request.path_params["service_id"]
    return JsonReply(
        await runtime(request.scope).workflows.rollback(caller(request.scope), service_id, body.version)
    )


_STREAMS = "Takes a while: with `Accept: application/x-ndjson` it streams `{progress}` lines, then `{result}` or `{error}`."

OPERATIONS = [
    HttpOperation(
        "POST", "/validate", "Check a workflow's code", validate,
        description=_STREAMS, body=ValidateBody, reply=ValidationReport, other_media=(NDJSON,),
    ),
    HttpOperation(
        "POST", "/deploy", "Deploy code or a template", deploy,
        description=_STREAMS, body=DeployBody, reply=Deployment, other_media=(NDJSON,),
    ),
    HttpOperation(
        "POST", "/deploy/review", "What a deploy of code would change, and ask for", review,
        description=f"Nothing is deployed. {_STREAMS}", body=CodeReviewBody, reply=CodeReview,
    ),
    HttpOperation(
        "GET", "/templates", "Workflows to start from", list_templates,
        parameters=(
            Parameter("query", "Only those that share words with this, the best first.", {"type": "string"}),
            Parameter("category", "Only those of this category.", {"type": "string"}),
        ),
        reply=items_of(Template),
    ),
    HttpOperation(
        "PUT", "/workflows/{service_id}/template", "Put a workflow among your templates", share_template,
        body=TemplateBody, status=204,
        description="GET /templates lists it under the workflow's id, and POST /deploy takes it: the live version's code.",
    ),
    HttpOperation(
        "DELETE", "/workflows/{service_id}/template", "Take a workflow out of your templates", unshare_template, status=204,
    ),
    HttpOperation(
        "GET", "/workflows", "List workflows", list_workflows,
        parameters=(
            Parameter("query", "Only names and descriptions with this text.", {"type": "string"}),
            Parameter("limit", "At most so many, 1 to 100.", whole_number(1, 100, default=20)),
            Parameter("cursor", "`next_cursor` of the page before.", {"type": "string"}),
            Parameter(
                "recent", "1 adds the last 10 runs of each and how many schedules it has.",
                {"type": "integer", "enum": [0, 1], "default": 0},
            ),
        ),
        reply=page_of(ListedWorkflow),
    ),
    HttpOperation(
        "GET", "/workflows/{service_id}", "One workflow: routes, versions, last runs", get_workflow, reply=WorkflowDetail,
        description="Of another owner's public workflow: the live version's routes and permissions, and your last runs.",
        parameters=(
            Parameter("version", "Of this version; the live one otherwise.", whole_number(1, _MANY)),
            Parameter("code", "1 adds the code.", {"type": "integer", "enum": [0, 1], "default": 0}),
        ),
    ),
    HttpOperation(
        "POST", "/workflows/{service_id}/rollback", "Make another version live", rollback,
        body=RollbackBody, reply=Deployment,
    ),
]  # fmt: skip
