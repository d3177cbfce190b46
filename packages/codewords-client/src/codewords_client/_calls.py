"""The requests of the wire contract, built once for both clients."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

# Seconds that one poll for a result asks the runtime to wait: below what proxies in between allow.
POLL = 100


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` starts with "/" and has its query; `timeout` is seconds, None for the client's default."""

    method: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    timeout: float | None = None


def json_call(
    method: str, path: str, body: Any = None, *, timeout: float | None = None, **params: Any
) -> Call:
    """A request with a JSON body, or none for None. Parameters that are None are left out."""
    content, headers = encode(body)
    return Call(method, _with_query(path, params), content, headers, timeout)


def run_call(
    service_id: str,
    inputs: Any,
    *,
    path: str = "",
    method: str = "POST",
    background: bool = False,
    request_id: str | None = None,
    correlation_id: str | None = None,
    run_as_template: bool = False,
) -> Call:
    """`/run` or `/run_async`. A body goes as JSON; bytes as they are; for GET and HEAD a mapping goes as the query."""
    method = method.upper()
    prefix = "/run_async" if background else "/run"
    target = f"{prefix}/{_part(service_id)}/{path.lstrip('/')}"
    content, headers = None, dict[str, str]()

    # A body has no meaning there, and proxies may drop it (RFC 9110, 9.3.1).
    if method in {"GET", "HEAD"}:
        target = _with_query(target, _mapping(inputs))
    else:
        content, headers = encode(inputs)

    # A run called by a run belongs to its chain without being asked to.
    marks = {
        "X-Provisioned-Request-Id": request_id,
        "X-Correlation-Id": correlation_id or current_correlation_id(),
        "Run-As-Template": "yes" if run_as_template else None,
    }
    headers |= {name: value for name, value in marks.items() if value}
    return Call(method, target, content, headers)


def result_call(request_id: str, wait: int) -> Call:
    """Poll for a result for `wait` whole seconds."""
    # The client must not give up while the answer to a full wait is on its way.
    return Call("GET", _with_query(f"/result/{_part(request_id)}", {"timeout": wait}), timeout=wait + 30.0)


def request_call(request_id: str) -> Call:
    """The record of a run."""
    return json_call("GET", f"/request/{_part(request_id)}")


def logs_call(request_id: str, *, after: str | None, follow: bool) -> Call:
    """A run's log as NDJSON."""
    # The runtime sends a heartbeat every few seconds, so a minute of silence is a broken
    # connection.
    return json_call(
        "GET", f"/logs/{_part(request_id)}", timeout=60.0, after=after or None, follow=None if follow else 0
    )


def file_call(filename: str) -> Call:
    """Ask for the links to upload and to download a file."""
    return json_call("POST", "/file", filename=filename)


def put_headers(links: dict[str, Any]) -> dict[str, str]:
    """Headers for the upload itself: those that the runtime gave, else those of older runtimes."""
    upload_headers = links.get("upload_headers")
    if isinstance(upload_headers, dict) and upload_headers:
        headers = {str(name): str(value) for name, value in upload_headers.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    else:
        headers = {"x-amz-acl": "public-read"}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/octet-stream"
    return headers


def line(entry: dict[str, Any]) -> str:
    """A log entry as `print_logs` writes it."""
    return json.dumps(entry, ensure_ascii=False) + "\n"


def chosen_inputs(inputs: object, data: object) -> object:
    """The body of a run by either keyword. Raises TypeError when both are given."""
    if inputs is not None and data is not None:
        raise TypeError("run() takes inputs= or data=, which mean the same, not both.")
    if data is None:
        return inputs
    return data


def encode(body: Any) -> tuple[bytes | None, dict[str, str]]:
    """A body and its headers: None is no body, bytes go as they are, everything else as JSON.

    Raises TypeError for a value that has no JSON form.
    """
    if body is None:
        return None, {}
    if isinstance(body, bytes | bytearray):
        return bytes(body), {"Content-Type": "application/octet-stream"}
    # NaN is not JSON: fail here, where the caller's traceback shows the value, and not at the
    # receiver.
    text = json.dumps(body, default=_jsonable, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(), {"Content-Type": "application/json"}


def current_correlation_id() -> str | None:
    """The id that this run carries down its chain of calls, if it has one."""
    from structlog.contextvars import get_contextvars

    found = get_contextvars().get("correlation_id")
    if found:
        return str(found)
    return None


def secret_call(operation: str, name: str | None, value: str | None) -> Call:
    """Store, list or delete a secret. Raises ValueError for anything else, reading one back above all."""
    if operation == "list":
        return json_call("GET", "/secrets")
    if operation in {"add", "set"}:
        if not name or not value:
            raise ValueError(f"manage_secrets(operation={operation!r}) needs secret_name= and secret_value=.")
        return json_call("PUT", f"/secrets/{_part(name)}", {"value": value})
    if operation in {"delete", "remove"}:
        if not name:
            raise ValueError(f"manage_secrets(operation={operation!r}) needs secret_name=.")
        return json_call("DELETE", f"/secrets/{_part(name)}")
    if operation == "get":
        raise ValueError(
            "A secret cannot be read back; a workflow that declares its name finds it in its environment."
        )

    raise ValueError(f"manage_secrets has no operation {operation!r}; it has add, list and delete.")


def secrets_after(answer: Any) -> Call | None:
    """The call for the page that follows in the list of secrets; None after the last."""
    if not isinstance(answer, dict):
        return None
    page: dict[str, Any] = answer  # pyright: ignore[reportUnknownVariableType]
    if not page.get("next_cursor") or not page.get("items"):
        return None
    return json_call("GET", _with_query("/secrets", {"cursor": page["next_cursor"]}))


def _part(text: str) -> str:
    return quote(text, safe="")


def _mapping(inputs: Any) -> dict[str, Any]:
    if inputs is None:
        return {}
    if not isinstance(inputs, dict):
        raise TypeError("A GET has no body: inputs= must be a dict, which goes as the query.")
    return inputs  # pyright: ignore[reportUnknownVariableType]


def _with_query(path: str, params: dict[str, Any]) -> str:
    """The path with parameters added to the query that it may have; None is left out."""
    pairs = {name: _text(value) for name, value in params.items() if value is not None}
    if not pairs:
        return path
    # A path may come with a query of its own.
    return f"{path}{'&' if '?' in path else '?'}{urlencode(pairs)}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=_jsonable)


def _jsonable(value: Any) -> object:
    """JSON for what workflows commonly hold: pydantic models and URLs, dates, ids, paths, sets, enums."""
    # By what it offers and not by its class: the script's pydantic may have any version, or be
    # absent.
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__fields__"):  # a model of pydantic 1
        return value.dict()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return list(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, UUID | Decimal | PurePath) or type(value).__module__.startswith("pydantic"):
        return str(value)

    raise TypeError(
        f"A {type(value).__name__} has no JSON form; pass its parts as a dict, list, string or number."
    )
