"""The extension for VS Code, with the tools that its lock file names."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.npm import locked, node

EXTENSION = Path(__file__).parents[3] / "editors" / "vscode"


def copy_extension(folder: Path) -> Path:
    """Copy the extension into a folder, beside its tools. Returns the folder."""
    tools = locked(EXTENSION)
    shutil.copytree(EXTENSION, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(tools / "node_modules")
    return folder


async def pack(extension: Path, file: Path) -> Path:
    """Pack a copy of the extension into a file. Returns the file."""
    command = ("node_modules/@vscode/vsce/vsce", "package", "--no-dependencies", "--out", str(file))
    code, out, err = await node(extension, *command)
    assert code == 0, out + err
    return file
