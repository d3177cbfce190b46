"""Input of a service's operation: parsed, with each fault in a sentence."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from codewords_mcp.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)
_FAULT_TEMPLATES = {
    "missing": "`{field}` is missing.",
    "string_type": "`{field}` must be a string.",
    "bool_parsing": "`{field}` must be true or false.",
    "bool_type": "`{field}` must be true or false.",
    "int_parsing": "`{field}` must be a whole number.",
    "int_type": "`{field}` must be a whole number.",
    "float_parsing": "`{field}` must be a number.",
    "float_type": "`{field}` must be a number.",
    "list_type": "`{field}` must be a list.",
    "dict_type": "`{field}` must be an object.",
    "union_tag_not_found": "`{field}` needs a `type`.",
}


def parse_input(model: type[M], data: Any) -> M:
    """Validate the input. Raises InvalidInput with a sentence for each fault, without the values
    that were sent.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise InvalidInput(
            # One fault can be reported for each member of a union; equal sentences are said once.
            " ".join(dict.fromkeys(_describe_fault(fault, model) for fault in faults))[:1000],
            hint=f"It takes {_fields(model)}.",
        ) from None


def _describe_fault(fault: ErrorDetails, model: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return f"This call takes {_fields(model)}, nothing else."

    known = _all_names(model)
    location = [str(key) for key in fault["loc"]]
    # The location can hold keys that the caller sent. Only names of the model are repeated.
    field = ".".join(key for key in location if key in known or key.isdecimal()) or "the body"
    if fault["type"] == "union_tag_invalid":
        return f"`{field}`: its `type` must be one of {fault['ctx']['expected_tags']}."  # type: ignore[typeddict-item]

    template = _FAULT_TEMPLATES.get(fault["type"])
    if template:
        return template.format(field=field)

    return f"`{field}`: {fault['msg'].removeprefix('Value error, ')}."


def _all_names(annotation: Any) -> set[str]:
    """Names of the fields of a model and of the models in it: the only ones that a message may
    repeat.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        nested = [_all_names(field_info.annotation) for field_info in annotation.model_fields.values()]
        return set(_names(annotation)).union(*nested)
    return set[str]().union(*(_all_names(field_info) for field_info in get_args(annotation)))


def _names(model: type[BaseModel]) -> dict[str, str]:
    """Names under which fields are sent → names in the model, in the model's order."""
    names: dict[str, str] = {}
    for name, field_info in model.model_fields.items():
        choices = getattr(field_info.validation_alias, "choices", [field_info.validation_alias or name])
        for choice in (*choices, name):
            names.setdefault(str(choice), name)
    return names


def _fields(model: type[BaseModel]) -> str:
    return ", ".join(f"`{name}`" for name in _names(model)) or "no fields"
