"""Record of the workflow that each file was deployed as.

Deploying the file again makes a new version of that workflow; another file of the same name does not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codewords_mcp.cli._connect import remote_endpoint
from codewords_mcp.stdio import home

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = "deployed_files.json"
_MOST = 1000
"""Files that are remembered; those deployed longest ago are forgotten first."""


def deployed_as(file: str) -> str | None:
    """The id of the workflow that this file was deployed as, on the runtime that commands talk to now."""
    return _read().get(runtime_name(), {}).get(_key(file))


def deployed_from(workflow_id: str) -> Path | None:
    """The file that a workflow was deployed from last, on the runtime that commands talk to now."""
    files = _read().get(runtime_name(), {})
    found = [Path(file) for file, one in files.items() if one == workflow_id]
    return found[-1] if found else None


def remember(file: str, workflow_id: str) -> None:
    """Note what a file was deployed as. A home that cannot be written only means that the next deploy asks for the id."""
    known = _read()
    files = known.setdefault(runtime_name(), {})
    # Removed first, so that it becomes the newest: dictionaries keep the order of insertion.
    files.pop(_key(file), None)
    files[_key(file)] = workflow_id
    while len(files) > _MOST:
        del files[next(iter(files))]
    _write(known)


def forget(file: str) -> None:
    """Forget a file whose workflow is gone."""
    known = _read()
    if known.get(runtime_name(), {}).pop(_key(file), None) is not None:
        _write(known)


def _key(file: str) -> str:
    # The same file by another path is the same workflow.
    return str(Path(file).resolve())


def runtime_name() -> str:
    """The remote runtime's address, or the home itself, whose port may change."""
    remote = remote_endpoint()
    return remote.url if remote is not None else "home"


def _path() -> Path:
    return Path(home.home_folder()) / _FILE


def _read() -> dict[str, dict[str, str]]:
    try:
        found: Any = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}

    if not isinstance(found, dict):
        return {}

    return {
        str(runtime): {str(file): str(one) for file, one in cast("dict[str, Any]", files).items()}
        for runtime, files in cast("dict[str, Any]", found).items()
        if isinstance(files, dict)
    }


def _write(known: Mapping[str, Mapping[str, str]]) -> None:
    path = _path()
    temporary = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
        # The list tells on which projects a person works.
        temporary.chmod(0o600)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
