"""One home with one runtime for all tests of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.terminal import FEW, Shell
from tests.support.runtime import make_home


@pytest.fixture
def empty(tmp_path: Path) -> Shell:
    """A shell with a home in which nothing runs."""
    return Shell(tmp_path / "home")


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose home's runtime is stopped at the end."""
    home = make_home(tmp_path_factory.mktemp("cli") / "home", FEW)
    shell = Shell(home, {"CODEWORDS_PORT": "0"})
    shell.serve()
    yield shell
    assert shell("codewords", "stop").code == 0


@pytest.fixture(scope="module", autouse=True)
def cancelled_runs(shell: Shell) -> Iterator[None]:
    """Cancel the runs that a file's tests leave behind, since the next file has the same runtime."""
    yield
    for run in shell("codewords", "runs", "--limit", "50", "--json").json:
        if run["status"] in {"queued", "running"}:
            shell("codewords", "cancel", run["id"])


@pytest.fixture(scope="session")
def greeting(shell: Shell) -> str:
    """The id of the greeting template, deployed."""
    done = shell("codewords", "deploy", "--template", "greeting", "--name", "greeting", "--json")
    assert done.code == 0, done.err
    return str(done.json["service_id"])


@pytest.fixture(scope="session")
def slow(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a workflow that says so in its log, and then waits 30 s at /wait or answers 418 at /teapot."""
    file = tmp_path_factory.mktemp("workflows") / "slow.py"
    file.write_text(SLOW, encoding="utf-8")
    done = shell("codewords", "deploy", str(file), "--json", "--allow")
    assert done.code == 0, done.err
    return str(done.json["service_id"])


SLOW = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# ///
import asyncio
import os

import uvicorn
from fastapi import FastAPI, Response

app = FastAPI()


@app.post("/wait")
async def wait() -> dict[str, str]:
    print("waiting \\x1b[2Jn\\u202eow", flush=True)
    await asyncio.sleep(30)
    return {"message": "done"}


@app.post("/teapot")
async def teapot() -> Response:
    return Response("short and stout", status_code=418, media_type="text/plain")


@app.post("/reach")
def reach() -> None:
    import socket

    socket.create_connection(("10.0.0.1", 80), timeout=10).recv(1)


@app.get("/binary")
async def binary() -> Response:
    return Response(bytes(range(256)), media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
