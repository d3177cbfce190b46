"""The path of an app's own documentation, read in its code."""

from __future__ import annotations

import ast

import pytest

from codewords_mcp.runtime.workflows.openapi import docs_path, openapi_path

pytestmark = pytest.mark.requirement("console:own-docs")


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("FastAPI()", "/docs"),
        ('fastapi.FastAPI(title="x")', "/docs"),
        ('FastAPI(docs_url="/help")', "/help"),
        ("FastAPI(docs_url=None)", None),
        ("fastapi.FastAPI(redoc_url=None, docs_url=None)", None),
        ('FastAPI(docs_url="/help", openapi_url=None)', None),
        ("FastAPI(docs_url=SETTINGS.docs)", "/docs"),
        ("Other(docs_url=None)", "/docs"),
    ],
)
def test_the_path_is_what_the_call_of_fastapi_says(call: str, path: str | None) -> None:
    assert docs_path(f"import fastapi\napp = {call}\n") == path


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("FastAPI()", "/openapi.json"),
        ('fastapi.FastAPI(openapi_url="/api/v1/openapi.json")', "/api/v1/openapi.json"),
        ("FastAPI(openapi_url=None)", "/openapi.json"),
        ("FastAPI(openapi_url=SETTINGS.url)", "/openapi.json"),
        ('FastAPI(openapi_url="/a b\\r\\nX: y")', "/openapi.json"),
    ],
)
def test_the_description_is_asked_for_where_the_code_puts_it(call: str, path: str) -> None:
    assert openapi_path(ast.parse(f"import fastapi\napp = {call}\n")) == path
