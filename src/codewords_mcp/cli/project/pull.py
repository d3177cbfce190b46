"""Write what is live into a folder: the code of its workflows, and `codewords.toml`, whose other lines and comments stay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from codewords_mcp.cli._client import Json, RuntimeClient
from codewords_mcp.cli._code_file import read_code
from codewords_mcp.cli._refs import workflow_id
from codewords_mcp.cli.project.file import FolderWorkflow, ProjectFolder, parse_project, read_folder
from codewords_mcp.cli.project.history import (
    digest_of,
    in_history,
    is_pushed_module,
    last_pushed,
    note_module,
    note_pushed,
)
from codewords_mcp.cli.project.live import LiveWorkflow, find_live, list_live, read_live
from codewords_mcp.cli.project.plan import plan_workflow
from codewords_mcp.cli.project.trigger_changes import live_options
from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import Conflict, InvalidInput
from codewords_mcp.runtime.model.code_difference import code_difference
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.modules import SharedModule, module_text, split_modules
from codewords_mcp.runtime.model.project import PROJECT_FILE, ProjectFile, ProjectPermissions, ProjectWorkflow
from codewords_mcp.runtime.model.trigger import DEFAULT_CATCH_UP

_SCHEDULE_DEFAULTS: Json = {
    "name": "", "timezone": "UTC", "path": "/", "method": "POST", "catch_up": "once", "overlap": "skip", "jitter": 0.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PulledWorkflow:
    """A workflow that a pull writes. `position` is that of its table in `codewords.toml`, None for a new one."""

    live: LiveWorkflow
    workflow: FolderWorkflow
    position: int | None


@dataclass(frozen=True, slots=True)
class PulledModule:
    """A shared module, and the file that it is written to."""

    path: Path
    module: SharedModule


def pull_folder(
    client: RuntimeClient, folder: Path, references: list[str], replace: frozenset[str]
) -> list[Json]:
    """Write a folder; a record for each workflow, with what was changed of it. `replace`: files that may be overwritten.

    Without a project in the folder, all workflows are pulled that are not named by `references`; with one, its own and those.
    Raises Conflict before anything is written where a file holds changes that are nowhere else.
    """
    project = _existing(folder)
    pulled = _own(client, project)
    names = references
    if not references and project.text == "":
        names = [str(item["service_id"]) for item in list_live(client)]
    pulled += _further(client, project, pulled, names)
    _refuse_losses(pulled, replace)
    modules = _modules(pulled)
    _refuse_module_losses(modules, replace)

    folder.mkdir(parents=True, exist_ok=True)
    text = _written(client, project, pulled)
    # Read back: a file that the next push refuses must not be left.
    parse_project(text)
    # The project's file comes last, so that it never names a file that is not written yet.
    written = {one.path for one in modules if _write_module(one)}
    records = [_write_code(one, modules, written) for one in pulled]
    if text != project.text:
        _replace(project.file, text)
    return records


def _existing(folder: Path) -> ProjectFolder:
    if (folder / PROJECT_FILE).is_file():
        return read_folder(folder, code=False)
    return ProjectFolder(folder, "", ProjectFile(), ())


def _own(client: RuntimeClient, project: ProjectFolder) -> list[PulledWorkflow]:
    """The workflows of the project that are deployed."""
    found = ((find_live(client, one), one, position) for position, one in enumerate(project.workflows))
    return [PulledWorkflow(live, one, position) for live, one, position in found if live is not None]


def _further(
    client: RuntimeClient, project: ProjectFolder, own: list[PulledWorkflow], references: list[str]
) -> list[PulledWorkflow]:
    """Those that are named and not of the project, each with a file of its name."""
    known = {one.live.id for one in own}
    files = {one.declared.file for one in project.workflows}
    found: list[PulledWorkflow] = []
    for reference in references:
        live = read_live(client, workflow_id(client, reference))
        if live.id in known:
            continue
        known.add(live.id)
        slug = re.sub(r"[^a-z0-9]+", "_", live.name.lower()).strip("_") or "workflow"
        file = next(name for name in _candidates(slug) if name not in files)
        files.add(file)
        # Without a `name` a workflow is called as its file.
        declared = ProjectWorkflow(file=file, name=None if file == f"{live.name}.py" else live.name)
        found.append(PulledWorkflow(live, FolderWorkflow(declared, project.path / file, "", 1), None))
    return found


def _candidates(slug: str) -> list[str]:
    return [f"{slug}.py", *(f"{slug}_{number}.py" for number in range(2, 1000))]


def _refuse_losses(pulled: list[PulledWorkflow], replace: frozenset[str]) -> None:
    """Raise Conflict where a file would lose changes that were neither pushed nor committed."""
    lost: list[str] = []
    for one in pulled:
        path = one.workflow.path
        if not path.is_file() or one.workflow.declared.file in replace or one.live.name in replace:
            continue
        code, program = read_code(str(path)), split_modules(one.live.code)[0]
        known = last_pushed(path)
        if _same_text(code, program) or (known and known.file_digest == digest_of(code)):
            continue
        if in_history(path, code):
            continue
        lost += [
            f"{one.workflow.declared.file} → version {one.live.version}:",
            code_difference(code, program).text(),
        ]
    _refuse(lost)


def _refuse(lost: list[str]) -> None:
    if lost:
        raise Conflict(
            "These files have changes that are neither pushed nor committed; nothing was written.\n"
            + "\n".join(lost),
            hint="Commit or push them first, or name the file: codewords pull --replace FILE.",
        )


def _modules(pulled: list[PulledWorkflow]) -> list[PulledModule]:
    """The shared modules to write. Of several texts of one file it is that of the version that was deployed last."""
    found: dict[Path, PulledModule] = {}
    for one in sorted(pulled, key=lambda one: one.live.deployed_at):
        for module in split_modules(one.live.code)[1]:
            path = one.workflow.path.parent / module.path
            found[path] = PulledModule(path, module)
    return list(found.values())


def _refuse_module_losses(modules: list[PulledModule], replace: frozenset[str]) -> None:
    """Raise Conflict where the file of a module would lose changes that were neither pushed nor committed."""
    lost: list[str] = []
    for one in modules:
        if not one.path.is_file() or one.module.path in replace:
            continue
        text = module_text(read_code(str(one.path)))
        if text in {one.module.text, ""} or is_pushed_module(one.path, text) or in_history(one.path, text):
            continue
        lost += [f"{one.module.path} → live:", code_difference(text, one.module.text).text()]
    _refuse(lost)


def _write_module(one: PulledModule) -> bool:
    """Write the file of a module. Returns whether it was another."""
    note_module(one.path, one.module.text)
    if one.path.is_file() and module_text(read_code(str(one.path))) == one.module.text:
        return False
    one.path.parent.mkdir(parents=True, exist_ok=True)
    _replace(one.path, one.module.text)
    return True


def _write_code(one: PulledWorkflow, modules: list[PulledModule], written: set[Path]) -> Json:
    path, live = one.workflow.path, one.live
    program, own_modules = split_modules(live.code)
    changed = not path.is_file() or not _same_text(read_code(str(path)), program)
    if changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, program)
    note_pushed(path, live.id, live.version, live.code)

    newest = {module.path: module.module for module in modules}
    own_paths = {path.parent / module.path: module for module in own_modules}
    return {
        "file": one.workflow.declared.file,
        "service_id": live.id,
        "version": live.version,
        "changed": changed or bool(written & own_paths.keys()),
        "modules": [module.path for module in own_modules],
        # Another workflow with a later text of the same file; the next push brings it to this one too.
        "outdated": [module.path for file, module in own_paths.items() if newest[file] != module],
    }


def _same_text(text: str, other: str) -> bool:
    # A program without a newline at its end has one in front of its modules.
    return text == other or text + "\n" == other


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, with its line ends as they are in the text."""
    temporary = path.with_name(f".{path.name}.new")
    # A folder from elsewhere may have a link of that name, which is not written through.
    temporary.unlink(missing_ok=True)
    with temporary.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
    temporary.replace(path)


def _written(client: RuntimeClient, project: ProjectFolder, pulled: list[PulledWorkflow]) -> str:
    """The text of `codewords.toml` with what is live."""
    document = tomlkit.parse(project.text)
    if "workflow" not in document:
        document["workflow"] = tomlkit.aot()
    tables: Any = document["workflow"]

    for one in pulled:
        if one.position is None:
            tables.append(_new_table(one))
        else:
            _update(client, tables[one.position], one)
    return tomlkit.dumps(document)


def _new_table(one: PulledWorkflow) -> Table:
    table: Any = tomlkit.table()
    table["file"] = one.workflow.declared.file
    if one.workflow.declared.name is not None:
        table["name"] = one.workflow.declared.name
    manifest = one.live.manifest or Manifest()
    if secrets := [secret.name for secret in manifest.secrets if not secret.optional]:
        table["secrets"] = secrets
    table["permissions"] = _permissions(manifest)
    if one.live.config:
        table["config"] = one.live.config
    _set_lists(table, one.live, schedules=True, triggers=True)
    return table


def _update(client: RuntimeClient, table: Any, one: PulledWorkflow) -> None:
    """Change the parts of a workflow's table that differ from what is live."""
    current = FolderWorkflow(one.workflow.declared, one.workflow.path, one.live.code, one.workflow.line)
    # The plan of a push of the live code names the parts that differ. Nothing of it is carried out.
    plan = plan_workflow(client, current, set(one.workflow.declared.secrets), prune=True, replace=frozenset())
    subjects = {change.subject for change in plan.changes}
    if "config" in subjects or (one.live.config and one.workflow.declared.config is None):
        table["config"] = one.live.config
    if "name" in subjects:
        table["name"] = one.live.name
    pinned = one.workflow.declared.permissions
    # A pin may allow more than the live version needs; only one that allows less would stop the next push.
    if pinned is not None and one.live.manifest is not None and one.live.manifest.widens(pinned.manifest()):
        table["permissions"] = _permissions(one.live.manifest)
    # A webhook that differs is a problem for a push, not a change, and here it is taken over all the same.
    triggers = "trigger" in subjects or any("trigger" in problem for problem in plan.problems)
    _set_lists(table, one.live, schedules="schedule" in subjects, triggers=triggers)


def _set_lists(table: Any, live: LiveWorkflow, *, schedules: bool, triggers: bool) -> None:
    parts = {
        "schedule": [schedule_entry(one) for one in live.schedules if one["cron"] or one["next_at"]]
        if schedules
        else None,
        "trigger": [trigger_entry(one) for one in live.triggers] if triggers else None,
    }
    for name, items in parts.items():
        if items is None:
            continue
        table.pop(name, None)
        if items:
            array: Any = tomlkit.aot()
            for item in items:
                array.append(tomlkit.item(_without_null(item, live)))
            table[name] = array


def _permissions(manifest: Manifest) -> Table:
    table: Any = tomlkit.table()
    for name, items in ProjectPermissions.of(manifest).model_dump(mode="json").items():
        if items:
            array: Any = tomlkit.array()
            array.extend(items)
            table[name] = array.multiline(len(items) > 3)
    return table


def schedule_entry(found: Json) -> Json:
    """A schedule at a runtime as an entry of the file, without defaults."""
    if found["cron"]:
        times = {"cron": found["cron"]}
    else:
        times = {"at": found["next_at"]}
    entry = {"name": found["name"], **times, "timezone": found["timezone"]}
    entry |= {name: found[name] for name in _SCHEDULE_DEFAULTS if name not in entry}
    values = {name: value for name, value in entry.items() if _SCHEDULE_DEFAULTS.get(name, ...) != value}
    if found["input"] is not None:
        values["input"] = found["input"]
    return values | ({"paused": True} if found["paused"] else {})


def trigger_entry(found: Json) -> Json:
    """A webhook or event source at a runtime as an entry of the file, without defaults."""
    entry: Json = {"kind": found["kind"]}
    if found["name"]:
        entry["name"] = found["name"]
    if found["path"] != "/":
        entry["path"] = found["path"]
    if found.get("interval_s") is not None:
        entry["interval_s"] = found["interval_s"]
    if found.get("catch_up") not in {None, DEFAULT_CATCH_UP}:
        entry["catch_up"] = found["catch_up"]
    if options := live_options(found):
        entry["options"] = options
    return entry | ({"paused": True} if found["state"] == "paused" else {})


def _without_null(value: JsonValue, live: LiveWorkflow) -> JsonValue:
    """The value, which TOML can hold. Raises InvalidInput for one with a null in it."""
    if value is None:
        raise InvalidInput(
            f"An input or option of {live.name} has a null, which TOML cannot hold; nothing was written.",
            hint="Leave the field out of the schedule or trigger at the runtime.",
        )
    if isinstance(value, dict):
        return {key: _without_null(item, live) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_null(item, live) for item in value]
    return value
