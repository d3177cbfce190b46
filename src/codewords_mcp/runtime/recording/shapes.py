"""Shapes of inputs: equal for requests that differ in their values only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final, cast

from codewords_mcp.runtime.recording.exchanges import RunMessage

MAX_PATHS: Final = 500
"""Paths of a document that its shape is made of; what comes after them does not count."""
MAX_DEPTH: Final = 20


def shape_of(request: RunMessage) -> str:
    """A digest of method, path and content: of a JSON document its paths with the types of their values."""
    path = request.target.partition("?")[0]
    parts = [request.method, path, *sorted(_paths_of(request.body))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _paths_of(body: bytes | None) -> set[str]:
    if not body:
        return set()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {"not json"}

    found: set[str] = set()
    for path in _walk(document, "", 0):
        found.add(path)
        if len(found) >= MAX_PATHS:
            break
    return found


def _walk(value: Any, path: str, depth: int) -> Iterator[str]:
    yield f"{path}:{type(value).__name__}"
    if depth >= MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _walk(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        # Elements of a list have one path: its length is a value.
        for item in cast("list[Any]", value):
            yield from _walk(item, f"{path}[]", depth + 1)
