"""Read `codewords.toml` and the workflows' files; each fault is told with its line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from codewords_mcp.cli._code_file import read_code
from codewords_mcp.cli._shared_modules import read_workflow
from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound
from codewords_mcp.runtime.model.project import PROJECT_FILE, ProjectFile, ProjectWorkflow
from codewords_mcp.runtime.triggers import cron

_TABLE = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*[=.]""")
_AT_LINE = re.compile(r"at line (\d+)")
_SENTENCES = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class FolderWorkflow:
    """A workflow of the folder with the text of its file. `line` is that of its table in `codewords.toml`."""

    declared: ProjectWorkflow
    path: Path
    code: str
    line: int


@dataclass(frozen=True, slots=True)
class ProjectFolder:
    """A folder with its `codewords.toml`. `text` is the file's, "" where there is none yet."""

    path: Path
    text: str
    project: ProjectFile
    workflows: tuple[FolderWorkflow, ...]

    @property
    def file(self) -> Path:
        """The path of `codewords.toml`."""
        return self.path / PROJECT_FILE


def read_folder(folder: Path, *, code: bool = True) -> ProjectFolder:
    """Read a project. Without `code` the workflows' files need not be there, and their text is "".

    Raises NotFound without `codewords.toml`, InvalidInput with each fault and its line.
    """
    file = folder / PROJECT_FILE
    if not file.is_file():
        raise NotFound(
            f"{file} is not there, so this folder is no project.",
            hint=f"`codewords pull {folder}` makes one of deployed workflows; a new {PROJECT_FILE} needs no more than "
            '[[workflow]] and file = "hello.py".',
        )
    text = read_code(str(file))
    project = parse_project(text, str(file))
    lines = line_numbers(text)
    found: list[FolderWorkflow] = []
    for number, declared in enumerate(project.workflow):
        path, line = folder / declared.file, lines.get(("workflow", number, "file"), 1)
        if code and not path.is_file():
            raise _fault(str(file), line, f"`{declared.file}` is not in this folder")
        found.append(FolderWorkflow(declared, path, read_workflow(str(path)) if code else "", line))
    return ProjectFolder(folder, text, project, tuple(found))


def parse_project(text: str, file: str = PROJECT_FILE) -> ProjectFile:
    """Parse the text of a `codewords.toml`. Raises InvalidInput that names every fault with its line."""
    try:
        data = tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = (
            str(error).split("\n")[0]
            if isinstance(error, tomllib.TOMLDecodeError)
            else "it is nested too deeply"
        )
        at = _AT_LINE.search(reason)
        raise _fault(file, int(at[1]) if at else 1, f"this is not TOML: {reason[:160]}") from None

    lines = line_numbers(text)
    try:
        project = ProjectFile.model_validate(data)
    except ValidationError as error:
        faults = [
            _sentence(file, lines, fault["loc"], str(fault["type"]), str(fault["msg"]))
            for fault in error.errors(include_input=False, include_url=False, include_context=False)[:10]
        ]
        # A union gives a fault for each of its members.
        raise InvalidInput(
            "\n".join(dict.fromkeys(faults)), hint="docs/guides/projects.md shows the whole file."
        ) from None

    _refuse_repeats(project, file, lines)
    _check_times(project, file, lines)
    return project


def line_numbers(text: str) -> dict[Location, int]:
    """The lines, from 1, of the tables and keys of a TOML text by their place, as `("workflow", 0, "file")`."""
    # `tomllib` gives no lines, so tables and keys are found once more by their form.
    found: dict[Location, int] = {(): 1}
    counts: dict[Location, int] = {}
    place: Location = ()
    quotes = ""
    for number, line in enumerate(text.splitlines(), 1):
        # Lines of a text over several lines are no keys.
        if quotes:
            quotes = "" if quotes in line else quotes
            continue
        if table := _TABLE.fullmatch(line):
            place = _enter(table[2].split("."), counts, array=table[1] == "[[")
            found.setdefault(place, number)
        elif key := _KEY.match(line):
            found.setdefault((*place, key[1]), number)
        quotes = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return found


def _enter(names: list[str], counts: dict[Location, int], *, array: bool) -> Location:
    """The place of a table's header: the last element of each array of tables on the way."""
    place: Location = ()
    for depth, name in enumerate(names):
        place = (*place, name)
        if array and depth == len(names) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _sentence(file: str, lines: dict[Location, int], where: Location, kind: str, message: str) -> str:
    # Parts that a union adds are no keys of the file.
    keys = tuple(part for part in where if isinstance(part, int) or re.fullmatch(r"[\w-]+", part))
    if "config" in keys and keys[-1] in {"str", "int", "float", "bool"}:
        keys, kind, message = keys[:-1], "", "must be a text, a number, or true or false"
    line = 1
    for end in range(len(keys), -1, -1):
        if keys[:end] in lines:
            line = lines[keys[:end]]
            break

    name = next((str(part) for part in reversed(keys) if isinstance(part, str)), "")
    sentence = _SENTENCES.get(kind) or message.removeprefix("Value error, ")
    return f"{file}:{line}: {f'`{name[:60]}`: ' if name else ''}{sentence[:1].lower()}{sentence[1:].rstrip('.')}."


def _fault(file: str, line: int, message: str) -> InvalidInput:
    return InvalidInput(
        f"{file}:{line}: {message.rstrip('.')}.", hint="docs/guides/projects.md shows the whole file."
    )


def _refuse_repeats(project: ProjectFile, file: str, lines: dict[Location, int]) -> None:
    """Raise InvalidInput where two entries mean the same file, workflow, schedule or trigger."""
    seen: dict[tuple[Any, ...], str] = {}
    for number, workflow in enumerate(project.workflow):
        at = ("workflow", number)
        entries: list[tuple[tuple[Any, ...], Location, str]] = [
            (("file", workflow.file), at, "this file"),
            (("name", workflow.title), at, f"the name {workflow.title}"),
            *(
                (("schedule", number, *one.key), (*at, "schedule", place), "this schedule")
                for place, one in enumerate(workflow.schedule)
            ),
            *(
                (
                    ("trigger", number, one.kind, one.name, one.path, repr(one.options)),
                    (*at, "trigger", place),
                    "this trigger",
                )
                for place, one in enumerate(workflow.trigger)
            ),
        ]
        for key, place, subject in entries:
            line = lines.get(place, 1)
            if key in seen:
                raise _fault(
                    file, line, f"{subject} is on line {seen[key]} already; a `name` tells two apart"
                )
            seen[key] = str(line)


def _check_times(project: ProjectFile, file: str, lines: dict[Location, int]) -> None:
    """Raise InvalidInput for times and zones of schedules that no runtime takes."""
    for number, workflow in enumerate(project.workflow):
        for place, schedule in enumerate(workflow.schedule):
            at = ("workflow", number, "schedule", place)
            try:
                zone = cron.parse_zone(schedule.timezone)
                if schedule.cron is not None:
                    cron.check(schedule.cron)
                else:
                    cron.once_at(schedule.at or "", zone)
            except CodewordsError as error:
                key = "cron" if schedule.cron is not None else "at"
                raise _fault(
                    file, lines.get((*at, key), lines.get(at, 1)), error.message.split("\n")[0]
                ) from error
