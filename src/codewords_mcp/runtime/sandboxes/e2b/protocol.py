"""Messages between host and agent, as JSON; see `mux` for the frames.

host → agent   {"do": "attach", "have": chunks}              {"do": "start", "spec": …, "egress": …}
               {"do": "stop", "grace": seconds}              {"do": "kill", "reason": …}
               {"do": "usage", "id": number}                 {"do": "read", "upto": chunks}
               {"do": "environment", "pins": […], "python": "3.11", "client": bool,
               "modules": "…"}
agent → host   {"hello": {version, tier, title, facts, capabilities, environment, started}}
               {"ready": null | error} · {"ended": {exit, failure, usage}} · {"failed": error}
               {"usage": …, "id": number} · {"egress": event} · {"progress": text}
               {"environment": null | error}

Streams that the host opens are connections to the program: {"to": "program"}. Those of the agent are connections to the
runtime, {"to": "runtime"}, or out by way of it, {"to": "out", "host", "port"}; the first data of the latter is JSON,
{"allowed": bool, "reason": text}, and then what the other end sends.

Output is numbered by chunk from 0; the agent keeps what the host has not said to have read, for when the connection breaks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from codewords_mcp.errors import (
    CodewordsError,
    EnvironmentFailed,
    ProgramFailed,
    ProgramFailure,
    RunTimedOut,
    SandboxFailed,
    SandboxUnavailable,
    StorageFailed,
)
from codewords_mcp.runtime.sandboxes.base import (
    EnvironmentRef,
    Exit,
    ExitReason,
    Limits,
    SandboxSpec,
    Stream,
    Usage,
)

VERSION: Final = 3
"""Of this protocol. An agent of another version is in a template that has to be built again."""
AGENT_PORT: Final = 49901
"""The port that the agent listens on in its machine."""
SESSION_HEADER: Final = "X-Codewords-Session"
"""A secret of the host's: whoever starts the program has said it first, and no other is heard afterwards."""
OUTPUT_AHEAD: Final = 256 << 10
"""Bytes of output that may be under way without having been read; then the program waits."""
STREAM_CODES: Final[dict[Stream, int]] = {"stdout": 1, "stderr": 2, "platform": 3}
STREAM_NAMES: Final[dict[int, Stream]] = {code: name for name, code in STREAM_CODES.items()}

Json = dict[str, Any]
_KINDS: Final[dict[str, type[CodewordsError]]] = {
    kind.__name__: kind
    for kind in (EnvironmentFailed, RunTimedOut, SandboxFailed, SandboxUnavailable, StorageFailed)
}


def from_spec(spec: SandboxSpec) -> Json:
    """A specification without its environment, which is the machine's own."""
    limits = spec.limits
    return {
        "id": spec.id,
        "code": spec.code,
        "env": dict(spec.env),
        "port": spec.port,
        "network": spec.network,
        "authority": spec.authority,
        "limits": {
            "memory": limits.memory,
            "disk": limits.disk,
            "processes": limits.processes,
            "files": limits.files,
            "start_timeout": limits.start_timeout,
        },
    }


def to_spec(data: Json, environment: EnvironmentRef) -> SandboxSpec:
    """The specification, in an environment of the machine."""
    return SandboxSpec(
        id=data["id"],
        environment=environment,
        code=data["code"],
        env=data["env"],
        limits=Limits(**data["limits"]),
        port=data["port"],
        network=data["network"],
        authority=data["authority"],
    )


def from_environment(environment: EnvironmentRef) -> Json:
    """For the machine's own notes."""
    return {
        "path": str(environment.path),
        "base_prefix": str(environment.base_prefix),
        "python_version": environment.python_version,
    }


def to_environment(data: Json) -> EnvironmentRef:
    """See `from_environment`."""
    return EnvironmentRef(Path(data["path"]), Path(data["base_prefix"]), data["python_version"])


def from_error(error: CodewordsError | None) -> Json | None:
    """An error of ours, whole."""
    if error is None:
        return None
    return {
        "kind": type(error).__name__,
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_code": getattr(error, "exit_code", None),
    }


def to_error(data: Json | None) -> CodewordsError | None:
    """See `from_error`; a kind that is not known here is a failed sandbox."""
    if data is None:
        return None
    if data["kind"] == "ProgramFailed":
        kind = cast("ProgramFailure", data["code"])
        return ProgramFailed(kind, data["message"], hint=data["hint"], exit_code=data["exit_code"])
    return _KINDS.get(data["kind"], SandboxFailed)(data["message"], hint=data["hint"])


def from_exit(exit_: Exit) -> Json:
    """Decode the end of a sandbox."""
    return {"reason": exit_.reason, "code": exit_.code, "signal": exit_.signal}


def to_exit(data: Json) -> Exit:
    """See `from_exit`."""
    return Exit(cast("ExitReason", data["reason"]), data["code"], data["signal"])


def from_usage(usage: Usage) -> Json:
    """Decode a program's usage, as its machine measured it."""
    return {"wall": usage.wall_seconds, "cpu": usage.cpu_seconds, "peak": usage.peak_memory}
