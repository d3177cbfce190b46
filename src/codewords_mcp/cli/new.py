"""`codewords new`: a folder with a workflow to begin with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Final, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._completion import complete_template
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli.templates import find_template, print_templates
from codewords_mcp.errors import Conflict, InvalidInput

_README: Final = """\
# {title}

{description}

| to | run |
|---|---|
| serve it while you edit it, with `{file}` answering from the next request on | `codewords dev {file}` |
| check it | `codewords validate {file}` |
| deploy it | `codewords deploy {file}` |
{secrets}"""
_SECRETS: Final = """
It needs these secrets: {names}. Set each with `codewords secrets set NAME`.
"""
# It has no path mapping: the port of `codewords dev` adds the one of its file.
_LAUNCH: Final = """\
{
  "version": "0.2.0",
  "configurations": [
    {
      "name": "codewords dev",
      "type": "debugpy",
      "request": "attach",
      "connect": {"host": "127.0.0.1", "port": 5678}
    }
  ]
}
"""
"""For `codewords dev FILE --debug`."""
_GITIGNORE: Final = """\
__pycache__/
.venv/
.env
"""


def new(
    template: Annotated[
        str | None,
        typer.Argument(
            metavar="TEMPLATE",
            help="A template's id; without it they are listed.",
            show_default=False,
            autocompletion=complete_template,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER", help="The folder; one of the template's name otherwise.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Create a folder with a workflow from a template.

    The folder gets the workflow's file, `codewords.toml`, a README, a .gitignore, and what VS Code needs to debug it. What is
    there is never overwritten.
    """
    with connect() as client:
        items: list[Json] = client.record("GET", "/templates")["items"]
    if template is None:
        print_templates(items, as_json=as_json)
        _output.note("Begin with one: codewords new TEMPLATE [FOLDER]")
        return OK

    found = find_template(items, template)
    name = file_name(found)
    place = folder or Path(name)
    written = write_files(place, files_of(found, f"{name.replace('-', '_')}.py"))
    if as_json:
        _output.print_json({"folder": str(place), "files": written})
    else:
        for path in written:
            _output.line(f"{place / path}")
        main = shlex.quote(str(place / written[0]))
        _output.note(f"Serve it while you edit it: codewords dev {main}", always=True, whole=True)
    return OK


def file_name(template: Json) -> str:
    """The name of a template's folder, by its id or, of one's own workflow, by its title: lower-case words and dashes."""
    base = str(template["id"])
    # The id of a workflow ends with eight digits that say nothing.
    base = re.sub(r"_[0-9a-f]{8}$", "", base)
    return re.sub(r"[^a-z0-9]+", "-", base.lower()).strip("-") or "workflow"


def files_of(template: Json, main: str) -> dict[str, str]:
    """The files of the folder, by name; the workflow's own is the first."""
    needs = [str(name) for name in cast("list[str]", template.get("needs") or [])]
    if needs:
        secrets = _SECRETS.format(names=", ".join(f"`{name}`" for name in needs))
    else:
        secrets = ""
    project = f'[[workflow]]\nfile = "{main}"\n'
    if needs:
        listed = ", ".join(f'"{name}"' for name in needs)
        project += f"secrets = [{listed}]\n"
    readme = _README.format(
        title=template["title"], description=template["description"], file=main, secrets=secrets
    )
    return {
        main: str(template["code"]).rstrip("\n") + "\n",
        "codewords.toml": project,
        "README.md": readme,
        ".gitignore": _GITIGNORE,
        ".vscode/launch.json": _LAUNCH,
    }


def write_files(folder: Path, files: dict[str, str]) -> list[str]:
    """Write new files. Nothing is written where the workflow's own, the first, is there. Raises Conflict, InvalidInput.

    The other files that are there stay as they are, and are left out.
    """
    main, *others = files
    if (folder / main).exists():
        raise Conflict(f"{folder / main} is there already; nothing was written.", hint="Name another folder.")
    names = [main, *(name for name in others if not (folder / name).exists())]
    try:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            # "x": another process may have written it since.
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(files[name])
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be written: {error.strerror}.", hint="Name another folder."
        ) from error
    return names
