"""Values made from a JSON Schema: example inputs of workflows, and responses of the echo model."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from codewords_mcp.common.bounded_json import JsonValue

Json = dict[str, Any]
_MAX_DEPTH: Final = 12
_MAX_SIZE: Final = 100_000
"""Maximum values and characters of one sample."""
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T09:00:00Z",
    "time": "09:00:00",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "binary": "",
    "base64": "QW4gZXhhbXBsZQ==",
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
_SHORT = (
    "2026-01-15",
    "2026-01",
    "09:00",
    "EUR",
    "en",
    "#1a2b3c",
    "example",
    "A1",
    "1",
    "1.5",
    "12345",
    "/path",
    "a@b.co",
    "a.co",
)
"""Texts of at most ten characters that are tried against a pattern."""
_MAX_PATTERN = 200


def make_example(schema: Json, name: str = "") -> JsonValue:
    """A deterministic value that fits: the schema's own example or default first, required fields
    only.

    A program may describe itself by any JSON: `{}` for an invalid schema, or one with too large
    examples.
    """
    return _SampleMaker(schema, None).make(name)


def make_placeholder(schema: Json, text: str) -> JsonValue:
    """A value with every field of the schema, whose texts are `text` and whose numbers are 0.

    `{}` for an invalid schema, or one with too many fields.
    """
    placeholders: Json = {"string": text, "integer": 0, "number": 0.0, "boolean": False, "null": None}
    return _SampleMaker(schema, placeholders).make("")


class _SampleMaker:
    """Makes one value. `placeholders` are values by type that stand for plausible ones."""

    def __init__(self, root: Json, placeholders: Json | None) -> None:
        self._root = root
        self._placeholders = placeholders
        self._budget = _MAX_SIZE

    def make(self, name: str) -> JsonValue:
        """The value; `{}` where none can be made."""
        try:
            return self._value(self._root, name, 0)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return {}

    def _spend(self, amount: int) -> None:
        """Raise ValueError if the budget of values and characters is exhausted."""
        self._budget -= amount
        if self._budget < 0:
            raise ValueError("a sample would be too large")

    def _value(self, schema: Json, name: str, depth: int) -> JsonValue:
        self._spend(1)
        if "$ref" in schema and depth <= _MAX_DEPTH:
            return self._value(self._definition(str(schema["$ref"])), name, depth + 1)

        # The author's own value is better than any that can be made.
        if self._placeholders is None:
            if isinstance(examples := schema.get("examples"), list) and examples:
                return cast("list[Any]", examples)[0]
            for word in ("example", "default"):
                if schema.get(word) is not None:
                    return schema[word]

        if schema.get("const") is not None:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]

        for word in ("anyOf", "oneOf", "allOf"):
            if options := cast("list[Json]", schema.get(word) or []):
                # `Optional[X]` is `anyOf` of X and null; an example of null would try nothing.
                real = [option for option in options if option.get("type") != "null"]
                return self._value((real or options)[0], name, depth + 1)

        return self._typed(_type_of(schema), schema, name, depth)

    def _definition(self, reference: str) -> Json:
        definitions: Json = self._root.get("$defs") or self._root.get("definitions") or {}
        return definitions.get(reference.rsplit("/", 1)[-1]) or {}

    def _typed(self, kind: str, schema: Json, name: str, depth: int) -> JsonValue:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            min_items = max(1, int(schema.get("minItems", 1)))
            items = cast("Json", schema.get("items") or {})
            item_name = name.removesuffix("s")
            return [self._value(items, item_name, depth + 1) for _ in range(min(min_items, 20))]

        if self._placeholders is not None:
            return self._placeholders.get(kind, self._placeholders["string"])
        if kind in {"integer", "number"}:
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return True
        if kind == "null":
            return None
        return self._text(schema, name)

    def _object(self, schema: Json, depth: int) -> Json:
        if depth > _MAX_DEPTH:
            return {}

        properties = cast("dict[str, Json]", schema.get("properties") or {})
        names = list(properties)
        if self._placeholders is None:
            names = cast("list[str]", schema.get("required") or [])
        return {name: self._value(properties.get(name, {}), name, depth + 1) for name in names}

    def _text(self, schema: Json, name: str) -> str:
        text = _FORMATS.get(str(schema.get("format") or schema.get("contentEncoding")), "")
        if not text and (pattern := schema.get("pattern")):
            text = _fitting(str(pattern))
        elif not text:
            text = next((value for part, value in _NAMED if part in name.lower()), _TEXT)
        min_length, max_length = int(schema.get("minLength", 0)), int(schema.get("maxLength", 1 << 20))
        text = text or _TEXT
        # minLength is the program's number and may be billions.
        self._spend(max(0, min_length))
        if len(text) < min_length:
            return (text + " " + "example " * (min_length // 8 + 1))[:min_length]
        return text[:max_length]


def _fitting(pattern: str) -> str:
    """A plausible text that the pattern takes; "" where none does, or it is no pattern of Python."""
    if len(pattern) > _MAX_PATTERN:
        return ""
    try:
        fits = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return ""
    # An author's pattern may take exponential time, so only short texts are tried.
    return next((text for text in _SHORT if fits.search(text)), "")


def _type_of(schema: Json) -> str:
    kind: Any = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kinds = cast("list[str]", kind)
        return next((name for name in kinds if name != "null"), "null")
    return str(kind)


def _number(schema: Json, *, whole: bool) -> float:
    low: Any = schema.get("minimum")
    high: Any = schema.get("maximum")
    if low is None and "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + (1 if whole else 0.5)
    if high is None and "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - (1 if whole else 0.5)
    value: Any = low
    if low is None:
        value = 3 if high is None else min(high, 3)
    step = schema.get("multipleOf")
    if step and value % step:
        value = step * (value // step + 1)
    if whole:
        return int(value)

    return value
