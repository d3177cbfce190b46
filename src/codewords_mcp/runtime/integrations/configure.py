"""From what a caller sets to what a broker takes: names checked, the account put in, what is missing told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.integration import Action, Prop

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
}
_UNSUPPORTED = ("$.interface", "data_store", "http_request")


def configured(action: Action, given: Mapping[str, Any], accounts: Mapping[str, str]) -> dict[str, Any]:
    """The props in the broker's own form; `accounts` are by the field into which each goes.

    Raises InvalidInput, naming every field that is wrong, never a value.
    """
    known = {prop.name: prop for prop in action.fields}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InvalidInput(_unknown(action, unknown, known), hint=_fields(action))

    wrong = [told for name, value in given.items() if (told := _wrong(known[name], value))]
    if wrong:
        raise InvalidInput(" ".join(wrong), hint=_fields(action))

    props = {name: _form(known[name], value) for name, value in given.items()}
    for prop in action.props:
        if prop.name in accounts:
            props[prop.name] = {"authProvisionId": accounts[prop.name]}
        elif prop.is_field and prop.name not in props and prop.default is not None:
            props[prop.name] = prop.default

    return props


def require(action: Action, given: Mapping[str, Any]) -> None:
    """Raises InvalidInput, naming all that is missing and how each is found."""
    missing = [prop for prop in action.fields if prop.required and given.get(prop.name) in (None, "", [])]
    if not missing:
        return
    if unsupported := [prop.name for prop in missing if prop.type.startswith(_UNSUPPORTED)]:
        raise InvalidInput(
            f"{action.key} needs what only the broker's own workflows have (`{unsupported[0]}`), so it cannot be called.",
            hint="Look for another action of the app.",
        )

    remote = [prop.name for prop in missing if prop.remote]
    if remote:
        hint = (
            f"What `{remote[0]}` takes is told by the app: get_integration with action and prop, or "
            f"`codewords integrations show {action.app} {action.key} --prop {remote[0]}`."
        )
    else:
        hint = _fields(action)

    names = ", ".join(f"`{prop.name}`" for prop in missing)
    raise InvalidInput(f"{action.key} needs {names} too.", hint=hint)


def _fields(action: Action) -> str:
    names = [f"`{prop.name}`" + ("" if prop.required else "?") for prop in action.fields]
    if names:
        return f"It takes {', '.join(names[:40])}."
    return "It takes no fields."


def _unknown(action: Action, unknown: Iterable[str], known: Mapping[str, Prop]) -> str:
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in known}
    near: dict[str, None] = {}
    for name in unknown:
        bare = re.sub(r"[^a-z0-9]", "", name.lower())
        found = plain.get(bare) or next(iter(difflib.get_close_matches(name, known, 1, 0.6)), None)
        if found:
            near[f"`{found}`"] = None

    if near:
        more = f"; perhaps {', '.join(near)} is meant"
    else:
        more = ""

    return f"{action.key} was given fields that it does not have{more}."


def _wrong(prop: Prop, value: Any) -> str:
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
        isinstance(one, accepted) and (kind == "boolean" or not isinstance(one, bool)) for one in items
    ):
        return f"`{prop.name}` must be of type {prop.type}."
    if prop.options and kind in {"string", "integer"} and not all(one in prop.options for one in items):
        choices = ", ".join(str(one) for one in prop.options[:20])
        return f"`{prop.name}` must be one of: {choices}."

    return ""


def _form(prop: Prop, value: Any) -> Any:
    if prop.with_label and not _has_label(value):
        return {"__lv": {"label": str(value), "value": value}}
    if prop.type == "string" and isinstance(value, int | float):
        return str(value)
    return value


def _has_label(value: Any) -> bool:
    return isinstance(value, dict) and "__lv" in value
