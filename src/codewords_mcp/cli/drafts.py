"""`codewords generate | drafts | edit | diff | delete`: code that is worked on, and what becomes of it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import print_capabilities
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._checks import print_checks
from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._code_file import read_code
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deletion import tell_deleted
from codewords_mcp.cli._difference import print_rows
from codewords_mcp.cli._refs import AsJson, is_draft, part, workflow_id
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._shared_modules import read_workflow
from codewords_mcp.cli.projects import diff_folder
from codewords_mcp.errors import ConsentNeeded, Forbidden, InvalidInput

Subject = Annotated[
    str,
    typer.Argument(metavar="ID", help="A draft's id, or a workflow's id or name.", show_default=False),
]


def generate(
    description: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="What the workflow takes, does and answers.", show_default=False),
    ],
    constraints: Annotated[str, typer.Option(help="What it must or must not use.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the code to this file too.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Let a model write a workflow, until it passes every check: a draft.

    The model is one of a provider whose key is set. Ctrl-C ends it; the same text again goes on where it was.
    """
    with connect() as client:
        with _output.spinner("Asking the model") as say:
            body = {"description": description, "constraints": constraints}
            done = client.call_with_progress("/generate", body, say)

        draft = done.get("draft")
        if draft and output:
            code = client.record("GET", f"/drafts/{draft['draft_id']}", params={"code": 1})["code"]
            output.write_text(code, encoding="utf-8")

    if as_json:
        _output.print_json(done)
    elif draft:
        _print_generated(done, draft)
    else:
        _print_brief(done["brief"])

    if done["status"] == "ready":
        return OK

    return FAILED


def drafts(as_json: AsJson = False) -> int:
    """List drafts: code that is not live yet."""
    with connect() as client:
        items = client.items("/drafts")
    if as_json:
        _output.print_json(items)
    else:
        rows = [
            [
                d["draft_id"],
                str(d["revision"]),
                "passes" if d["ready"] else "does not pass",
                d["name"],
                d.get("workflow_id") or "",
                str(d["expires_at"])[:10],
            ]
            for d in items
        ]
        _output.table(
            ["ID", "REVISION", "CHECKS", "NAME", "OF", "KEPT UNTIL"],
            rows,
            empty='No drafts. `codewords generate "…"` and `codewords edit` make them.',
        )

    return OK


def edit(
    subject: Subject,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="The whole code as it shall be; `-` reads stdin.", show_default=False
        ),
    ] = None,
    old: Annotated[
        list[str] | None, typer.Option("--old", metavar="TEXT", help="Text that stands in the code once.")
    ] = None,
    new: Annotated[
        list[str] | None,
        typer.Option("--new", metavar="TEXT", help="What takes its place, one for each --old."),
    ] = None,
    patch: Annotated[
        str | None, typer.Option(metavar="FILE", help="A unified diff; `-` reads stdin.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Edit a draft, or start one from a workflow, and run its checks again.

    Without FILE, --old and --patch it opens the code in your editor ($EDITOR). What is live stays so until
    `codewords deploy --draft ID`.
    """
    with connect() as client:
        path = _open_draft(client, _path(client, subject))
        body = _change(client, path, file, old or [], new or [], patch)
        with _output.spinner(f"Checking {subject}"):
            done = client.record("POST", f"{path}/edits", body=body)

    draft = done["draft"]
    if as_json:
        _output.print_json(done)
    else:
        print_rows(done["diff"])
        for check in done["resolved"]:
            _output.line(f"resolved  {check['id']}: {check['message']}", "green")
        print_checks(done["checks"])
        for text in done.get("evidence", []):
            _output.prose(worded(text, done.get("remedy")))
        if not done.get("evidence"):
            print_test(draft)
        _print_state(draft)

    if draft["ready"]:
        return OK

    return FAILED


def diff(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="ID|FOLDER",
            help="A draft's id, a workflow's id or name, or a folder with `codewords.toml`; this folder without it.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        int | None, typer.Option(min=1, help="The version to compare with; the one before otherwise.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of a workflow, the later version; the live one otherwise.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Of a folder: exit with 1 where something differs.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Of a folder: compare only, and let nothing be checked.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show what a push of a folder would change, what a draft changes, or what is different between two versions."""
    if subject is None or Path(subject).is_dir():
        return diff_folder(Path(subject or "."), exit_code=exit_code, quick=quick, as_json=as_json)

    with connect() as client:
        params = {"against": against, "version": version}
        found = client.record("GET", f"{_path(client, subject)}/diff", params=params)

    if as_json:
        _output.print_json(found)
    elif found["diff"]:
        print_rows(found["diff"])
    else:
        _output.note("Nothing differs.")

    return OK


def rename(
    draft: Annotated[str, typer.Argument(metavar="ID", help="A draft's id.", show_default=False)],
    name: Annotated[str, typer.Argument(help="Its new name.", show_default=False)],
    as_json: AsJson = False,
) -> int:
    """Rename a draft. A draft without a workflow is deployed under this name."""
    with connect() as client:
        renamed = client.record("PUT", f"/drafts/{part(draft)}/name", body={"name": name})
    if as_json:
        _output.print_json(renamed)
    else:
        _output.line(f"{renamed['draft_id']} is called {renamed['name']}.")
    return OK


def delete(
    subject: Subject,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: for scripts.")] = False,
    as_json: AsJson = False,
) -> int:
    """Delete a draft, or a workflow with its versions, schedules and webhooks; its runs stay."""
    with connect() as client:
        path = _path(client, subject)
        if path.startswith("/drafts/"):
            client.call("DELETE", path)
        else:
            _delete_workflow(client, path, yes=yes, as_json=as_json)
    return tell_deleted(subject, {"id": path.rpartition("/")[2]}, as_json=as_json)


def _path(client: RuntimeClient, subject: str) -> str:
    if is_draft(subject):
        return f"/drafts/{subject}"
    return f"/workflows/{part(workflow_id(client, subject))}"


def _open_draft(client: RuntimeClient, path: str) -> str:
    """The draft of a workflow, where one is open: its changes are not to be lost."""
    if path.startswith("/drafts/"):
        return path
    service_id = path.rpartition("/")[2]
    drafts = [draft for draft in client.items("/drafts") if draft.get("workflow_id") == service_id]
    if not drafts:
        return path
    _output.note(f"{service_id} has an open draft, {drafts[0]['draft_id']}: going on there.")
    return f"/drafts/{drafts[0]['draft_id']}"


def _change(
    client: RuntimeClient, path: str, file: str | None, old: list[str], new: list[str], patch: str | None
) -> Json:
    if sum((file is not None, bool(old or new), patch is not None)) > 1:
        raise InvalidInput("FILE, --old and --patch exclude each other.", hint="Give one of them.")
    if len(old) != len(new):
        raise InvalidInput("Each --old needs its --new.", hint="--old 'a = 1' --new 'a = 2'")
    if old:
        return {"edits": [{"old": a, "new": b} for a, b in zip(old, new, strict=True)]}
    if patch is not None:
        return {"patch": read_code(patch)}
    if file is not None:
        return {"code": read_workflow(file)}

    detail = client.record("GET", path, params={"code": 1})
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput("There is no terminal to edit in.", hint="Give FILE, --old and --new, or --patch.")

    changed = _edited(detail["code"])
    if changed == detail["code"]:
        raise InvalidInput("Nothing was changed.")

    # With the revision: an editor may be open for hours.
    return {"code": changed, "revision": detail.get("revision")}


def _edited(code: str) -> str:
    """The code as the person leaves it in $VISUAL or $EDITOR. Raises InvalidInput where there is no editor, or it fails."""
    # The variable may have options, as in "code --wait".
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "main.py"
        # Line ends stay as they are, so that the difference has only the person's changes.
        file.write_text(code, encoding="utf-8", newline="")
        try:
            subprocess.run([*editor, str(file)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InvalidInput(
                f"The editor {editor[0]} did not work; nothing was changed.",
                hint="Name another in EDITOR, or give FILE, --old and --new, or --patch.",
            ) from error

        return read_code(str(file))


def _delete_workflow(client: RuntimeClient, path: str, *, yes: bool, as_json: bool) -> None:
    try:
        client.call("DELETE", path, body={"allow": yes})
    except RemoteError as error:
        if error.code != "consent_needed":
            raise

        summary: list[Any] = error.details().get("asks") or []
        asks = [str(line) for line in summary]
        # A program reads the question as JSON and cannot answer a prompt.
        if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConsentNeeded(
                error.message,
                asks=asks,
                confirm=str(error.details().get("confirm")),
                url=str(error.details().get("url")),
                hint="To delete it without being asked, add --yes.",
            ) from error

        for line in asks:
            _output.note(f"  - {line}", "yellow", always=True)
        if not typer.confirm("Delete it?", default=False, err=True):
            raise Forbidden("You declined; nothing was deleted.") from error

        client.call("DELETE", path, body={"confirm": error.details().get("confirm")})


def _print_state(draft: Json) -> None:
    if draft["ready"]:
        state = "passes its checks"
    else:
        state = "does not pass its checks yet"

    _output.line(
        f"{draft['draft_id']} revision {draft['revision']} {state}.",
        "bold green" if draft["ready"] else "bold red",
    )
    if draft["ready"]:
        after = "deploy --draft"
    else:
        after = "edit"

    _output.note(f"Next: codewords {after} {draft['draft_id']}")


def _print_generated(done: Json, draft: Json) -> None:
    _output.line(f"{draft['name']}  {draft['draft_id']}", "bold")
    if draft.get("plan"):
        _output.line(str(draft["plan"]))
    for number, one in enumerate(draft["tried"], 1):
        if one.get("cost") is not None:
            cost = f"  {one['cost']:.4f} USD"
        else:
            cost = ""

        _output.line(
            f"answer {number}  {one['tokens']} tokens{cost}  {one['problem'] or 'passes every check'}"
        )

    _output.line(f"written by {draft['model']}")
    print_capabilities(draft)
    print_checks([check for check in draft["checks"] if check["status"] not in {"passed", "skipped", "note"}])
    if done.get("why"):
        _output.line(f"It stopped there: {done['why']}.", "yellow")
    print_test(draft)
    _print_state(draft)


def print_test(draft: Json) -> None:
    """Print the test that a draft proposes, and the command that keeps it; nothing without one."""
    test: Json | None = draft.get("test")
    if not test or not draft["ready"]:
        return
    _output.prose(f"A first test: to its example it answers {', '.join(test['expect'])}.")
    _output.line(f"It is kept by: codewords test {draft['draft_id']} --add example")


def _print_brief(brief: Json) -> None:
    _output.note(
        "No model can be asked: no provider has a key (`codewords secrets set ANTHROPIC_API_KEY`). "
        "This is what an assistant needs to write it:",
        "yellow",
        always=True,
    )
    _output.line(brief["rules"])
    for service in brief["services"]:
        _output.line(service)
    _output.line(f"\nNearest template: codewords templates {brief['template_id']}")
