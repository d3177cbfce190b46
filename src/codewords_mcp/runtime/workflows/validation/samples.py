"""Example inputs made from a schema, for workflows without an example of their own."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from codewords_mcp.bounded_json import JsonValue

Json = dict[str, Any]
_MAX_DEPTH = 12
_MAX_SIZE = 100_000
"""Maximum values and characters of one example."""
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:00:00Z",
    "time": "09:00:00",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "binary": "",
}
# part of a field's name → a plausible text, for schemas without a format
_NAMED = (
    ("url", "https://example.com/"),
    ("link", "https://example.com/"),
    ("email", "ada@example.com"),
    ("date", "2026-01-15"),
    ("name", "Ada"),
    ("lang", "en"),
    ("country", "FR"),
    ("currency", "EUR"),
)
_TEXT = "An example"


class JsonRoute(NamedTuple):
    """The path of a route that takes JSON, and its input schema with references resolved."""

    path: str
    schema: Json


def main_route(routes: list[dict[str, Any]]) -> JsonRoute | None:
    """`POST /`, else the first POST without parameters in its path, else None. `routes` are from
    `read_routes`.
    """
    posts = [route for route in routes if route["method"] == "POST" and "{" not in route["path"]]
    posts.sort(key=lambda route: route["path"] != "/")
    if posts:
        return JsonRoute(posts[0]["path"], posts[0]["input"] or {})
    return None


def make_example(schema: Json, name: str = "") -> JsonValue:
    """A deterministic value that fits: the schema's own example or default first, required fields
    only.

    A program may describe itself by any JSON: `{}` for an invalid schema, or one with too large
    examples.
    """
    try:
        return _make(schema, name, 0, _Budget())
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return {}


class _Budget:
    """The values and characters that may still be made for one example."""

    def __init__(self) -> None:
        self._left = _MAX_SIZE

    def take(self, amount: int) -> None:
        """Raise ValueError if the budget is exhausted."""
        self._left -= amount
        if self._left < 0:
            raise ValueError("an example would be too large")


def _make(schema: Json, name: str, depth: int, budget: _Budget) -> JsonValue:
    budget.take(1)
    # The author's own value is better than any that can be made.
    if isinstance(examples := schema.get("examples"), list) and examples:
        return cast("list[Any]", examples)[0]

    for word in ("example", "default", "const"):
        if schema.get(word) is not None:
            return schema[word]

    if schema.get("enum"):
        return schema["enum"][0]

    for word in ("anyOf", "oneOf", "allOf"):
        if options := cast("list[Json]", schema.get(word) or []):
            # `Optional[X]` is `anyOf` of X and null; an example of null would try nothing.
            real = [option for option in options if option.get("type") != "null"]
            return _make((real or options)[0], name, depth + 1, budget)

    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        return _object(schema, depth, budget)

    if kind == "array":
        min_items = max(1, int(schema.get("minItems", 1)))
        items = cast("Json", schema.get("items") or {})
        return [_make(items, name.removesuffix("s"), depth + 1, budget) for _ in range(min(min_items, 20))]

    if kind in {"integer", "number"}:
        return _number(schema, whole=kind == "integer")
    if kind in {"boolean", "null"}:
        if kind == "boolean":
            return True
        return None

    return _text(schema, name, budget)


def _object(schema: Json, depth: int, budget: _Budget) -> Json:
    properties = cast("dict[str, Json]", schema.get("properties") or {})
    required = cast("list[str]", schema.get("required") or [])
    if depth > _MAX_DEPTH:
        return {}
    return {name: _make(properties.get(name, {}), name, depth + 1, budget) for name in required}


def _number(schema: Json, *, whole: bool) -> float:
    low: Any = schema.get("minimum")
    high: Any = schema.get("maximum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + (1 if whole else 0.5)
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - (1 if whole else 0.5)
    value: Any = low if low is not None else 3 if high is None else min(high, 3)
    step = schema.get("multipleOf")
    if step and value % step:
        value = step * (value // step + 1)
    if whole:
        return int(value)

    return value


def _text(schema: Json, name: str, budget: _Budget) -> str:
    text = _FORMATS.get(str(schema.get("format")), "")
    # With a pattern a plausible text is as wrong as any other, and a fitting one isn't made.
    if not text and not schema.get("pattern"):
        text = next((value for part, value in _NAMED if part in name.lower()), _TEXT)
    min_length, max_length = int(schema.get("minLength", 0)), int(schema.get("maxLength", 1 << 20))
    text = text or _TEXT
    # minLength is the program's number and may be billions.
    budget.take(max(0, min_length))
    if len(text) < min_length:
        return (text + " " + "example " * (min_length // 8 + 1))[:min_length]
    return text[:max_length]
