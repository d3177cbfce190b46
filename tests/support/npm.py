"""Programs from npm, kept in a temporary folder between runs."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.support.needs import require

TYPESCRIPT = ("@modelcontextprotocol/sdk@1.32.2", "@modelcontextprotocol/client@2.4.0")
INSPECTOR = ("@modelcontextprotocol/inspector@2.12.0",)
_NODE = f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}"
SERVER_NODE = f"{_NODE}@24.21.0"
CONFORMANCE = ("@modelcontextprotocol/conformance@0.2.0-alpha.12", SERVER_NODE)
"""With a Node of its own, `OWN_NODE`: it needs 22 or newer."""
_FOLDER = Path(tempfile.gettempdir()) / f"codewords-npm-{getpass.getuser()}"
OWN_NODE = f"node_modules/{_NODE}/bin/node"


def installed(*packages: str) -> Path:
    """The folder with these packages. Skips the test where npm cannot get them, and fails it where CI is true."""
    name = "-".join(re.sub(r"\W+", "_", package) for package in packages)
    folder = _FOLDER / name
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"type": "module", "private": true}', encoding="utf-8")
        _install(folder, "install", packages)
    return folder


def locked(source: Path) -> Path:
    """A folder with exactly what the lock file of another says. Skips or fails as `installed` does."""
    lock = (source / "package-lock.json").read_bytes()
    folder = _FOLDER / f"{source.name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder / name)
        _install(folder, "ci", (source.name,))
    return folder


def packed(package: str) -> Path:
    """The archive of a package, for one that is too large to be unpacked. Skips or fails as `installed` does."""
    folder = _FOLDER / ("packed-" + re.sub(r"\W+", "_", package))
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install(folder, "pack", (package,))
    [archive] = folder.glob("*.tgz")
    return archive


def _install(folder: Path, command_name: str, packages: tuple[str, ...]) -> None:
    require("node")
    wanted = () if command_name == "ci" else packages
    command = ["npm", command_name, "--ignore-scripts", "--no-audit", "--no-fund", *wanted]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        told = f"npm cannot install {', '.join(packages)}: {type(error).__name__}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    (folder / "complete").touch()


async def node(folder: Path, *arguments: str, program: str = "node") -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of node with these arguments, in the folder."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(240):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), err.decode()
