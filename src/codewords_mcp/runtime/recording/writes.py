"""Kinds of requests: those that read, those that write, and those that only prompt a model. Nothing else decides it.

Only what is known to read is a read: a request that cannot be judged counts as a write. The words returned
complete "this is a write: …".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from codewords_mcp.common.bounded_json import JsonObject, JsonValue, parse
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.provider import OWN_PROVIDERS
from codewords_mcp.runtime.model.service_operations import only_reads
from codewords_mcp.runtime.recording.exchanges import Headers, RecordedRequest, split_url
from codewords_mcp.runtime.recording.graphql_documents import reads_only

RequestKind = Literal["read", "write", "prompt"]

READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OVERRIDES: Final = frozenset(
    {b"x-http-method-override", b"x-http-method", b"x-method-override", b"x-original-method"}
)
_BODY_FRAMING: Final = frozenset({b"transfer-encoding", b"trailer"})
_OVERRIDE_FIELD: Final = "_method"
_MCP_READS: Final = frozenset(
    {
        "initialize",
        "notifications/initialized",
        "notifications/cancelled",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "prompts/list",
        "prompts/get",
    }
)
_ACTING_TOOLS: Final = frozenset({"mcp", "shell", "local_shell", "apply_patch"})
"""Hosted tools with which a model provider acts on something else than the answer."""
_MCP_PATHS: Final = frozenset({"/mcp", "/run/devx_mcp/mcp"})
_RUNS: Final = frozenset({"run", "run_async"})
MAX_BATCH: Final = 100
"""Requests of one JSON-RPC or GraphQL batch that are judged."""


def kind_of(request: RecordedRequest) -> RequestKind:
    """The kind of a request. Of calls of the runtime, which are made with a body, it does not rely on the boundary's verdict."""
    writes = request.writes
    if request.channel == "call":
        path = split_url(request.url).path
        if is_run_call(path):
            writes = bool(call_write(request.method, path, request.headers, request.body))
        if _called(path)[0] in OWN_PROVIDERS:
            return "prompt"
    if writes:
        return "write"
    if request.channel == "gateway":
        return "prompt"
    return "read"


def egress_write(
    method: str, url: str, headers: Headers, body: bytes | None, *, upgrades: bool = False
) -> str:
    """The reason why a request to a host is a write; "" for a read. `body` is None where it is too long to be read.

    ::

        GET, HEAD, OPTIONS     read, unless it has a body or overrides its method
        POST …/graphql         read if each operation in it is a query
        POST …/mcp             read if each message in it is of a method that only reads
        websocket, all else    write
    """
    if upgrades:
        return "it opens a websocket"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "its address cannot be read"
    if override := _override(parts.query, headers):
        return f"it overrides its method by {override}"
    if method in READING_METHODS:
        return _reading_method_write(method, parts, headers, body)
    if method != "POST":
        return f"its method is {method}"

    endpoint = _last_segment(parts)
    # Some servers prefer a document in the query to that of the body.
    if endpoint == "graphql" and not parts.query:
        if _is_graphql_read(headers, body):
            return ""
        return "it is no GraphQL query"
    if endpoint == "mcp" and not parts.query:
        if _is_mcp_read(headers, body):
            return ""
        return "it calls a tool or another method that may write"
    return "its method is POST"


def gateway_write(method: str, body: bytes | None, *, metered: bool) -> str:
    """The reason why a call of a model provider is a write; "" for one that reads or only prompts."""
    if not metered:
        if method in READING_METHODS:
            return ""
        return f"its method is {method}, and it is no prompt"
    if body is None:
        # A prompt longer than is recorded. Hosted tools in it cannot be seen.
        return "its body is too long to be read"
    if _only_prompts(body):
        return ""
    return "the provider's own tools would act in it"


def call_write(method: str, path: str, headers: Headers, body: bytes | None) -> str:
    """The reason why a request to the runtime itself is a write; "" for a read."""
    bare = path.rstrip("/")
    if bare in _MCP_PATHS:
        if method != "POST" or _is_mcp_read(headers, body):
            return ""
        return "it calls a tool of the runtime"
    if is_run_call(path):
        if _is_reading_call(path, headers, body):
            return ""
        return "it calls a workflow, or an operation that may write"
    if (method, bare) in {("POST", "/provision-request"), ("POST", "/file")}:
        # An id for a call, and a link for an upload: these are judged when they are made.
        return ""
    return egress_write(method, f"http://runtime{path}", headers, body)


def is_run_call(path: str) -> bool:
    """Whether a request to the runtime calls a workflow or a library service: a run of its own, judged where it acts."""
    first, _, rest = path.strip("/").partition("/")
    return path.rstrip("/") not in _MCP_PATHS and bool(rest) and first in {"run", "run_async", "v1", "v2"}


def _called(path: str) -> tuple[str, str]:
    """(the workflow or library service that a path calls, the path below it); ("", "") for a path that calls none."""
    first, service, rest = [*path.strip("/").split("/", 2), "", ""][:3]
    if first in _RUNS:
        return (unquote(service), rest)
    return ("", "")


def _is_reading_call(path: str, headers: Headers, body: bytes | None) -> bool:
    service, rest = _called(path)
    if body is None or _is_encoded(headers):
        sent = None
    else:
        sent = _unambiguous(body)
    return only_reads(service, rest, sent if isinstance(sent, dict) else None)


def why_write(request: RecordedRequest) -> str:
    """The reason why a request that was judged to be a write is one."""
    if request.channel == "egress":
        upgrades = is_websocket(request.headers)
        return egress_write(request.method, request.url, request.headers, request.body, upgrades=upgrades)
    if request.channel == "gateway":
        return (
            gateway_write(request.method, request.body, metered=False) or "the provider's own tools act in it"
        )
    path = split_url(request.url).path
    return call_write(request.method, path, request.headers, request.body) or "the operation acts"


def is_websocket(headers: Headers) -> bool:
    """Whether a request opens a websocket."""
    return any(name.lower() == b"upgrade" and value.lower() == b"websocket" for name, value in headers)


def _override(query: str, headers: Headers) -> str:
    for name, value in headers:
        if name.lower() in _OVERRIDES and value.strip().decode("latin-1").upper() not in READING_METHODS:
            return f"the header {name.decode('latin-1').lower()}"
    if not query:
        return ""
    # Some frameworks split at semicolons too.
    for name, value in parse_qsl(query.replace(";", "&"), keep_blank_values=True, encoding="latin-1"):
        if name.lower().strip() == _OVERRIDE_FIELD and value.strip().upper() not in READING_METHODS:
            return f"`{_OVERRIDE_FIELD}` in its query"
    return ""


def _reading_method_write(method: str, parts: SplitResult, headers: Headers, body: bytes | None) -> str:
    if body or body is None or any(_tells_body(name.lower(), value) for name, value in headers):
        return f"it is a {method} with a body"
    if _last_segment(parts) == "graphql":
        fields = parse_qsl(parts.query, keep_blank_values=True)
        documents = [value for name, value in fields if name == "query"]
        if any(not reads_only(document) for document in documents):
            return "it is no GraphQL query"
    return ""


def _tells_body(name: bytes, value: bytes) -> bool:
    # A body of such a request has no meaning that all servers share (RFC 9110, 9.3.1). Chunks may end in trailers.
    return name in _BODY_FRAMING or (name == b"content-length" and bool(value.strip().strip(b"0")))


def _last_segment(parts: SplitResult) -> str:
    return unquote(parts.path).rstrip("/").rpartition("/")[2].lower()


def _is_graphql_read(headers: Headers, body: bytes | None) -> bool:
    documents = [message.get("query") for message in _messages(headers, body)]
    return all(isinstance(document, str) and reads_only(document) for document in documents)


def _is_mcp_read(headers: Headers, body: bytes | None) -> bool:
    return all(message.get("method") in _MCP_READS for message in _messages(headers, body))


def _messages(headers: Headers, body: bytes | None) -> Iterator[JsonObject]:
    """The objects of a JSON body, or of its list. One empty object if it can be read in more than one way."""
    sent = {name.lower(): value.strip().lower() for name, value in headers}
    kind, _, parameters = sent.get(b"content-type", b"").partition(b";")
    plain = kind.strip() == b"application/json" and parameters.strip() in {b"", b"charset=utf-8"}
    if body is None or not plain or _is_encoded(headers):
        value = None
    else:
        value = _unambiguous(body)
    items = value if isinstance(value, list) else [value]
    if not 0 < len(items) <= MAX_BATCH:
        # An empty batch would pass for one that only reads, since `all` of nothing is true.
        items = [None]

    for item in items:
        yield object_of(item)


def _is_encoded(headers: Headers) -> bool:
    codings = [value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"]
    return any(coding != b"identity" for coding in codings)


def _unambiguous(body: bytes) -> JsonValue:
    """The JSON value of a body; None where parsers differ in what it means."""
    try:
        value: JsonValue = parse(body, unique_keys=True)
    except ValueError:
        return None

    for item in value if isinstance(value, list) else [value]:
        # Some parsers ignore the case of names.
        if isinstance(item, dict) and len({name.lower() for name in item}) < len(item):
            return None
    return value


def _only_prompts(body: bytes) -> bool:
    if not body.lstrip().startswith(b"{"):
        # Audio and pictures come as forms, which have no tools.
        return True
    prompt = _unambiguous(body)
    if not isinstance(prompt, dict) or prompt.get("mcp_servers"):
        return False
    tools = prompt.get("tools") or []
    return isinstance(tools, list) and not any(_acts(tool) for tool in tools)


def _acts(tool: JsonValue) -> bool:
    if not isinstance(tool, dict):
        return True
    kind = str(tool.get("type", ""))
    return kind in _ACTING_TOOLS or kind.startswith("mcp")
