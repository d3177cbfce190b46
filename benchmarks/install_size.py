"""Weigh what `pip install codewords-mcp` installs, beside an engine that people run workflows with.

Installs each into a fresh environment of this Python and adds up what the packages' own lists of files name, so bytecode
and the installer are left out. The five heaviest are named on stderr.

    python benchmarks/install_size.py [--quick] [--json]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from _bench import Options, Question, options, report
from _prefect import VERSION

PROJECT = Path(__file__).parents[1]
PEER = f"prefect=={VERSION}"
MAX_PACKAGES, MAX_MB = 101, 237
"""Ceilings: the weight of an installation today. Note 051 has what could still go, and why it stays."""


@dataclass(frozen=True)
class Installation:
    """Sizes by package, in MB."""

    sizes: dict[str, float]

    @property
    def heaviest(self) -> str:
        """The five packages that weigh most."""
        order = sorted(self.sizes.items(), key=_size, reverse=True)
        return ", ".join(f"{name} {size:.1f}" for name, size in order[:5])


def _size(entry: tuple[str, float]) -> float:
    return entry[1]


def install(requirement: str) -> Installation:
    """Install a requirement and everything that it needs into an environment of its own, and weigh it."""
    with tempfile.TemporaryDirectory() as folder:
        _uv("venv", "--quiet", "--python", sys.executable, folder)
        _uv("pip", "install", "--quiet", "--python", f"{folder}/bin/python", requirement)
        (packages,) = Path(folder).glob("lib/python*/site-packages")
        return Installation(
            {dist.name: _weight(dist) for dist in metadata.distributions(path=[str(packages)])}
        )


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, timeout=600)


def _weight(distribution: metadata.Distribution) -> float:
    paths = [Path(str(file.locate())) for file in distribution.files or [] if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def measure(chosen: Options) -> list[Question]:
    """Weigh both once: an installation has no spread."""
    del chosen
    ours, peer = install(str(PROJECT)), install(PEER)
    for name, installation in (("codewords-mcp", ours), (PEER, peer)):
        sys.stderr.write(f"{name}: {installation.heaviest}\n")
    return [
        Question(
            "packages of an installation", PEER, "packages", None,
            [len(ours.sizes)], [len(peer.sizes)], at_most=MAX_PACKAGES,
        ),
        Question(
            "unpacked size of an installation", PEER, "MB", None,
            [sum(ours.sizes.values())], [sum(peer.sizes.values())], at_most=MAX_MB,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    chosen = options(__doc__ or "", runs=1, quick_runs=1)
    sys.exit(report(measure(chosen), chosen))
