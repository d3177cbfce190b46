"""Serving a workflow: its port, its log level, and the answers that the runtime and its callers expect from it."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from typing import Any, cast

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from codewords_client import _logging
from codewords_client._errors import explanation
from codewords_client._middleware import RequestIdMiddleware, request_ids, with_marks

_MARK = "codewords_contract"
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}lib{os.sep}python")


def run_service(app: FastAPI, **options: Any) -> None:
    """Serve the app with uvicorn on `PORT` (8000) at `LOGLEVEL`; `options` are uvicorn's and win.

    Each request's ids are bound to the log and to outgoing calls, and errors answer as the wire contract says.
    The access log is off unless asked for: the runtime records each request.
    """
    import uvicorn

    _logging.configure()
    keep_contract(app)
    settings: dict[str, Any] = {
        "host": "0.0.0.0",  # reached from outside the sandbox
        "port": int(os.environ.get("PORT") or 8000),
        "log_level": _logging.level(),
        "access_log": False,
    }
    uvicorn.run(app, **settings | options)


def keep_contract(app: FastAPI) -> None:
    """Give an app the ids and the error answers of the contract; once, and below whatever the script sets itself."""
    if getattr(app.state, _MARK, False):
        return
    setattr(app.state, _MARK, True)
    app.add_middleware(RequestIdMiddleware)
    app.exception_handlers.setdefault(httpx.HTTPStatusError, _upstream_failed)
    # Starlette takes 500 and Exception for one handler, and the later of them wins: the script's
    # own must stay.
    if 500 not in app.exception_handlers:
        app.exception_handlers.setdefault(Exception, _handler_failed)


def adopt_new_apps() -> None:
    """From now on, every FastAPI app of this process keeps the contract, however the script serves it."""
    # A script may serve its app by uvicorn's command line or by another server, so `run_service` is
    # not enough.
    original = FastAPI.__init__
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def init(self: FastAPI, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        keep_contract(self)

    setattr(init, _MARK, True)
    FastAPI.__init__ = init


async def _upstream_failed(request: Request, error: Exception) -> JSONResponse:
    """A call that the workflow made was refused and it did not mind: its caller learns the upstream's own answer."""
    response = cast("httpx.HTTPStatusError", error).response  # registered for that class alone
    return _answer(request, response.status_code, _upstream_detail(response))


async def _handler_failed(request: Request, error: Exception) -> JSONResponse:
    """The workflow raised. The server logs the traceback, since Starlette raises it on after this answer."""
    return _answer(request, 500, f"Internal server error:\n\n{trimmed_traceback(error)}")


def _answer(request: Request, status: int, detail: Any) -> JSONResponse:
    answer = JSONResponse({"detail": detail}, status)
    # This may run outside of the middleware, so the marks are set here as well.
    answer.raw_headers = with_marks(answer.raw_headers, status, request_ids(request.scope))
    return answer


def _upstream_detail(response: httpx.Response) -> object:
    try:
        return explanation(response)
    except httpx.ResponseNotRead:
        return response.reason_phrase


def trimmed_traceback(error: BaseException) -> str:
    """The end of a traceback that a script's author can use: own frames where there are any, bounded both ways.

    `ERROR_TRACE_MAX_FRAMES` (5) frames and `ERROR_TRACE_MAX_CHARS` (2000) characters.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(part in frame.filename for part in _PACKAGES)]
    shown = (own or frames)[-_number("ERROR_TRACE_MAX_FRAMES", 5) :]
    # The end has the message and the line that raised.
    text = "".join([*traceback.format_list(shown), *traceback.format_exception_only(error)]).rstrip()
    return text[-_number("ERROR_TRACE_MAX_CHARS", 2000) :]


def _number(name: str, default: int) -> int:
    try:
        return max(1, int(os.environ.get(name, default)))
    except ValueError:
        sys.stderr.write(f"{name} is not a number; using {default}.\n")
        return default
