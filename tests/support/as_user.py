"""Becomes an ordinary user and runs a command, with what a test needs in that user's reach.

Root's own Python and checkout may lie where others cannot enter: in a mount namespace of its own, each is bound to a
place that all can. Arguments: a folder for the places, then `name=source …`, `--`, the command.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import uv

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces import preloadable
from codewords_mcp.runtime.sandboxes.namespaces.inside import linux

NOBODY = 65534
PROJECT = Path(__file__).resolve().parents[2]


def command(
    folder: Path, environment: EnvironmentRef, *arguments: str | Path
) -> tuple[list[str | Path], dict[str, str]]:
    """What runs this Python with arguments as the user, and its variables. Makes `places` in the folder, and `own`,
    which is the user's; the project, its packages and the environment are in reach.
    """
    folder.chmod(0o755)
    places, own = folder / "places", folder / "own"
    places.mkdir(mode=0o755)
    own.mkdir(mode=0o700)
    os.chown(own, NOBODY, NOBODY)
    preloadable_file = preloadable.file_beside(environment.path)
    if preloadable_file.exists():
        shutil.copy(preloadable_file, preloadable.file_beside(places / "env"))
    sources = {
        "python": Path(sys.base_prefix).resolve(), "site": sysconfig.get_path("purelib"), "project": PROJECT, "env": environment.path,
        "scripts": Path(uv.find_uv_bin()).parent,
    }  # fmt: skip
    # Of the scripts only uv is on PATH: their Python would come before the one that runs this.
    programs = places / "programs"
    programs.mkdir()
    (programs / "uv").symlink_to(places / "scripts" / "uv")
    python = places / "python" / "bin" / f"python{environment.python_version}"
    bound = [f"{name}={source}" for name, source in sources.items()]
    variables = {
        "PATH": f"/usr/bin:/bin:{programs}", "HOME": str(own), "TMPDIR": str(own), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": f"{places}/python/lib", "PYTHONPATH": ":".join(f"{places}/{name}" for name in ("project/src", "project/packages/codewords-testing/src", "project", "site")),
        "SANDBOX_TEST_ENVIRONMENT": str(places / "env"),
    }  # fmt: skip
    return [sys.executable, __file__, places, *bound, "--", python, *arguments], variables


def main() -> None:
    folder, *rest = sys.argv[1:]
    split = rest.index("--")
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for place in rest[:split]:
        name, _, source = place.partition("=")
        target = Path(folder) / name
        target.mkdir()
        linux.bind(source, str(target), linux.MS_NOSUID | linux.MS_NODEV)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    command = rest[split + 1 :]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
