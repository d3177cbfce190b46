"""Calls that a workflow's own routes take: for a shell, for a tool, and for a person's browser.

`routes` are those of `WorkflowDetail`. Nothing here names a route that the workflow has not.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.model.json_sample import make_example

Route = dict[str, Any]
FORM_FILES: Final = "@files"
"""The key of an input for a form whose values are its files. In the input, since each parameter costs every chat tokens."""
# A workflow's author wrote them, and what stands here is outside of a fence.
_PATH: Final = re.compile(r"/[\w./~-]{0,200}", re.ASCII)
_FIELD: Final = re.compile(r"[\w.\[\]-]{1,60}", re.ASCII)
MAX_EXAMPLE: Final = 600
"""Characters of an example that a command has in it."""


def page_path(routes: Sequence[Route]) -> str | None:
    """The path of the page that a person opens, `/` before others; None for a workflow without one."""
    pages = [
        route["path"]
        for route in routes
        if route.get("html")
        and route["method"] == "GET"
        and _PATH.fullmatch(route["path"])
        and not _needs_address(route)
    ]
    return min(pages, key=lambda path: path != "/", default=None)


def open_command(service_id: str, routes: Sequence[Route]) -> str | None:
    """The command that opens the workflow's page, signed in; None for a workflow without one."""
    path = page_path(routes)
    if path is None:
        return None
    return f"codewords open {service_id}{path.rstrip('/')}"


def page_line(service_id: str, routes: Sequence[Route], base_url: str) -> str | None:
    """A sentence on opening the workflow's page in a browser; None for a workflow without one."""
    command = open_command(service_id, routes)
    if command is None:
        return None
    return f"Its page: the user runs `{command}`, or presses “Open its page” at {base_url}/console/workflows/{service_id}"


def curl_command(url: str, routes: Sequence[Route], example: JsonValue) -> str | None:
    """A call of the workflow's main route as a shell command, with the example if it is short; None without such a route."""
    route = _main(routes)
    if route is None:
        return None

    needed = {
        one["name"]: make_example(one["schema"], one["name"])
        for one in route.get("parameters", ())
        if one["required"]
    }
    target = url + route["path"].rstrip("/")
    if needed:
        target += f"?{urlencode(needed)}"
    words = ["curl"]
    if route["method"] != "GET":
        words += ["-X", route["method"]]
    words += [shlex.quote(target), '-H "Authorization: Bearer $CODEWORDS_API_KEY"']
    if "form" in route:
        words += [f"-F {shlex.quote(field)}" for field in _form_fields(route)]
    elif route["method"] != "GET":
        words += ["-H 'Content-Type: application/json'", f"-d {_body(route, example)}"]
    return " ".join(words)


def run_call(service_id: str, routes: Sequence[Route]) -> str | None:
    """The tool call that runs the workflow's main route; None without such a route."""
    route = _main(routes)
    if route is None:
        return None
    return _call(service_id, route)


def _call(service_id: str, route: Route) -> str:
    arguments = [f"workflow_id={json.dumps(service_id)}"]
    if route["path"] != "/":
        arguments.append(f"path={json.dumps(route['path'])}")
    if route["method"] != "POST":
        arguments.append(f"method={json.dumps(route['method'])}")
    if "form" in route:
        arguments.append(f"input={form_input(route)}")
    elif route["method"] != "GET" or route.get("parameters"):
        arguments.append("input={…}")
    return f"run_workflow({', '.join(arguments)})"


def form_calls(service_id: str, routes: Sequence[Route]) -> list[str]:
    """The tool calls that fill in the forms of a workflow, each by its own fields."""
    return [
        _call(service_id, route) for route in routes if "form" in route and _PATH.fullmatch(route["path"])
    ]


def fields_for_files(routes: Sequence[Route], method: str, path: str) -> list[str]:
    """The fields for files of the form that a request fills in; none where its route describes none."""
    path = "/" + path.partition("?")[0].lstrip("/")
    for route in routes:
        if "form" in route and (route["method"], route["path"]) == (method, path):
            return [name for name, schema in _fields(route).items() if _is_file(schema)]
    return []


def form_input(route: Route) -> str:
    """The input that fills a form by its own fields."""
    files = [name for name, schema in _fields(route).items() if _is_file(schema)]
    parts = [f"{json.dumps(name)}: …" for name in _fields(route) if name not in files]
    if files:
        texts = ", ".join(
            f'{json.dumps(name)}: "the text, a data: URI, or an https address"' for name in files
        )
        parts.insert(0, f'"{FORM_FILES}": {{{texts}}}')
    return "{" + ", ".join(parts) + "}"


def _main(routes: Sequence[Route]) -> Route | None:
    """The route that an example calls: one that takes input, before one that only reads, before a page."""
    callable_routes = [route for route in routes if _PATH.fullmatch(route["path"])]
    return min(callable_routes, key=_rank, default=None)


def _rank(route: Route) -> tuple[int, bool, bool, bool]:
    methods = ["POST", "GET", "PUT", "PATCH", "DELETE"]
    kind = len(methods)
    if route["method"] in methods:
        kind = methods.index(route["method"])
    is_page = bool(route.get("html")) and route["method"] == "GET"
    return kind, "form" in route, _needs_address(route) or is_page, route["path"] != "/"


def _needs_address(route: Route) -> bool:
    return any(one["required"] for one in route.get("parameters", ()))


def _form_fields(route: Route) -> list[str]:
    form: dict[str, Any] = route["form"] or {}
    required: list[str] = form.get("required", [])
    return [
        f"{name}=@{name}.txt" if _is_file(schema) else f"{name}={make_example(schema, name)}"
        for name, schema in _fields(route).items()
        if name in required
    ]


def _fields(route: Route) -> dict[str, Any]:
    form: dict[str, Any] = route["form"] or {}
    fields: dict[str, Any] = form.get("properties", {})
    return {name: schema for name, schema in fields.items() if _FIELD.fullmatch(name)}


def _is_file(schema: Any) -> bool:
    kinds = [schema, schema.get("items", {}), *schema.get("anyOf", ())]
    return any(kind.get("format") == "binary" or "contentMediaType" in kind for kind in kinds)


def _body(route: Route, example: JsonValue) -> str:
    if example is None and route.get("input"):
        example = make_example(route["input"])
    if example is None:
        return "'{}'"
    known = json.dumps(example, ensure_ascii=False, separators=(",", ":"))
    if len(known) <= MAX_EXAMPLE:
        return shlex.quote(known)
    return "@input.json"
