"""Selection of the Python interpreter for a script."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.workflows.declarations import newest_minor
from codewords_mcp.runtime.workflows.environments.resolver import index_failure
from codewords_mcp.runtime.workflows.environments.uv import Uv, UvResult, run_command

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

    Fetched ones go to `installs`. Raises NoPython where none fits.
    """
    from packaging.specifiers import SpecifierSet

    own = own_python()
    # The own Python first: it is there for certain, and finding another starts processes.
    if SpecifierSet(requires).contains(own.version, prereleases=True) and own.executable.exists():
        return own

    where = {"UV_PYTHON_INSTALL_DIR": str(installs)}
    # Those of the person's own uv too: uv looks at one folder of installations at a time.
    found = await _find(uv, requires, {}) or await _find(uv, requires, where)
    if found is not None:
        return found
    if not downloads:
        raise NoPython(requires, "", hint="CODEWORDS_PYTHON_DOWNLOADS=true lets the runtime fetch it.")

    done = await uv.run(
        "python", "install", "--no-bin", requires, timeout_s=300, doing="fetching a Python", extra=where
    )
    found = await _find(uv, requires, where)
    if found is None:
        raise NoPython(requires, _why_not_fetched(done))
    return found


class NoPython(EnvironmentFailed):
    """No Python of this machine meets a script's pin, and none was fetched. `reason` is a sentence, may be empty."""

    def __init__(self, requires: str, reason: str, *, hint: str = "") -> None:
        message = f"The script asks for Python {requires}, and this machine has none. {reason}"
        super().__init__(message.rstrip(), hint=hint)
        self.requires = requires

    def explained(self, problem: EnvironmentFailed | None) -> EnvironmentFailed:
        """The error with both ways out. `problem` says why the packages don't install on the runtime's own Python."""
        from packaging.specifiers import SpecifierSet

        own, newest = own_python().short, newest_minor(SpecifierSet(self.requires))
        ways: list[str] = []
        if newest is not None:
            ways.append(f"`uv python install 3.{newest}` installs it.")
        if problem is None:
            ways.append(
                f"Its packages also install on this runtime's Python {own}: "
                f'with `requires-python = "{wider_pin(self.requires)}"` it runs there.'
            )
        else:
            ways.append(f"This runtime's Python {own} does not fit its packages: {problem.message}")
        return EnvironmentFailed(self.message, hint=" ".join(filter(None, (*ways, self.hint))))


def wider_pin(requires: str) -> str:
    """`requires` (PEP 440) widened, so that it also accepts the runtime's own Python."""
    from packaging.specifiers import SpecifierSet

    newest, own = newest_minor(SpecifierSet(requires)), sys.version_info[1]
    if newest is None or newest > own:
        return f">=3.{own}"
    return f">=3.{newest},<3.{own + 1}"


def _why_not_fetched(done: UvResult) -> str:
    if not done.code:
        return "The one that was fetched does not start."
    if "No download found" in done.stderr:
        return "There is none to fetch."
    if index_failure(done.stderr) is not None:
        return "Fetching one failed: its server cannot be reached."
    return "Fetching one failed."


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
