"""JSON bodies and query parameters, checked, with a sentence for each thing that is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypedDict, TypeVar
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from codewords_mcp.common.bounded_json import JsonValue, UnacceptableJson, parse
from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.http.middleware.client_connection import not_whole, too_large
from codewords_mcp.http.middleware.headers import content_length
from codewords_mcp.http.state import app_state
from codewords_mcp.runtime.api.paging import MAX_PAGE
from codewords_mcp.runtime.model.time_bounds import parse_seconds

B = TypeVar("B", bound=BaseModel)

_SHOWABLE = re.compile(r"[\w.\-]{1,64}")
_SENTENCES = {
    "missing": "`{field}` is missing.",
    "string_type": "`{field}` must be a string.",
    "bool_type": "`{field}` must be true or false.",
    "int_type": "`{field}` must be a whole number.",
    "float_type": "`{field}` must be a number.",
    "model_type": "The body must be a JSON object.",
}


class Body(BaseModel):
    """A request body: strict types, nothing unknown, and never shown in an error, since it may hold a secret."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


async def read_body(request: Request, model: type[B], limit: int | None = None) -> B:
    """The body as a `Body`, or one of the runtime's own requests. Without a `limit` that of all requests counts.

    Raises InvalidInput with every fault, BodyTooLarge.
    """
    data = parse_json(await read_bytes(request, limit or app_state(request.scope).settings.max_body))
    try:
        return model.model_validate(data, strict=True)
    except ValidationError as error:
        # Without the input: a body may hold a secret. Without repeats: one wrong union gives
        # several faults of the same sentence.
        faults = " ".join(
            dict.fromkeys(_sentence(fault, model) for fault in error.errors(include_input=False))
        )
        raise InvalidInput(faults) from None


async def read_bytes(
    request: Request, limit: int, refusal: Callable[[int], BodyTooLarge] = too_large
) -> bytes:
    """The whole body. Raises `refusal(limit)` once it passes `limit` bytes, InvalidInput, ClientDisconnect."""
    declared = content_length(request.scope["headers"])
    # Refused before a byte is read.
    if declared is not None and declared > limit:
        raise refusal(limit)

    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise refusal(limit)

    # A client that died in the middle may have sent JSON that parses up to there.
    if declared not in {None, len(data)}:
        raise not_whole(len(data), declared)

    return bytes(data)


async def read_form(
    request: Request, limit: int, refusal: Callable[[int], BodyTooLarge] = too_large
) -> dict[str, str]:
    """The fields of a small form of ours, the first value of each. Raises as `read_bytes` does, InvalidInput for no form."""
    data = await read_bytes(request, limit, refusal)
    try:
        fields = parse_qs(data.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=3)
    except ValueError:
        raise InvalidInput("The form did not arrive whole.", hint="Open the page again.") from None
    return {name: values[0] for name, values in fields.items()}


def parse_json(data: bytes) -> JsonValue:
    """JSON, or InvalidInput that says where it stops being JSON."""
    if not data.strip():
        raise InvalidInput("The body is empty.", hint="Send a JSON object.")

    try:
        # Of two equal keys a proxy in front may judge the first while we would take the last.
        return parse(data, unique_keys=True)
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8 text.", hint="Send JSON in UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(
            f"The body is not JSON: {error.msg} at {where}.", hint="Send a JSON object."
        ) from None
    except UnacceptableJson as error:
        raise InvalidInput(f"The body was not read: {error}.", hint="Send a flat JSON object.") from None


def _sentence(fault: ErrorDetails, model: type[BaseModel]) -> str:
    field = ".".join(_shown(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = ", ".join(f"`{name}`" for name in model.model_fields)
        return f"`{field}` is not a field of this request; it takes {known}."
    template = _SENTENCES.get(fault["type"])
    if template:
        return template.format(field=field)
    return f"`{field}`: {fault['msg'][:1].lower()}{fault['msg'][1:]}."


def _shown(part: str | int) -> str:
    text = str(part)
    if _SHOWABLE.fullmatch(text):
        return text
    return "(a name of other characters)"


def query_int(request: Request, name: str, *, low: int, high: int) -> int | None:
    """A whole number of the query within bounds, or None. Raises InvalidInput."""
    text = request.query_params.get(name)
    if text is None:
        return None
    # No number of ours is longer, and int() of a huge text would take its time.
    if not text.isascii() or not text.isdigit() or len(text) > 15 or not low <= int(text) <= high:
        raise InvalidInput(f"`{name}` must be a whole number from {low} to {high}.")
    return int(text)


class PageQuery(TypedDict):
    """The page of a list that a request asks for."""

    limit: int
    cursor: str | None


def page_query(request: Request) -> PageQuery:
    """The `limit` and `cursor` of a list by pages; a whole page without a limit. Raises InvalidInput."""
    limit = query_int(request, "limit", low=1, high=MAX_PAGE)
    return {"limit": limit or MAX_PAGE, "cursor": request.query_params.get("cursor")}


def query_flag(request: Request, name: str, *, default: bool) -> bool:
    """1, true, yes or 0, false, no of the query. Raises InvalidInput."""
    text = request.query_params.get(name)
    known: Mapping[str, bool] = {
        "1": True,
        "true": True,
        "yes": True,
        "0": False,
        "false": False,
        "no": False,
    }
    if text is None:
        return default
    if text.lower() not in known:
        raise InvalidInput(f"`{name}` must be 1 or 0.")

    return known[text.lower()]


def query_wait(request: Request, *, usual: float, most: float) -> float:
    """`?timeout=N` in seconds; over 1000 it is milliseconds, as one public client sends it. Raises InvalidInput.

    `usual` where it is not given, since one public client then neither says how long nor asks again. No more than
    `most`: every wait is bounded.
    """
    text = request.query_params.get("timeout")
    if text is None:
        return min(usual, most)
    seconds = parse_seconds(text, "timeout", high=None)
    return min(seconds / 1000 if seconds > 1000 else seconds, most)
