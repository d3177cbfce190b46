"""Record of the workflow that each file was deployed as.

Deploying the file again makes a new version of that workflow; another file of the same name does not.
"""

from __future__ import annotations

from pathlib import Path

from codewords_mcp.cli._file_notes import FileNotes

_NOTES = FileNotes("deployed_files.json")


def deployed_as(file: str) -> str | None:
    """The id of the workflow that this file was deployed as, on the runtime that commands talk to now."""
    found = _NOTES.get(Path(file))
    if found is None:
        return None
    return str(found)


def deployed_from(workflow_id: str) -> Path | None:
    """The file that a workflow was deployed from last, on the runtime that commands talk to now."""
    found = [Path(file) for file, one in _NOTES.all().items() if str(one) == workflow_id]
    return found[-1] if found else None


def remember(file: str, workflow_id: str) -> None:
    """Note what a file was deployed as."""
    _NOTES.put(Path(file), workflow_id)


def forget(file: str) -> None:
    """Forget a file whose workflow is gone."""
    _NOTES.remove(Path(file))
