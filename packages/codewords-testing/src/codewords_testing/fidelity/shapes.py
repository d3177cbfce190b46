"""Shapes of replies: each takes a value of JSON and names what does not fit."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema import ValidationError as SchemaError

_MOST = 5
"""Problems that are told of one value: a union repeats them for each of its members."""


class Shape(Protocol):
    """The shape of a value."""

    def problems(self, value: Any) -> Iterator[str]:
        """Name each part of the value that does not fit, with its path."""
        ...


@dataclass(frozen=True)
class ModelShape:
    """A type of an SDK, `module:Name` or `module:Generic[module.Name]`.

    Types are strict, and a field that the model does not know is a problem.
    """

    path: str

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        try:
            found = _adapter(self.path).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            for problem in _nearest_member(error)[:_MOST]:
                yield f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            return
        yield from (f"{unknown}: no such field" for unknown in _unknown(found, ""))


@functools.cache
def _adapter(path: str) -> TypeAdapter[Any]:
    module, _, name = path.partition(":")
    name, _, argument = name.removesuffix("]").partition("[")
    found = getattr(importlib.import_module(module), name)
    if argument:
        inner, _, inner_name = argument.rpartition(".")
        found = found[getattr(importlib.import_module(inner), inner_name)]
    return TypeAdapter(found)


def _nearest_member(error: ValidationError) -> list[Any]:
    """Errors of the members of a union whose `type` is that of the value; all where there is none."""
    errors: list[Any] = list(error.errors(include_url=False, include_input=False))
    others = {
        found["loc"][0] for found in errors if found["type"] == "literal_error" and found["loc"][-1] == "type"
    }
    return [found for found in errors if found["loc"][:1] not in [(name,) for name in others]] or errors


def _unknown(value: Any, at: str) -> Iterator[str]:
    """Paths of the fields that no model on the way knows."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{at}{name}"
        for name in value.model_fields_set & set(type(value).model_fields):
            yield from _unknown(getattr(value, name), f"{at}{name}.")
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _unknown(item, at)
    elif isinstance(value, dict):
        for item in cast("dict[str, Any]", value).values():
            yield from _unknown(item, at)


@dataclass(frozen=True)
class SchemaShape:
    """A definition of `descriptions/FILE.json`, a JSON Schema; anything fits one that has to be provided and is not."""

    file: str
    name: str

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        if not _is_described(self.file):
            return
        # The type of `iter_errors` is only partly known.
        validator: Any = _validator(self.file, self.name)
        errors: list[SchemaError] = sorted(validator.iter_errors(value), key=lambda error: str(error.path))
        for error in errors[:_MOST]:
            # The member of a union that came nearest says more than "not valid under any of the schemas".
            nearest = _nearest(error)
            yield f"{'.'.join(str(part) for part in nearest.absolute_path)}: {nearest.message[:300]}"


_provided: dict[str, Callable[[], dict[str, Any]]] = {}


def provide(file: str, load: Callable[[], dict[str, Any]]) -> None:
    """Give a description that is not part of this package. `load` is called for the first value that is compared."""
    _provided[file] = load


def _path(file: str) -> Traversable:
    return resources.files("codewords_testing.fidelity").joinpath("descriptions", f"{file}.json")


def _is_described(file: str) -> bool:
    return file in _provided or _path(file).is_file()


@functools.cache
def description(file: str) -> dict[str, Any]:
    """A description: `source`, and definitions in `$defs`."""
    if file in _provided:
        return _provided[file]()
    return cast("dict[str, Any]", json.loads(_path(file).read_text("utf-8")))


@functools.cache
def _validator(file: str, name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(("date",))
    # jsonschema's own needs a further package.
    formats.checks("date-time", raises=ValueError)(_is_time)
    definitions = description(file)["$defs"]
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}, format_checker=formats)


def _is_time(value: object) -> bool:
    """Whether a text is a time with an offset from UTC; other values are of no format. Raises ValueError."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _nearest(error: SchemaError) -> SchemaError:
    from jsonschema import exceptions

    # The type of `best_match` is only partly known.
    return cast("Any", exceptions).best_match([error]) or error


@dataclass(frozen=True)
class AwsShape:
    """The output of an operation by botocore's own description of the service; a member of it where `member` names one."""

    service: str
    operation: str
    member: tuple[str, ...] = ()

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        from botocore.validate import ParamValidator  # pyright: ignore[reportMissingTypeStubs]

        model: Any = _aws_model(self.service)
        shape: Any = model.operation_model(self.operation).output_shape
        for name in self.member:
            shape = shape.members[name]
        found: Any = cast("Any", ParamValidator()).validate(value, shape)
        if found.has_errors():
            yield str(found.generate_report())


@functools.cache
def _aws_model(service: str) -> object:
    from botocore.loaders import Loader  # pyright: ignore[reportMissingTypeStubs]
    from botocore.model import ServiceModel  # pyright: ignore[reportMissingTypeStubs]

    loader: Any = Loader()
    return cast("Any", ServiceModel)(loader.load_service_model(service, "service-2"), service)


@dataclass(frozen=True)
class Either:
    """One of several shapes; where none fits, the problems of the first that `when` chooses by a field, else of the first."""

    shapes: tuple[Shape, ...]
    when: Mapping[str, Shape] = field(default_factory=dict[str, Shape])
    """Shapes by the name of a field that only they have."""

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        if isinstance(value, dict):
            for name, shape in self.when.items():
                if name in value:
                    yield from shape.problems(value)
                    return
        found = [list(shape.problems(value)) for shape in self.shapes]
        if all(found):
            yield from found[0]


@dataclass(frozen=True)
class ListOf:
    """A list of one shape."""

    item: Shape

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        if not isinstance(value, list):
            yield f"a list was expected, not {type(value).__name__}"
            return
        for number, item in enumerate(cast("list[Any]", value)):
            yield from (f"{number}.{problem}" for problem in self.item.problems(item))


@dataclass(frozen=True)
class Empty:
    """An object without fields."""

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        if value != {}:
            yield "an empty object was expected"


@dataclass(frozen=True)
class Undescribed:
    """Anything: no published description has this operation. The page of the stand-ins gives the reason."""

    reason: str

    def problems(self, value: Any) -> Iterator[str]:
        """See `Shape`."""
        del value
        return iter(())
