"""Serves public apps without us, by FastAPI's test client. One JSON object a line in, one a line out; each in a process.

    {"code": …, "requests": [[method, path, query, headers, body], …]}  →  {"openapi": …, "answers": [[status, text], …]}

`openapi` is None for an app that cannot be imported or described. Each request meets an app that was just loaded; an
answer is None where the app raises.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import types
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from _forked_answers import serve

SECONDS = 8


def load(code: str) -> Any:
    """The app that the code calls `app`."""
    module = types.ModuleType("main")
    sys.modules["main"] = module
    exec(compile(code, "main.py", "exec"), module.__dict__)
    return module.__dict__["app"]


def answer(task: dict[str, Any], pipe: Connection) -> None:
    code = task["code"]
    os.chdir(tempfile.mkdtemp())
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    openapi = None
    answers: list[Any] = []
    with suppress(Exception):
        openapi = json.loads(json.dumps(load(code).openapi()))
        answers = [one_answer(code, *request) for request in task["requests"]]
    pipe.send({"openapi": openapi, "answers": answers})


def one_answer(code: str, method: str, path: str, query: str, headers: dict[str, str], body: Any) -> Any:
    from fastapi.testclient import TestClient

    url = f"{path}?{query}" if query else path
    with suppress(Exception), TestClient(load(code), follow_redirects=False) as client:
        response = client.request(method, url, headers=headers, **({} if body is None else {"json": body}))
        return [response.status_code, response.text]
    return None


if __name__ == "__main__":
    importlib.import_module("fastapi.testclient")  # once, before the forks
    serve(answer, SECONDS, {"openapi": None, "answers": []})
