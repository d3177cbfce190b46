"""The client that a CodeWords workflow imports.

    CodewordsClient, AsyncCodewordsClient   call workflows and library services, deploy, read logs, move files
    logger, run_service                     the log and the server of a workflow
    redis_client                            state between runs
    agent.SubAgent                          an agent with the runtime's own tools

Names load when they are first asked for, so that `import codewords_client` costs little. Asking for one inside
a workflow also gives the provider SDKs and FastAPI their settings (`_workflow.prepare`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from codewords_client import _workflow

if TYPE_CHECKING:
    from codewords_client import agent as agent
    from codewords_client._async_client import AsyncCodewordsClient as AsyncCodewordsClient
    from codewords_client._errors import CodewordsConnectionError as CodewordsConnectionError
    from codewords_client._errors import CodewordsHTTPError as CodewordsHTTPError
    from codewords_client._errors import CodewordsTimeout as CodewordsTimeout
    from codewords_client._errors import MissingKeyError as MissingKeyError
    from codewords_client._handles import AsyncCodewordsResponse as AsyncCodewordsResponse
    from codewords_client._handles import CodewordsResponse as CodewordsResponse
    from codewords_client._logging import logger as logger
    from codewords_client._middleware import RequestIdMiddleware as RequestIdMiddleware
    from codewords_client._replies import Reply as Reply
    from codewords_client._replies import Result as Result
    from codewords_client._service import run_service as run_service
    from codewords_client._sync_client import CodewordsClient as CodewordsClient
    from codewords_client.redis import redis_client as redis_client

_HOMES = {
    "AsyncCodewordsClient": "_async_client",
    "CodewordsClient": "_sync_client",
    "CodewordsResponse": "_handles",
    "AsyncCodewordsResponse": "_handles",
    "Reply": "_replies",
    "Result": "_replies",
    "CodewordsHTTPError": "_errors",
    "CodewordsConnectionError": "_errors",
    "CodewordsTimeout": "_errors",
    "MissingKeyError": "_errors",
    "logger": "_logging",
    "RequestIdMiddleware": "_middleware",
    "run_service": "_service",
    "redis_client": "redis",
}
_MODULES = frozenset({"agent", "redis", "codewords_client"})

__all__ = [
    "AsyncCodewordsClient",
    "AsyncCodewordsResponse",
    "CodewordsClient",
    "CodewordsConnectionError",
    "CodewordsHTTPError",
    "CodewordsResponse",
    "CodewordsTimeout",
    "MissingKeyError",
    "Reply",
    "RequestIdMiddleware",
    "Result",
    "agent",
    "logger",
    "redis_client",
    "run_service",
]

_workflow.prepare()


def __getattr__(name: str) -> object:
    """A public name, from its module (PEP 562)."""
    # On each access and not at import, and with nothing cached here: a sandbox may be forked from
    # an interpreter that imported this package before the workflow's environment existed.
    if name in _HOMES:
        _workflow.prepare()
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
