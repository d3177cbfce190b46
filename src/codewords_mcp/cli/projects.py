"""`codewords push | pull | export | import`, and `codewords diff` of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import agreed, someone_there
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson, WorkflowRef, workflow_id
from codewords_mcp.common.counts import counted
from codewords_mcp.errors import Conflict, ConsentNeeded, Forbidden, InvalidInput, ValidationFailed

if TYPE_CHECKING:
    from codewords_mcp.cli.project.review import PlanReview

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="A folder with `codewords.toml`; this one without it.", show_default=False
    ),
]
Replace = Annotated[
    list[str] | None,
    typer.Option(
        "--replace", metavar="NAME", help="A workflow whose other side may be replaced. Repeat it for more."
    ),
]


def push(
    folder: Folder = Path(),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and print the plan; change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before the plan is carried out.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete schedules, triggers and values that the file does not have."),
    ] = False,
    replace: Replace = None,
    allow: Annotated[
        bool,
        typer.Option("--allow", help="Agree to what new versions ask for, where no permissions are pinned."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a folder live: its workflows, schedules, triggers and configuration. Everything is checked first.

    The same push again changes nothing; one that was broken off is gone on with. Permissions that `codewords.toml` pins
    count as agreed to, if the key may agree.
    """
    from codewords_mcp.cli.project.file import read_folder
    from codewords_mcp.cli.project.plan import plan_folder
    from codewords_mcp.cli.project.push import push_plan
    from codewords_mcp.cli.project.review import PlanReview
    from codewords_mcp.cli.project.show import print_plans, to_json

    found = read_folder(folder)
    with connect() as client:
        plans = plan_folder(client, found, prune=prune, replace=frozenset(replace or ()))
        reviews = _reviewed(client, [PlanReview(plan) for plan in plans], ask=not dry_run)
        if not as_json:
            print_plans(reviews, code=dry_run)
        _require_ready(reviews)

        if not dry_run:
            _require_consents(reviews, allow=allow, as_json=as_json)
            if any(plan.to_do for plan in plans) and not yes:
                _ask_to_push(as_json=as_json)
            for review in reviews:
                push_plan(client, review, _output.note if as_json else _output.line)

    if as_json:
        _output.print_json(to_json(reviews) | {"pushed": not dry_run})
    return OK


def diff_folder(folder: Path, *, exit_code: bool, quick: bool, as_json: bool) -> int:
    """Print what a push of the folder would change. Returns 1 for a difference if `exit_code`, and where checks fail."""
    from codewords_mcp.cli.project.file import read_folder
    from codewords_mcp.cli.project.plan import plan_folder
    from codewords_mcp.cli.project.review import PlanReview
    from codewords_mcp.cli.project.show import print_plans, to_json

    found = read_folder(folder)
    with connect() as client:
        plans = plan_folder(client, found)
        reviews = [PlanReview(plan) for plan in plans]
        if not quick:
            reviews = _reviewed(client, reviews, ask=False)

    if as_json:
        _output.print_json(to_json(reviews))
    else:
        print_plans(reviews, code=True)
    if any(plan.problems or plan.conflict for plan in plans):
        return FAILED
    if exit_code and any(plan.changes for plan in plans):
        return FAILED
    return OK


def pull(
    folder: Folder = Path(),
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow",
            "-w",
            metavar="WORKFLOW",
            help="One that the folder does not have yet. Repeat it for more.",
        ),
    ] = None,
    replace: Replace = None,
    as_json: AsJson = False,
) -> int:
    """Write what is live into a folder: code with its shared modules, and `codewords.toml` with all that belongs to it.

    A folder without `codewords.toml` gets all workflows, or those that are named. Changes of its files that are neither
    pushed nor committed are not overwritten.
    """
    from codewords_mcp.cli.project.pull import pull_folder

    with connect() as client:
        records = pull_folder(client, folder, workflow or [], frozenset(replace or ()))
    if as_json:
        _output.print_json({"folder": str(folder), "workflows": records})
        return OK

    for record in records:
        verb = "is now" if record["changed"] else "was already"
        shared = f" With {', '.join(record['modules'])}." if record["modules"] else ""
        _output.line(
            f"{record['file']} {verb} version {record['version']} of {record['service_id']}.{shared}"
        )
        for path in record["outdated"]:
            _output.note(
                f"{record['file']} is live with an earlier {path}; the next push brings the one here to it.",
                "yellow", always=True,
            )  # fmt: skip
    if not records:
        _output.note("Nothing of this folder is deployed.", always=True)
    return OK


def export(
    workflow: WorkflowRef,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write, JSON.", show_default=False)
    ],
    recordings: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=500,
            help="Also its latest N recordings, without credentials, and its tests.",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> int:
    """Write a workflow with its versions, schedules, triggers, configuration and tools into a file; secrets by name only."""
    from codewords_mcp.cli.project.archive import export_workflow

    with connect() as client, _output.spinner(f"Exporting {workflow}"):
        archive = export_workflow(client, workflow_id(client, workflow), file, recordings)
    if as_json:
        _output.print_json(
            {
                "file": str(file),
                "versions": len(archive.versions),
                "secrets": archive.secrets,
                "recordings": len(archive.recordings),
            }
        )
        return OK
    recorded = f" {counted(len(archive.recordings), 'recording')}." if recordings else ""
    _output.line(
        f"{file}: {archive.name} with {counted(len(archive.versions), 'version')}, version {archive.live} live.{recorded}"
    )
    return OK


def import_workflow(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of `codewords export`.", show_default=False)
    ],
    name: Annotated[str | None, typer.Option(help="Its name here; the exported one without it.")] = None,
    allow: Annotated[
        bool, typer.Option("--allow", help="Agree to whatever its versions ask for: for scripts.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a workflow of an exported file. If an import is interrupted, the same command resumes it."""
    from codewords_mcp.cli.project.archive import import_archive, read_archive

    archive = read_archive(file)
    with connect() as client:

        def deploy(body: Json) -> Json:
            extra: Json = {"allow": True} if allow else {}
            with _output.spinner(f"Deploying a version of {archive.name}") as say:
                try:
                    return client.call_with_progress("/deploy", body | extra, say)
                except RemoteError as error:
                    if error.code != "consent_needed":
                        raise
                    question = error
            return client.call_with_progress(
                "/deploy", body | {"confirm": agreed(question, as_json=as_json)}, say
            )

        done = import_archive(client, archive, name or archive.name, deploy)

    if as_json:
        _output.print_json(
            {
                "service_id": done.service_id,
                "version": done.version,
                "left_out": done.left_out,
                "missing": done.missing,
                "public": archive.public,
                "notes": done.notes,
            }
        )
        return OK
    _output.line(f"{done.service_id} serves version {done.version}.")
    if done.left_out:
        numbers = ", ".join(map(str, done.left_out))
        _output.note(f"Left out, since their checks fail here: version {numbers}.", "yellow", always=True)
    if archive.public:
        _output.note("It is public, as it was: others of this runtime may run it.", "yellow", always=True)
    for note in done.notes:
        _output.note(f"Left out: {note}.", "yellow", always=True)
    for secret in done.missing:
        _output.note(
            f"The secret {secret} has no value here: codewords secrets set {secret}", "yellow", always=True
        )
    return OK


def _reviewed(client: RuntimeClient, reviews: list[PlanReview], *, ask: bool) -> list[PlanReview]:
    """Let the runtime check everything that changes, one workflow after the other."""
    from codewords_mcp.cli.project.review import review_plan

    found: list[PlanReview] = []
    for review in reviews:
        with _output.spinner(f"Checking {review.plan.workflow.declared.file}") as say:
            # What stops anyway is not worth an environment.
            conflict = review.plan.conflict is not None
            found.append(review if conflict else review_plan(client, review.plan, say, ask=ask))
    return found


def _require_ready(reviews: list[PlanReview]) -> None:
    """Raise Conflict, ValidationFailed or InvalidInput for what stops a push, before anything is changed."""
    conflicts = [
        review.plan.workflow.declared.title for review in reviews if review.plan.conflict is not None
    ]
    if conflicts:
        raise Conflict(
            f"Nothing was pushed: another version is live of {', '.join(conflicts)}.",
            hint="Pull it, or replace it with --replace NAME. In a shallow clone git does not know what was live: fetch its "
            "whole history.",
        )
    failed = [review for review in reviews if review.report is not None]
    if failed:
        raise ValidationFailed(
            f"Nothing was pushed: checks failed for {', '.join(one.plan.workflow.declared.file for one in failed)}.",
            report=failed[0].report or {},
        )
    problems = [problem for review in reviews for problem in review.plan.problems]
    if problems:
        raise InvalidInput(
            f"Nothing was pushed: {problems[0]}.", hint="The plan names everything that stops it."
        )


def _require_consents(reviews: list[PlanReview], *, allow: bool, as_json: bool) -> None:
    """Raise ConsentNeeded for what nobody agreed to yet; at a terminal the person is asked."""
    waiting = [review for review in reviews if review.asks]
    for review in waiting:
        if review.page:
            pages = ", ".join(one.page for one in waiting)
            raise ConsentNeeded(
                "Nothing was pushed: a person has to agree to what new versions may do, and this key may not agree.",
                asks=review.asks, confirm="", url=review.page,
                hint=f"Open {pages} and agree, then push again within ten minutes.",
            )  # fmt: skip
    if allow or not waiting:
        return

    lines = [f"{review.plan.workflow.declared.file}: {line}" for review in waiting for line in review.asks]
    if as_json or not someone_there():
        raise ConsentNeeded(
            "Nothing was pushed: a person has to agree to what new versions may do.",
            asks=lines, confirm="", url="",
            hint="Pin the permissions in codewords.toml once they are reviewed, or agree to everything with --allow.",
        )  # fmt: skip
    for line in lines:
        _output.note(f"  + {line}", "yellow", always=True)
    if not typer.confirm("Do you agree?", default=False, err=True):
        raise Forbidden("You declined; nothing was pushed.")


def _ask_to_push(*, as_json: bool) -> None:
    if as_json or not someone_there():
        raise InvalidInput(
            "Nobody is there to be asked; nothing was pushed.", hint="--yes carries the plan out."
        )
    if not typer.confirm("Push this?", default=False, err=True):
        raise Forbidden("You declined; nothing was pushed.")
