"""An input made from a schema fits that schema, and what a field's name says about it."""

from __future__ import annotations

import base64
import functools
import json
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, create_model

from codewords_mcp.runtime.model.json_sample import make_example, make_placeholder
from codewords_mcp.runtime.workflows.openapi import normalise, read_routes
from codewords_mcp.runtime.workflows.validation.main_route import main_route


class Colour(StrEnum):
    RED = "red"


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    when: date
    size: Annotated[int, Field(gt=3, multiple_of=5)]


FIELDS: dict[str, Any] = {
    "text": (str, ...),
    "long": (Annotated[str, Field(min_length=40, max_length=41)], ...),
    "short": (Annotated[str, Field(max_length=3)], ...),
    "at": (datetime, ...),
    "who": (UUID, ...),
    "url": (AnyUrl, ...),
    "low": (Annotated[float, Field(lt=-2)], ...),
    "between": (Annotated[int, Field(gt=10, lt=12)], ...),
    "colour": (Colour, ...),
    "word": (Literal["yes", "no"], ...),
    "leaves": (Annotated[list[Leaf], Field(min_length=2)], ...),
    "maybe": (Leaf | None, ...),
    "either": (int | str, ...),
    "free": (dict[str, int], ...),
    "told": (Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["EUR"])], ...),
    "flag": (bool, ...),
}


@pytest.mark.requirement("author:samples")
@pytest.mark.parametrize("name", FIELDS)
def test_what_is_made_for_a_field_is_taken_by_its_model(name: str) -> None:
    model = create_model("Asked", **{name: FIELDS[name]})
    openapi = {
        "paths": {
            "/": {
                "post": {
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}}
                    }
                }
            }
        },
        "components": {
            "schemas": {
                **model.model_json_schema(ref_template="#/components/schemas/{model}").get("$defs", {}),
                "Asked": model.model_json_schema(ref_template="#/components/schemas/{model}"),
            }
        },
    }
    route = main_route(read_routes(openapi))
    assert route is not None
    made = make_example(route.schema)
    model.model_validate(made)
    assert made == make_example(route.schema)


@pytest.mark.requirement("author:samples")
def test_names_defaults_and_examples_go_before_what_is_made_up() -> None:
    assert make_example({"type": "string"}, "email") == "ada@example.com"
    assert make_example({"type": "string", "default": "x"}, "email") == "x"
    assert make_example({"type": "string", "examples": ["y"], "default": "x"}) == "y"
    assert make_example(
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}
    ) == {"a": 3}


@pytest.mark.requirement("author:samples")
def test_a_schema_that_names_itself_ends() -> None:
    loop: dict[str, Any] = {"type": "object", "required": ["child"]}
    loop["properties"] = {"child": loop}
    example = make_example(loop)
    assert isinstance(example, dict)
    assert isinstance(example["child"], dict)
    assert example["child"]["child"]


@pytest.mark.requirement("author:samples")
def test_the_main_route_is_the_root_or_else_the_first_without_parameters() -> None:
    one: dict[str, Any] = {"method": "POST", "path": "/a/{id}", "input": {}}
    two = {"method": "POST", "path": "/b", "input": {"type": "string"}}
    root = {"method": "POST", "path": "/", "input": None}
    found = main_route([one, two])
    assert found is not None
    assert found.path == "/b"
    found = main_route([one, two, root])
    assert found is not None
    assert (found.path, found.schema) == ("/", {})
    assert main_route([one, {"method": "GET", "path": "/", "input": None}]) is None


@pytest.mark.requirement("author:samples")
def test_a_route_that_takes_a_form_or_needs_a_query_is_no_main_route() -> None:
    def post(path: str, **more: Any) -> dict[str, Any]:
        return {"method": "POST", "path": path, "input": None} | more

    form = post("/", form={"type": "object"})
    query = post("/q", parameters=[{"name": "q", "in": "query", "required": True}])
    asked = post("/b", parameters=[{"name": "q", "in": "query", "required": False}])
    assert main_route([form, query]) is None
    found = main_route([form, query, asked])
    assert found is not None
    assert found.path == "/b"


@pytest.mark.requirement("author:samples")
def test_bytes_in_base64_are_made_as_such() -> None:
    encoded = {"type": "string", "contentEncoding": "base64", "contentMediaType": "application/octet-stream"}
    for schema in (encoded, {"type": "string", "format": "base64"}):
        assert base64.b64decode(str(make_example(schema)), validate=True) == b"An example"


NO_SCHEMAS: list[Any] = [
    {"type": "string", "minLength": 10**12},
    functools.reduce(
        lambda inner, _: {"type": "array", "minItems": 20, "items": inner}, range(12), {"type": "string"}
    ),
    {"type": "object", "required": "abc", "properties": []},
    {"type": "object", "required": [1, None], "properties": {}},
    {"anyOf": "x"},
    {"type": "integer", "multipleOf": "x"},
    {"type": "number", "multipleOf": 0.0, "exclusiveMinimum": None},
    {"type": ["string", "null"], "minLength": "x"},
    {"type": "array", "items": [[[]]]},
]


@pytest.mark.requirement("fuzz:parsers")
@pytest.mark.parametrize("schema", NO_SCHEMAS)
def test_an_example_of_a_schema_that_is_none_or_that_has_no_end_is_made_at_once(
    schema: dict[str, Any],
) -> None:
    assert len(json.dumps(make_example(schema))) < 500_000


@pytest.mark.requirement("fuzz:parsers")
@pytest.mark.parametrize(
    "paths",
    [None, [], "x", {"/": "x"}, {"/": {"post": []}}, {"/": {"summary": "x", "parameters": [1], "post": {}}}],
)
def test_a_document_of_any_shape_has_routes_or_none(paths: Any) -> None:
    document = normalise({"openapi": "3.1.0", "paths": paths, "components": [], "info": "x"})
    assert [one["method"] for one in read_routes(document)] in ([], ["POST"])


@pytest.mark.requirement("fuzz:parsers")
def test_references_that_fan_out_are_read_up_to_a_bound() -> None:
    schemas = {f"S{n}": {"anyOf": [{"$ref": f"#/components/schemas/S{n + 1}"}] * 10} for n in range(12)}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    document = normalise(
        {
            "openapi": "3.1.0",
            "paths": {"/": {"post": {"requestBody": body}}},
            "components": {"schemas": schemas},
        }
    )
    assert len(json.dumps(read_routes(document))) < 2_000_000


@pytest.mark.requirement("author:samples")
def test_a_placeholder_has_every_field_and_says_the_same_in_each() -> None:
    schema: dict[str, Any] = {
        "$defs": {"Leaf": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 3}}}},
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "default": "Ada", "examples": ["Bob"]},
            "leaves": {"type": "array", "items": {"$ref": "#/$defs/Leaf"}},
            "kind": {"const": "tree"},
            "colour": {"enum": ["red", "green"]},
            "maybe": {"type": ["null", "string"]},
            "either": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "part": {"type": "number"},
        },
    }
    assert make_placeholder(schema, "[echo]") == {
        "name": "[echo]",
        "leaves": [{"size": 0}],
        "kind": "tree",
        "colour": "red",
        "maybe": "[echo]",
        "either": False,
        "part": 0.0,
    }


@pytest.mark.requirement("fuzz:parsers")
def test_a_placeholder_of_a_schema_that_holds_itself_many_times_is_made_at_once() -> None:
    itself = {"$ref": "#/$defs/Tree"}
    tree = {"type": "object", "properties": {f"branch{number}": itself for number in range(9)}}
    assert make_placeholder({"$defs": {"Tree": tree}, **itself}, "[echo]") == {}
    one = {"type": "object", "properties": {"next": itself}}
    assert len(json.dumps(make_placeholder({"$defs": {"Tree": one}, **itself}, "[echo]"))) < 1000
