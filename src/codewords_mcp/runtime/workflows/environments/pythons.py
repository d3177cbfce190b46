"""Selection of the Python interpreter for a script."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.workflows.environments.uv import Uv, run_command

_PROBE = """
import json, platform, sys
print(json.dumps({"base_prefix": sys.base_prefix, "version": platform.python_version(), "tag": sys.implementation.cache_tag}))
"""


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter on this machine. `version` is complete ("3.11.7"), `base_prefix` the installation's folder."""

    base_prefix: Path
    version: str
    tag: str

    @property
    def short(self) -> str:
        """The version as folders under lib/ have it: 3.11."""
        return ".".join(self.version.split(".")[:2])

    @property
    def executable(self) -> Path:
        """The interpreter of this very version in the installation."""
        return self.base_prefix / "bin" / f"python{self.short}"


def own_python() -> Python:
    """The Python that the runtime itself runs on."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    # The real path, since a link such as python3.11 → python3.11.7 may later point elsewhere.
    return Python(Path(os.path.realpath(sys.base_prefix)), version, sys.implementation.cache_tag or "")


async def find_python(uv: Uv, requires: str, *, downloads: bool, installs: Path) -> Python:
    """The runtime's own Python where `requires` (PEP 440, may be empty) allows it, else one that uv finds or fetches.

    Fetched ones go to `installs`. Raises EnvironmentFailed where none fits.
    """
    from packaging.specifiers import SpecifierSet

    own = own_python()
    # The own Python first: it is there for certain, and finding another starts processes.
    if SpecifierSet(requires).contains(own.version, prereleases=True) and own.executable.exists():
        return own

    where = {"UV_PYTHON_INSTALL_DIR": str(installs)}
    found = await _find(uv, requires, where)
    fetched: bool | None = None
    if found is None and downloads:
        done = await uv.run(
            "python", "install", "--no-bin", requires, timeout_s=300, doing="fetching a Python", extra=where
        )
        fetched = done.code == 0
        found = await _find(uv, requires, where)

    if found is None:
        if fetched is None:
            tried = ""
        elif not fetched:
            tried = " Fetching one failed too: is the network there?"
        else:
            tried = ""

        raise EnvironmentFailed(
            f"The script asks for Python {requires}, and none of this machine fits.{tried}",
            hint='Write `requires-python = ">=3.11"`, or install that Python.'
            + ("" if downloads else " CODEWORDS_PYTHON_DOWNLOADS=true lets the runtime fetch it."),
        )

    return found


async def _find(uv: Uv, requires: str, where: dict[str, str]) -> Python | None:
    done = await uv.run(
        "python",
        "find",
        "--system",
        # uv would otherwise read the pyproject.toml of the folder that the runtime was started
        # in.
        "--no-project",
        requires,
        timeout_s=60,
        doing="looking for a Python",
        extra=where,
    )
    if done.code or not done.stdout.strip():
        return None

    # uv may print warnings before the path.
    command = (done.stdout.strip().splitlines()[-1], "-I", "-S", "-c", _PROBE)
    probed = await run_command(
        command, env=uv.environment(), timeout_s=30, doing="asking a Python for its version"
    )
    if probed.code:
        return None

    return _described(json.loads(probed.stdout))


def _described(facts: dict[str, str]) -> Python | None:
    python = Python(Path(os.path.realpath(facts["base_prefix"])), facts["version"], facts["tag"])
    if python.executable.exists():
        return python
    return None
