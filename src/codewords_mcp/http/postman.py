"""/postman.json: a Postman collection, made from the table of operations.

Three kinds of folders: a journey from deploy to deletion, one folder a tag with every operation, and on request one a workflow.
A run of the whole collection does the journey and reads: a request is skipped where a variable of its path has no value, and
where it changes something while the variable `allow_changes` is not `yes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp import __version__
from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.examples import EXAMPLES
from codewords_mcp.http.openapi import methods_of
from codewords_mcp.http.operations import HttpOperation, Parameter
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.services import operations_of
from codewords_mcp.http.state import caller, own_url, runtime
from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.model.workflow import WorkflowDetail

Item = dict[str, Any]
MAX_WORKFLOWS = 20
"""Workflows of one collection."""
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_ENDLESS = frozenset({"/events", "/sse", "/messages/", "/mcp", "/mcp/{toolset}", "/run/devx_mcp/mcp/"})
"""Paths whose answers do not end, or that speak MCP, which Postman has a kind of request for."""
_DESCRIPTION = """\
Every operation of this runtime, with an example each. Set the variable `apiKey` first.

*Start here* deploys a workflow, runs it and reads its run; *Clean up* deletes it. The folders between have every operation. \
Run as a whole, the collection does the journey and reads: requests that change something are skipped until the variable \
`allow_changes` is `yes`, and requests whose path needs an id that no variable has are skipped."""

_SKIP = [
    "const unset = pm.request.url.variables.filter(({value}) =>",
    "  /^{{\\w+}}$/.test(value) && !pm.variables.get(value.slice(2, -2)));",
    "if (unset.length) pm.execution.skipRequest();",
]
_SKIP_CHANGE = ["if (pm.variables.get('allow_changes') !== 'yes') pm.execution.skipRequest();"]


async def postman(request: Request, *, operations: Sequence[HttpOperation]) -> Response:
    """The collection, with a folder of each workflow that `workflow` names. Raises NotFound, InvalidInput."""
    scope, names = request.scope, request.query_params.getlist("workflow")
    if len(names) > MAX_WORKFLOWS:
        raise InvalidInput(f"A collection has at most {MAX_WORKFLOWS} workflows.")

    api = runtime(scope).workflows
    workflows = [
        await api.get_public(caller(scope), name) or await api.get(caller(scope), name)
        for name in dict.fromkeys(names)
    ]
    described, schemas = operations_of(await runtime(scope).services.list(caller(scope)))

    return JsonReply(
        collection([*operations, *described], own_url(scope), workflows, schemas),
        headers={"Content-Disposition": 'attachment; filename="codewords.postman_collection.json"'},
    )


def postman_operation(table: Sequence[HttpOperation]) -> HttpOperation:
    """The route that makes a collection of a table."""
    return HttpOperation(
        "GET", "/postman.json", "These routes as a Postman collection", partial(postman, operations=table), tag="runtime",
        description="With examples and tests: the journey from deploy to deletion, and each operation. Newman runs it.",
        parameters=(
            Parameter(
                "workflow", "Ids of workflows that get a folder each.",
                {"type": "array", "items": {"type": "string"}, "maxItems": MAX_WORKFLOWS},
            ),
        ),
        reply={"type": "object", "required": ["info", "item"]},
    )  # fmt: skip


def collection(
    operations: Iterable[HttpOperation],
    url: str,
    workflows: Iterable[WorkflowDetail] = (),
    schemas: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The collection (format 2.1) of these operations. `schemas` are what the services' bodies refer to."""
    maker = _ItemMaker(schemas or {})
    listed = [operation for operation in operations if operation.path not in _ENDLESS]
    by_name = {
        f"{method.upper()} {operation.path}": operation
        for operation in listed
        for method in methods_of(operation)
    }
    tagged = sorted(listed, key=_tag)
    folders = [
        {
            "name": tag,
            "item": [
                maker.item(operation, method) for operation in group for method in _shown_methods(operation)
            ],
        }
        # groupby needs its input sorted by the same key.
        for tag, group in groupby(tagged, key=_tag)
    ]

    return {
        "info": {
            "name": "codewords-mcp", "description": _DESCRIPTION, "schema": _SCHEMA, "version": __version__,
        },
        "auth": _auth("bearer"),
        "variable": [
            {"key": "baseUrl", "value": url},
            *({"key": name, "value": ""} for name in ("apiKey", "allow_changes", "service_id", "run_id")),
        ],
        "event": [_event("prerequest", _SKIP)],
        "item": [
            {"name": "Start here", "item": [maker.step(by_name, *step) for step in _JOURNEY]},
            *map(maker.workflow, workflows),
            *folders,
            {"name": "Clean up", "item": [maker.step(by_name, *step) for step in _END]},
        ],
    }  # fmt: skip


_SUCCEEDED = "pm.test('the run succeeded', () => pm.expect(pm.response.json().status).to.eql('succeeded'));"
_JOURNEY: tuple[tuple[str, Any, list[str]], ...] = (
    ("GET /healthz", None, []),
    ("GET /templates", None, [
        "pm.test('there are templates', () => pm.expect(pm.response.json().items).not.to.be.empty);",
    ]),
    # A name of its own, since a name that a workflow has is a conflict.
    ("POST /deploy", {"template_id": "greeting", "name": "Postman {{$timestamp}}", "allow": True}, [
        "pm.collectionVariables.set('service_id', pm.response.json().service_id);",
    ]),
    ("POST /run/{service_id}/{path}", {"name": "Ada"}, [
        "pm.test('it greets', () => pm.expect(pm.response.json().message).to.eql('Hello Ada!'));",
        "pm.collectionVariables.set('run_id', pm.response.headers.get('X-Request-Id'));",
    ]),
    ("GET /result/{run_id}", None, [_SUCCEEDED]),
    ("GET /logs/{run_id}", None, []),
)  # fmt: skip
"""Operations, their bodies, and the tests beside those that each request has."""
_END: tuple[tuple[str, Any, list[str]], ...] = (
    ("DELETE /workflows/{service_id}", {"allow": True}, [
        "pm.collectionVariables.unset('service_id');", "pm.collectionVariables.unset('run_id');",
    ]),
)  # fmt: skip


class _ItemMaker:
    """Makes requests of operations. `schemas` are the named schemas of services."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def item(self, operation: HttpOperation, method: str) -> Item:
        """A request of an operation, which may be answered by an error: what it asks for may not be there."""
        made = self._request(operation, method, self._example(operation, method))
        if operation.rule.effect == "writes":
            made["event"].append(_event("prerequest", _SKIP_CHANGE))
        made["event"].append(_event("test", [
            "pm.test('answers as described, or with an error that has a code', () => {",
            f"  if (pm.response.code === {operation.status}) return;",
            # A page says what is wrong in words.
            "  const isPage = pm.response.headers.get('Content-Type').startsWith('text/html');",
            "  if (isPage) return pm.expect(pm.response.code).to.be.below(500);",
            "  pm.expect(pm.response.json().error.code).to.be.a('string').and.not.eql('internal_error');",
            "});",
        ]))  # fmt: skip
        return made

    def step(self, by_name: Mapping[str, HttpOperation], name: str, body: Any, tests: list[str]) -> Item:
        """A request of the journey, which has to succeed."""
        operation, method = by_name[name], name.partition(" ")[0].lower()
        made = self._request(operation, method, body)
        if name.startswith("GET /logs/"):
            # Else it would wait for more lines.
            made["request"]["url"] = _url(operation.path, (), {"follow": "0"})
        status = f"pm.test('{operation.status}', () => pm.response.to.have.status({operation.status}));"
        made["event"].append(_event("test", [status, *tests]))
        return made

    def workflow(self, detail: WorkflowDetail) -> Item:
        """The folder of a workflow: a request of each of its routes."""
        return {
            "name": f"Workflow: {detail.name}",
            "description": detail.description,
            "item": [self._route(detail, route) for route in detail.routes],
        }

    def _route(self, detail: WorkflowDetail, route: Mapping[str, Any]) -> Item:
        schema, parameters = route.get("input"), route.get("parameters", [])
        body = None
        if schema is not None:
            tried = detail.example is not None and route["path"] == "/"
            body = detail.example if tried else make_example(schema)

        query = {
            item["name"]: str(make_example(item["schema"], item["name"]))
            for item in parameters if item["in"] == "query" and item["required"]
        }  # fmt: skip
        examples = {
            item["name"]: str(make_example(item["schema"], item["name"])) for item in parameters if item["in"] == "path"
        }  # fmt: skip
        request: Item = {
            "method": route["method"],
            "header": [
                {
                    "key": "Codewords-Dry-Run",
                    "value": "yes",
                    "description": "Hold each write.",
                    "disabled": True,
                }
            ],
            "url": _url(f"/run/{detail.service_id}{route['path']}", (), query, examples),
            "description": route["summary"],
        }
        if body is not None:
            request |= {"body": _json_body(body)}

        tests = [
            "pm.test('the workflow answers', () => pm.expect(pm.response.code).to.be.below(400));",
            "pm.test('it was a run', () => pm.response.to.have.header('X-Request-Id'));",
        ]
        return {
            "name": f"{route['method']} {route['path']}",
            "request": request,
            "event": [_event("test", tests)],
        }

    def _request(self, operation: HttpOperation, method: str, body: Any) -> Item:
        headers = [
            {"key": parameter.name, "value": "", "description": parameter.description, "disabled": True}
            for parameter in operation.parameters
            if parameter.where == "header"
        ]
        required = {
            parameter.name: str(make_example(parameter.schema, parameter.name))
            for parameter in operation.parameters
            if parameter.where == "query" and parameter.required
        }
        request: Item = {
            "method": method.upper(),
            "header": headers,
            "url": _url(operation.path, operation.parameters, required),
            "description": operation.description,
        }
        if operation.rule.level in {"open", "page"}:
            request["auth"] = _auth("noauth")
        if body is not None:
            request["body"] = _json_body(body)

        return {"name": operation.summary, "request": request, "event": []}

    def _example(self, operation: HttpOperation, method: str) -> JsonValue:
        """A body for the operation; None for one without JSON."""
        if operation.body is None or (operation.method == "*" and method in {"get", "delete"}):
            return None
        known = EXAMPLES.get(f"{method.upper()} {operation.path}")
        if known is not None:
            return known
        if operation.body_media not in {"application/json", "*/*"}:
            return None
        if isinstance(operation.body, dict):
            return make_example(operation.body | {"$defs": dict(self._schemas)})

        body: type[BaseModel] = operation.body
        return make_example(body.model_json_schema())


def _shown_methods(operation: HttpOperation) -> tuple[str, ...]:
    """One request for an operation that takes any method: five of the same are no help."""
    methods = methods_of(operation)
    return methods if len(methods) == 1 else ("post",)


def _url(
    path: str,
    parameters: Iterable[Parameter],
    query: Mapping[str, str],
    values: Mapping[str, str] | None = None,
) -> Item:
    """An address; `query` is sent, other parameters are there to be switched on. `values`: of the path, else variables."""
    # A workflow's first route is its root, which no variable of a path can be.
    path = re.sub(r"^(/run(?:_async)?/{service_id}/){path}$", r"\1", path)
    names = re.findall(r"{(\w+)}", path)
    parts = re.sub(r"{(\w+)}", r":\1", path).split("/")[1:]
    values = values or {}
    optional = [
        {"key": parameter.name, "value": str(parameter.schema.get("default", "")), "description": parameter.description,
         "disabled": True}
        for parameter in parameters if parameter.where == "query" and parameter.name not in query
    ]  # fmt: skip
    sent = [{"key": name, "value": value} for name, value in query.items()]
    if query:
        tail = "?" + "&".join(f"{name}={value}" for name, value in query.items())
    else:
        tail = ""

    return {
        "raw": "{{baseUrl}}/" + "/".join(parts) + tail,
        "host": ["{{baseUrl}}"],
        "path": parts,
        "query": [*sent, *optional],
        "variable": [{"key": name, "value": values.get(name, "{{" + name + "}}")} for name in names],
    }  # fmt: skip


def _json_body(value: Any) -> Item:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}


def _event(listen: str, lines: list[str]) -> Item:
    return {"listen": listen, "script": {"type": "text/javascript", "exec": lines}}


def _auth(kind: str) -> Item:
    if kind == "noauth":
        return {"type": "noauth"}
    return {"type": "bearer", "bearer": [{"key": "token", "value": "{{apiKey}}", "type": "string"}]}


def _tag(operation: HttpOperation) -> str:
    return operation.tag
