"""Write what the attestations of a release say, unsigned: who signs them is the build service that has an identity.

    attestations.py FOLDER VERSION

`codewords-mcp-VERSION.provenance.json` is an in-toto statement with SLSA's provenance (v1) over every file of the folder.
`NAME.publish.json` is the statement of PyPI (PEP 740) for each distribution, which its publisher signs. GitHub's actions take
`SHA256SUMS` as their subjects, the list of components for an SBOM, and the predicate of the first file.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/codewords-mcp/codewords-mcp"
STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
PUBLISH = "https://docs.pypi.org/attestations/publish/v1"
BUILD_TYPE = f"{REPOSITORY}/blob/main/scripts/package"
LOCAL_BUILDER = f"{REPOSITORY}/blob/main/CONTRIBUTING.md#a-release"
"""The builder of a statement that nobody has signed: a clone. The service that signs names itself instead."""
INPUTS = ("pyproject.toml", "constraints.txt", "hatch_build.py", "scripts/package")
_NOT_SUBJECTS = (".provenance.json", ".publish.json", "SHA256SUMS", ".gitignore")


def main() -> int:
    """Write the statements of the folder and version that the arguments name."""
    folder, version = Path(sys.argv[1]), sys.argv[2]
    files = sorted(path for path in folder.iterdir() if not path.name.endswith(_NOT_SUBJECTS))
    write(
        folder / f"codewords-mcp-{version}.provenance.json", statement(files, PROVENANCE, provenance(version))
    )
    for file in files:
        if file.name.endswith((".whl", ".tar.gz")):
            write(folder / f"{file.name}.publish.json", statement([file], PUBLISH, None))
    return 0


def statement(files: list[Path], predicate_type: str, predicate: dict[str, Any] | None) -> dict[str, Any]:
    """An in-toto statement whose subjects are these files."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": file.name, "digest": {"sha256": digest(file)}} for file in files],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def provenance(version: str) -> dict[str, Any]:
    """SLSA's provenance of a build from this clone. Without times, so that the same build has the same statement."""
    commit = git("rev-parse", "HEAD")
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"source": f"git+{REPOSITORY}@refs/tags/v{version}", "command": "scripts/package"},
            "internalParameters": {
                "python": ".".join(map(str, sys.version_info[:3])), "uv": installed_version("uv"),
                "changed_files": bool(git("status", "--porcelain")),
            },
            "resolvedDependencies": [
                {"uri": f"git+{REPOSITORY}@{commit}", "digest": {"gitCommit": commit}},
                *({"uri": name, "digest": {"sha256": digest(PROJECT / name)}} for name in INPUTS),
            ],
        },
        "runDetails": {"builder": {"id": LOCAL_BUILDER}, "metadata": {"invocationId": f"{commit}/{version}"}},
    }  # fmt: skip


def digest(file: Path) -> str:
    """The SHA-256 of a file in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def git(*words: str) -> str:
    """The output of a git command in this clone."""
    return subprocess.run(
        ["git", *words], cwd=PROJECT, check=True, capture_output=True, encoding="utf-8"
    ).stdout.strip()


def write(path: Path, value: dict[str, Any]) -> None:
    """Write a value as JSON."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
