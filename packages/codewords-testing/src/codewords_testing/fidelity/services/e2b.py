"""E2B: its API, and envd in each sandbox."""

from __future__ import annotations

from codewords_testing.fidelity.e2b_shapes import ApiShape, ProtocolShape
from codewords_testing.fidelity.operation import BINARY, ApiOperation, DescribedService, DescriptionSource
from codewords_testing.fidelity.shapes import ListOf, SchemaShape

_SOURCE = DescriptionSource("e2b", "", "", "MIT")
_MADE, _NONE = (201,), (204,)
_SANDBOX = "(?:/v2)?/sandboxes/[^/]+"
API = DescribedService(
    "e2b",
    "E2B API",
    _SOURCE,
    (
        ApiOperation("sandboxes.create", "POST", "/sandboxes", ApiShape("Sandbox"), statuses=_MADE),
        ApiOperation("sandboxes.list", "GET", "/v2/sandboxes", ListOf(ApiShape("ListedSandbox"))),
        ApiOperation("sandboxes.get", "GET", "/sandboxes/[^/]+", ApiShape("SandboxDetail")),
        ApiOperation("sandboxes.kill", "DELETE", "/sandboxes/[^/]+", BINARY, statuses=_NONE),
        ApiOperation("sandboxes.connect", "POST", f"{_SANDBOX}/connect", ApiShape("Sandbox"), statuses=(200, 201)),
        ApiOperation("sandboxes.change", "POST", f"{_SANDBOX}/(?:timeout|pause)", BINARY, statuses=_NONE),
        ApiOperation("sandboxes.network", "PUT", f"{_SANDBOX}/network", BINARY, statuses=_NONE),
        ApiOperation("sandboxes.metrics", "GET", f"{_SANDBOX}/metrics", ListOf(ApiShape("SandboxMetric"))),
        ApiOperation("snapshots.create", "POST", f"{_SANDBOX}/snapshots", ApiShape("SnapshotInfo"), statuses=_MADE),
        ApiOperation("snapshots.list", "GET", "/snapshots", ListOf(ApiShape("SnapshotInfo"))),
        ApiOperation("templates.request", "POST", "/v[23]/templates", ApiShape("TemplateRequestResponseV3"), statuses=(202,)),
        ApiOperation("templates.alias", "GET", "/templates/aliases/[^/]+", ApiShape("TemplateAliasResponse")),
        ApiOperation(
            "templates.upload", "GET", "/templates/[^/]+/files/[^/]+", ApiShape("TemplateBuildFileUpload"), statuses=_MADE
        ),
        ApiOperation("uploads", "PUT", "/uploads/[^/]+", BINARY),
        ApiOperation("builds.start", "POST", "/v2/templates/[^/]+/builds/[^/]+", BINARY, statuses=(202,)),
        ApiOperation("builds.status", "GET", "/templates/[^/]+/builds/[^/]+/status", ApiShape("TemplateBuildInfo")),
        ApiOperation("templates.delete", "DELETE", "/templates/[^/]+", BINARY, statuses=_NONE),
    ),
    ApiShape("Error"),
    "the classes that the SDK generates from E2B's OpenAPI document: every field and its type; an unknown field is refused, and "
    "each required field is there",
    "Where uploaded files go is a link into a bucket, which is no part of the API.",
)  # fmt: skip


def _unary(package: str, service: str, *names: str) -> tuple[ApiOperation, ...]:
    return tuple(
        ApiOperation(
            f"{service}.{name}",
            "POST",
            f"/{package}.{service}/{name}",
            ProtocolShape(f"{package}.{name}Response"),
        )
        for name in names
    )


def _stream(name: str) -> ApiOperation:
    events = {
        "message": ProtocolShape(f"process.{name}Response"),
        "end": SchemaShape("written", "ConnectEnd"),
    }
    return ApiOperation(f"Process.{name}", "POST", f"/process.Process/{name}", events=events)


ENVD = DescribedService(
    "envd",
    "E2B envd",
    _SOURCE,
    (
        ApiOperation("health", "GET", "/health", BINARY, statuses=_NONE),
        ApiOperation("files.read", "GET", "/files", BINARY, statuses=(200, 206)),
        ApiOperation("files.write", "POST", "/files", ListOf(SchemaShape("written", "EnvdEntry"))),
        *_unary("process", "Process", "List", "SendSignal", "SendInput", "CloseStdin"),
        *(_stream(name) for name in ("Start", "Connect", "StreamInput")),
        *_unary("filesystem", "Filesystem", "Stat", "MakeDir", "ListDir", "Remove", "Move"),
    ),
    SchemaShape("written", "ConnectError"),
    "each message by the classes that the SDK generates from E2B's protocol buffers, unknown fields refused; framing and "
    "errors by the Connect protocol",
    "The reply to an uploaded file is compared with what the SDK reads of it.",
)
SERVICES = (API, ENVD)
