"""A route as a tool: its name, its schema, whatever its OpenAPI says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.model.publishing import MAX_SCHEMA, choose_route, input_schema, tool_name

pytestmark = pytest.mark.requirement("published:schemas")


def _openapi(body: dict[str, Any] | None, **schemas: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {}
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return {"paths": {"/": {"post": operation}}, "components": {"schemas": schemas}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Quarterly Report", "quarterly_report"),
        ("2026 plan", "run_2026_plan"),
        ("Ünïcode!", "n_code"),
        ("!!!", "run"),
        ("x" * 200, "x" * 40),
    ],
)
def test_a_name_is_made_that_every_host_takes(name: str, expected: str) -> None:
    assert tool_name(name) == expected


def test_references_are_put_in_place_and_titles_left_out_but_not_properties_of_that_name() -> None:
    item = {"type": "object", "title": "Item", "properties": {"title": {"type": "string", "title": "Title"}}}
    body = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}},
    }
    schema, wrapped = input_schema(_openapi(body, Item=item), "/", "POST")
    assert not wrapped
    assert schema["properties"]["items"]["items"] == {
        "type": "object",
        "properties": {"title": {"type": "string"}},
    }
    assert schema["additionalProperties"] is False


def test_a_schema_that_recurs_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    schema, _ = input_schema(_openapi({"$ref": "#/components/schemas/Node"}, Node=node), "/", "POST")
    assert "$ref" not in json.dumps(schema)


def test_a_schema_that_grows_without_end_becomes_any_object() -> None:
    node = {
        "type": "object",
        "properties": {f"p{n}": {"$ref": "#/components/schemas/Node"} for n in range(40)},
    }
    schema, wrapped = input_schema(_openapi({"$ref": "#/components/schemas/Node"}, Node=node), "/", "POST")
    assert len(json.dumps(schema)) <= MAX_SCHEMA
    assert wrapped
    assert schema["properties"] == {"input": {"type": "object"}}


def test_a_body_that_is_no_object_is_the_argument_input() -> None:
    schema, wrapped = input_schema(_openapi({"type": "array", "items": {"type": "number"}}), "/", "POST")
    assert wrapped
    assert schema["properties"] == {"input": {"type": "array", "items": {"type": "number"}}}
    assert schema["required"] == ["input"]


def test_a_query_is_arguments() -> None:
    parameters: list[dict[str, Any]] = [
        {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
        {"name": "X-Header", "in": "header", "schema": {}},
    ]
    schema, wrapped = input_schema({"paths": {"/": {"get": {"parameters": parameters}}}}, "/", "GET")
    assert not wrapped
    assert (schema["properties"], schema["required"]) == ({"q": {"type": "string"}}, ["q"])


def test_the_route_is_post_of_the_root_or_the_only_one_or_the_one_asked_for() -> None:
    several: dict[str, Any] = {
        "paths": {"/": {"post": {}, "get": {}}, "/other": {"get": {}}, "/of/{name}": {"get": {}}}
    }
    assert choose_route(several, None)[:2] == ("/", "POST")
    assert choose_route(several, "/other")[:2] == ("/other", "GET")
    assert choose_route({"paths": {"/only": {"get": {}}}}, None)[:2] == ("/only", "GET")
    with pytest.raises(InvalidInput, match="braces"):
        choose_route(several, "/of/{name}")
    with pytest.raises(InvalidInput, match="several routes"):
        choose_route({"paths": {"/a": {"get": {}}, "/b": {"get": {}}}}, None)
    with pytest.raises(NotFound):
        choose_route({}, None)


def _judge(schema: Any) -> None:
    library: Any = Draft202012Validator  # its types are not all told
    library.check_schema(schema)
    list(library(schema).iter_errors({"a": 1}))


_ODD: list[Any] = [
    None,
    7,
    "text",
    [],
    [[]],
    {},
    {"": None},
    True,
    [{"name": 3, "in": "query"}],
    {"$ref": {}},
    {"type": 5},
]


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_whatever_a_workflow_put_into_its_schema_a_usable_one_is_made(odd: Any, method: str) -> None:
    """Anything in any place of the document, as a hostile or broken program may write it."""
    body = {"requestBody": {"content": {"application/json": {"schema": odd}}}, "parameters": odd}
    documents: list[Any] = [
        odd,
        {"paths": odd},
        {"paths": {"/": odd}},
        {"paths": {"/": {method.lower(): odd}}},
        {"paths": {"/": {method.lower(): body}}, "components": odd},
        {"paths": {"/": {method.lower(): {"requestBody": odd}}}},
        {"paths": {"/": {method.lower(): {"requestBody": {"content": odd}}}}},
        {"paths": {"/": {method.lower(): {"requestBody": {"content": {"application/json": odd}}}}}},
        {"paths": {"/": {method.lower(): {"parameters": [{"name": "q", "in": "query", "schema": odd}]}}}},
        _openapi({"type": "object", "properties": {"a": odd}, "required": odd}),
        _openapi({"$ref": "#/components/schemas/A"}, A=odd),
    ]
    for document in documents:
        schema, _ = input_schema(document, "/", method)
        assert schema["type"] == "object"
        _judge(schema)
        try:
            choose_route(document, None)
        except (InvalidInput, NotFound):
            continue


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_deep_wide_or_dangling_schema_is_bounded(method: str) -> None:
    deep: Any = {"type": "string"}
    for _ in range(90):
        deep = {"anyOf": [[deep]]}
    wide = {"type": "object", "properties": {f"p{n}": {"description": "x" * 50} for n in range(5000)}}
    dangling = {
        "type": "object",
        "properties": {"a": {"$dynamicRef": "#x"}},
        "dependentSchemas": {"a": {"$ref": "#/x"}},
    }
    long = {"type": "string", "enum": ["x" * 100_000]}
    for schema in (deep, wide, dangling, long):
        parameters = [{"name": f"q{n}", "in": "query", "schema": schema} for n in range(2000)]
        operation = {
            "requestBody": {"content": {"application/json": {"schema": schema}}},
            "parameters": parameters,
        }
        made, _ = input_schema({"paths": {"/": {method.lower(): operation}}}, "/", method)
        assert len(json.dumps(made)) <= MAX_SCHEMA + 200
        assert "$" not in json.dumps(made)
        _judge(made)
