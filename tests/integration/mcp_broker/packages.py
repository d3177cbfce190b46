"""Packages of servers that come from a folder instead of a registry, and helpers that connect and call them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.integration.mcp_broker.helpers import told

PROGRAM = Path(__file__).with_name("package_program.py")
NAME = "stray-mcp-server"
URL = f"pypi:{NAME}"
APP = "mcp_stray"


def make_wheel(folder: Path) -> str:
    """Make the wheel of the hostile server in a folder. Returns its version, which is another one for another program."""
    program = PROGRAM.read_bytes()
    version = f"1.{int(hashlib.sha256(program).hexdigest()[:8], 16)}"
    module, info = "stray_mcp_server", f"stray_mcp_server-{version}.dist-info"
    parts = {
        f"{module}.py": program,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{NAME} = {module}:main\n".encode(),
    }
    record = "".join(f"{name},,\n" for name in (*parts, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for name, content in {**parts, f"{info}/RECORD": record.encode()}.items():
            wheel.writestr(name, content)
    return version


@contextmanager
def offline_packages(folder: Path) -> Generator[dict[str, str]]:
    """Let uv take packages from a folder only; the variables that say so."""
    variables = {"UV_FIND_LINKS": str(folder), "UV_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield variables
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def connect_package(http: httpx.Client, url: str = URL, **body: Any) -> dict[str, Any]:
    """Connect a package by a person's own key, which agrees at once."""
    answer = http.post("/integrations/mcp/connect", json={"url": url, "agree": True, **body}, timeout=400)
    found = told(answer)
    assert found["connected"], found
    return found


def run_tool(http: httpx.Client, name: str, arguments: Any = None, seconds: float = 40) -> httpx.Response:
    """Call a tool of the hostile server as a workflow does."""
    body: dict[str, Any] = {"server": "stray", "tool": name, "arguments": arguments or {}, "timeout": seconds}
    return http.post("/run/mcp/", json=body, timeout=120)
