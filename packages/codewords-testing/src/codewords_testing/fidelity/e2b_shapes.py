"""Shapes of E2B's API and of envd, by the classes that E2B's own SDK generates from its OpenAPI document and its protocols."""

from __future__ import annotations

import functools
import importlib
import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError


@dataclass(frozen=True)
class ApiShape:
    """A model of `e2b.api.client.models`. Types are strict, and a field that it does not know is a problem."""

    name: str

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        model = getattr(importlib.import_module("e2b.api.client.models"), self.name)
        try:
            made = model.from_dict(value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield f"{self.name}: {type(error).__name__} {error}"
            return
        yield from _unfit(made, self.name)


def _unfit(made: Any, at: str) -> Iterator[str]:
    """Fields of an object that were unknown or have another type than the class declares."""
    hints = _hints(made.__class__)
    # A map of names to values has nothing else.
    if hints:
        yield from (f"{at}.{name}: no such field" for name in getattr(made, "additional_properties", {}))
    for name, hint in hints.items():
        value: Any = getattr(made, name)
        try:
            _adapter(hint).validate_python(value)
        except ValidationError as error:
            yield f"{at}.{name}: {error.errors(include_url=False)[0]['msg']}"
        items: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
        for number, item in enumerate(items):
            if hasattr(item, "__attrs_attrs__"):
                yield from _unfit(item, f"{at}.{name}.{number}")


@functools.cache
def _hints(model: type) -> dict[str, Any]:
    # Models name each other under TYPE_CHECKING alone.
    scope = vars(importlib.import_module("e2b.api.client.models"))
    return {
        name: hint
        for name, hint in typing.get_type_hints(model, localns=dict(scope)).items()
        if name != "additional_properties"
    }


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))


@dataclass(frozen=True)
class ProtocolShape:
    """A message of envd's protocols, `process.StartResponse`, in its JSON form."""

    name: str

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        package, _, name = self.name.partition(".")
        message = getattr(importlib.import_module(f"e2b.envd.{package}.{package}_pb"), name)
        try:
            message.from_json(json.dumps(value))
        except ValueError as error:
            yield f"{self.name}: {error}"
