"""Settings of a file that `codewords.toml` declares: they hold while it is developed as they will once it is pushed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.cli._code_file import read_code
from codewords_mcp.cli.project.file import parse_project
from codewords_mcp.runtime.model.project import PROJECT_FILE


@dataclass(frozen=True, slots=True)
class DeclaredSettings:
    """Configuration values, None where they are left to the runtime, and names of secrets that need a value.

    `file` is the `codewords.toml` that was looked at, present or not.
    """

    file: Path
    config: dict[str, str] | None = None
    secrets: tuple[str, ...] = ()


def project_file(path: Path) -> Path:
    """The nearest `codewords.toml` in the folder of a file or one above; the one beside it where there is none."""
    beside = path.parent / PROJECT_FILE
    above = (folder / PROJECT_FILE for folder in path.parents)
    return next((file for file in above if file.is_file()), beside)


def declared_settings(path: Path) -> DeclaredSettings:
    """The settings of a file in its project. Raises InvalidInput with each fault of `codewords.toml` and its line."""
    file = project_file(path)
    if not file.is_file():
        return DeclaredSettings(file)
    for workflow in parse_project(read_code(str(file)), file.name).workflow:
        if file.parent / workflow.file == path:
            return DeclaredSettings(file, workflow.config_values, tuple(workflow.secrets))
    return DeclaredSettings(file)
