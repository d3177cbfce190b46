"""JSON-RPC as it goes over stdio, and the HTTP headers that each protocol era wants with it.

Eras: until 2025-11-25 a session begins with `initialize` and later requests repeat its version and session id in
headers. Since 2026-07-28 every request carries its version in `_meta`, and HTTP repeats version, method and name
in headers; the server refuses a request whose headers and body differ.
"""

from __future__ import annotations

from codewords_mcp.stdio import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]
    Key = tuple[bool, Any]

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INTERNAL_ERROR = -32603
CONNECTION_CLOSED = -32000

VERSION_META = "io.modelcontextprotocol/protocolVersion"
_ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method → the parameter that `Mcp-Name` repeats (2026-07-28, streamable HTTP; the last three: SEP-2663)."""


class Malformed(Exception):
    """A line that is no JSON-RPC message. `code` is JSON-RPC's; `request_id` what could be read of it."""

    def __init__(self, code: int, message: str, request_id: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


def parse(line: bytes) -> Message:
    """A line of the chat host as a message. Raises Malformed."""
    try:
        decoded = json_text.decode(line)
    except (ValueError, RecursionError) as error:
        # RecursionError: a deeply nested line must not end the proxy.
        raise Malformed(
            PARSE_ERROR,
            "Parse error: a line of stdin is not JSON. Each message is one JSON object on one line.",
        ) from error

    message = as_object(decoded)
    if wrong := _what_is_wrong(decoded, message):
        raise Malformed(INVALID_REQUEST, f"Invalid request: {wrong}", usable_id(message))

    return message


def _what_is_wrong(decoded: Any, message: Message) -> str:
    if isinstance(decoded, list):
        return "batches ended with protocol version 2025-03-26; send each message on its own line."
    if message.get("jsonrpc") != "2.0":
        return 'a message is a JSON object with "jsonrpc": "2.0".'
    if "id" in message and usable_id(message) is None:
        return "an id is a string or an integer."

    if "method" in message:
        if not isinstance(message["method"], str):
            return "a method is a string."
        if isinstance(message.get("params", {}), dict):
            return ""
        return "params is an object."

    if "id" in message and ("result" in message or "error" in message):
        return ""

    return "neither a method nor an answer."


def as_object(value: Any) -> Message:
    """The value where it is a JSON object, an empty one for everything else."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType] - typing.cast costs an import


def decode(data: bytes) -> Message:
    """A message of the runtime; empty where it is no JSON object."""
    try:
        return as_object(json_text.decode(data))
    except (ValueError, RecursionError):
        return {}


def usable_id(message: Message) -> str | int | None:
    """The id of a message, or None where it has none that an answer could carry."""
    found = message.get("id")
    # bool is an int in Python, and `true` is no valid JSON-RPC id.
    if isinstance(found, (str, int)) and not isinstance(found, bool):
        return found
    return None


def key(request_id: Any) -> Key:
    """An id as a dictionary key. The ids 1 and "1" differ."""
    # With the type, since Python takes 1 and True as equal keys and JSON-RPC tells "1" from 1.
    return isinstance(request_id, str), request_id


def is_request(message: Message) -> bool:
    """Whether this needs a response."""
    return "method" in message and "id" in message


def is_answer(message: Message) -> bool:
    """Whether this answers a request."""
    return "method" not in message and "id" in message


def dump(message: Message) -> bytes:
    """A message as a line without its end."""
    import json  # not for a message that goes on as it is

    # Lone surrogates are valid in JSON and not in UTF-8; backslashreplace keeps the line valid.
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", errors="backslashreplace"
    )


def error(request_id: Any, code: int, text: str) -> bytes:
    """An error answer as a line without its end."""
    return dump({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}})


def modern_version(message: Message) -> str | None:
    """The version a request of the newer era names in its `_meta`; None in the older one."""
    version = as_object(params_of(message).get("_meta")).get(VERSION_META)
    if isinstance(version, str):
        return version
    return None


def params_of(message: Message) -> Message:
    """The parameters of a request or notification."""
    return as_object(message.get("params"))


def modern_headers(message: Message, version: str, mirrored: ParamHeaders) -> dict[str, str]:
    """The headers that 2026-07-28 wants with this request."""
    headers = _ACCEPT | {"MCP-Protocol-Version": _safe(version), "Mcp-Method": _safe(message["method"])}
    params = params_of(message)
    name = params.get(_NAMED_BY.get(message["method"], ""))
    if isinstance(name, str):
        headers["Mcp-Name"] = _safe(name)
    if message["method"] == "tools/call":
        headers |= mirrored.of_call(params)
    return headers


def legacy_headers(session_id: str, version: str) -> dict[str, str]:
    """The headers of a request within an initialized session; either may be empty where it is not known."""
    headers = dict(_ACCEPT)
    if session_id:
        headers["Mcp-Session-Id"] = session_id
    if version:
        headers["MCP-Protocol-Version"] = _safe(version)
    return headers


def _safe(value: str) -> str:
    """A header value; what a header cannot carry as it is goes in base64, as 2026-07-28 defines."""
    plain = value.isascii() and value.isprintable() and value == value.strip()
    # A plain value that looks encoded would be decoded by the server, so it is encoded as well.
    if plain and not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    import base64

    return f"=?base64?{base64.b64encode(value.encode('utf-8', errors='replace')).decode()}?="


class ParamHeaders:
    """Arguments that a tool's schema wants repeated as `Mcp-Param-*` headers (`x-mcp-header`), learnt from tools/list."""

    def __init__(self) -> None:
        self._paths: dict[str, list[tuple[tuple[str, ...], str]]] = {}

    def learn(self, result: Message) -> None:
        """Take the tools of a tools/list result."""
        for item in result.get("tools", ()):
            tool = as_object(item)
            self._paths[str(tool.get("name"))] = _annotated(as_object(tool.get("inputSchema")), ())

    def of_call(self, params: Message) -> dict[str, str]:
        """The headers of one tools/call; an argument that is absent has none."""
        headers: dict[str, str] = {}
        for path, token in self._paths.get(str(params.get("name")), ()):
            value: Any = params.get("arguments")
            for step in path:
                value = as_object(value).get(step)
            # Before the check for int: str(True) would give "True", and the header wants JSON's
            # form.
            if isinstance(value, bool):
                value = "true" if value else "false"
            if isinstance(value, (str, int, float)):
                headers[f"Mcp-Param-{token}"] = _safe(str(value))

        return headers


def _annotated(schema: Message, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """Return the paths of annotations; only properties within chains of `properties` may be
    repeated.
    """
    token = schema.get("x-mcp-header")
    usable = (
        path
        and isinstance(token, str)
        and token.isascii()
        and token.isprintable()
        and not set(token) & set(" :")
    )
    found: list[tuple[tuple[str, ...], str]] = [(path, str(token))] if usable else []
    for name, inner in as_object(schema.get("properties")).items():
        found += _annotated(as_object(inner), (*path, name))
    return found
