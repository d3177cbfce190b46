"""Conversion of a caller's fields to a broker's: names checked, the account inserted, missing
fields reported at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.integration import Action, Prop

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
}
# Types of fields that only the broker's own workflows can fill.
_UNSUPPORTED = ("$.interface", "data_store", "http_request")


def configure_props(action: Action, values: Mapping[str, Any], accounts: Mapping[str, str]) -> dict[str, Any]:
    """Return the props in the broker's own format. `accounts` are by the field that each goes into.

    Raises InvalidInput, which names every wrong field and never a value.
    """
    # All wrong names and values are reported at once, so that one correction is enough.
    known = {prop.name: prop for prop in action.fields}
    unknown = [name for name in values if name not in known]
    if unknown:
        raise InvalidInput(_unknown_fields_message(action, unknown, known), hint=_field_list(action))

    wrong = [fault for name, value in values.items() if (fault := _find_fault(known[name], value))]
    if wrong:
        raise InvalidInput(" ".join(wrong), hint=_field_list(action))

    props = {name: _to_broker_value(known[name], value) for name, value in values.items()}
    for prop in action.props:
        if prop.name in accounts:
            props[prop.name] = {"authProvisionId": accounts[prop.name]}
        elif prop.is_field and prop.name not in props and prop.default is not None:
            # The broker does not fill defaults in by itself.
            props[prop.name] = prop.default

    return props


def require_complete(action: Action, values: Mapping[str, Any]) -> None:
    """Raise InvalidInput for missing fields; its hint tells how to find their values."""
    missing = [prop for prop in action.fields if prop.required and values.get(prop.name) in (None, "", [])]
    if not missing:
        return
    if unsupported := [prop.name for prop in missing if prop.type.startswith(_UNSUPPORTED)]:
        raise InvalidInput(
            f"{action.key} needs a field that only the broker's own workflows have (`{unsupported[0]}`), so it can't be called.",
            hint="Look for another action of the app.",
        )

    remote = [prop.name for prop in missing if prop.remote]
    if remote:
        hint = ""
        place = {"app": action.app, "action": action.key, "field": remote[0]}
        remedy = Remedy(RemedyAction.LIST_FIELD_VALUES, place)
    else:
        hint, remedy = _field_list(action), None

    names = ", ".join(f"`{prop.name}`" for prop in missing)
    raise InvalidInput(f"{action.key} needs {names} too.", hint=hint, remedy=remedy)


def _field_list(action: Action) -> str:
    names = [f"`{prop.name}`" + ("" if prop.required else "?") for prop in action.fields]
    if names:
        return f"It takes {', '.join(names[:40])}."
    return "It takes no fields."


def _unknown_fields_message(action: Action, unknown: Iterable[str], known: Mapping[str, Prop]) -> str:
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in known}
    # Models write names in another case, or with other separators.
    close_names: dict[str, None] = {}
    for name in unknown:
        bare = re.sub(r"[^a-z0-9]", "", name.lower())
        closest = plain.get(bare) or next(iter(difflib.get_close_matches(name, known, 1, 0.6)), None)
        if closest:
            close_names[f"`{closest}`"] = None

    if close_names:
        suggestion = f"; did you mean {', '.join(close_names)}?"
    else:
        suggestion = "."

    return f"{action.key} has no fields of these names{suggestion}"


def _find_fault(prop: Prop, value: Any) -> str:
    # A labelled value was made by the app itself.
    if _has_label(value):
        return ""

    kind = prop.type.removesuffix("[]")
    accepted = _TYPES.get(kind)
    if accepted is None or value is None:
        return ""

    items: list[Any] = (
        cast("list[Any]", value) if prop.type.endswith("[]") and isinstance(value, list) else [value]
    )
    if prop.type.endswith("[]") and not isinstance(value, list):
        return f"`{prop.name}` must be a list."
    if not all(
        # A bool is an int in Python.
        isinstance(item, accepted) and (kind == "boolean" or not isinstance(item, bool))
        for item in items
    ):
        return f"`{prop.name}` must be of type {prop.type}."
    if prop.options and kind in {"string", "integer"} and not all(item in prop.options for item in items):
        choices = ", ".join(str(item) for item in prop.options[:20])
        return f"`{prop.name}` must be one of: {choices}."

    return ""


def _to_broker_value(prop: Prop, value: JsonValue) -> JsonValue:
    # Fields of this kind take values with a label only; the value serves as one.
    if prop.with_label and not _has_label(value):
        return {"__lv": {"label": str(value), "value": value}}
    if prop.type == "string" and isinstance(value, int | float):
        return str(value)
    return value


def _has_label(value: Any) -> bool:
    return isinstance(value, dict) and "__lv" in value
