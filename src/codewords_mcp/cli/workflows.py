"""`codewords validate | deploy | list | show | rollback | templates`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import agreed, print_capabilities
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._completion import complete_template
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._deployment_report import print_deployment
from codewords_mcp.cli._refs import AsJson, WorkflowRef, part, workflow_id
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._sources import deployed_as, forget
from codewords_mcp.cli._times import to_minute
from codewords_mcp.cli.project.history import note_pushed
from codewords_mcp.cli.project.local_modules import check_local_modules
from codewords_mcp.errors import InvalidInput, NotFound, ValidationFailed

_MARKS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "warning": ("!", "yellow"),
    "note": ("i", "cyan"),
    "skipped": ("-", "dim"),
}


def validate(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A workflow's Python file; `-` reads stdin.", show_default=False),
    ],
    as_json: AsJson = False,
) -> int:
    """Check a workflow without deploying it."""
    code = read_code(file)
    if file != "-" and (local := check_local_modules(Path(file), code)):
        # Nothing else is checked: a package index must not be asked for the name of a local module.
        report: Json = {"all_passed": False, "checks": local}
    else:
        with connect() as client, _output.spinner(f"Checking {_title(file)}") as say:
            report = client.call_with_progress("/validate", {"code": code}, say)
    if as_json:
        _output.print_json(report)
    else:
        _print_checks(report, _title(file))
        print_capabilities(report)

    if report["all_passed"]:
        return OK

    return FAILED


def deploy(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="A workflow's Python file; `-` reads stdin.", show_default=False),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Deploy a template instead of a file.", autocompletion=complete_template
        ),
    ] = None,
    draft: Annotated[str | None, typer.Option(metavar="ID", help="Deploy a draft instead of a file.")] = None,
    name: Annotated[str | None, typer.Option(help="The workflow's name; the file's name otherwise.")] = None,
    service_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Make a new version of this workflow.")
    ] = None,
    base: Annotated[
        int | None,
        typer.Option(
            "--base", metavar="N", min=1, help="The live version that it may replace; another is a conflict."
        ),
    ] = None,
    description: Annotated[str, typer.Option(help="One line for lists.")] = "",
    allow: Annotated[
        bool, typer.Option("--allow", help="Agree to whatever it asks for: for scripts and CI.")
    ] = False,
    no_replay: Annotated[
        bool, typer.Option("--no-replay", help="Do not replay recorded runs first; the version says so.")
    ] = False,
    no_tests: Annotated[
        bool, typer.Option("--no-tests", help="Do not run recorded tests first; the version says so.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check a workflow, build its environment and make it live.

    The same file again becomes a new version of its workflow; the same code changes nothing. Another workflow of that
    name is replaced only where --id names it. When a check fails, the version that was live goes on serving.

    What a version may reach beyond the one before is asked first, on a terminal; elsewhere --allow is needed.
    """
    if sum(source is not None for source in (file, template, draft)) != 1:
        raise InvalidInput(
            "Give a file, --template ID or --draft ID.",
            hint="`codewords templates` lists the templates, `codewords drafts` the drafts.",
        )

    body: Json = {"name": name, "service_id": service_id, "description": description or None}
    body["base_version"] = base
    if file is None:
        body |= {"template_id": template, "draft_id": draft}
    else:
        body["code"] = read_code(file)
        if file != "-":
            _refuse_local_modules(file, body["code"])
        # The name of an existing workflow stays; stdin has no file name to make one of.
        body["name"] = name or (None if service_id or file == "-" else Path(file).stem)

    body = {key: value for key, value in body.items() if value is not None} | (
        {"allow": True} if allow else {}
    )
    if no_replay:
        body["replay"] = False
    if no_tests:
        body["tests"] = False
    if file:
        subject = _title(file)
    elif template:
        subject = f"template {template}"
    else:
        subject = f"draft {draft}"

    with connect() as client:
        # `--id` says which workflow is meant, whatever this file was deployed as.
        if file not in {None, "-"} and service_id is None:
            body |= _same_file(client, str(file), body["name"], named=name is not None)
        try:
            done = _deploy(client, body, subject)
        except RemoteError as error:
            if error.code == "conflict":
                raise _conflict(error) from error

            report = error.details().get("report")
            if report and not as_json:
                _print_checks(report, subject)
                error.hint = ""  # it tells of the first check that failed, which stands above

            if error.code != "consent_needed":
                raise

            done = _deploy(client, body | {"confirm": agreed(error, as_json=as_json)}, subject)

    if file not in {None, "-"}:
        note_pushed(Path(str(file)), str(done["service_id"]), int(done["version"]), str(body["code"]))
    if as_json:
        _output.print_json(done)
    else:
        print_deployment(done)

    return OK


def _refuse_local_modules(file: str, code: str) -> None:
    """Raise ValidationFailed where the file imports one beside it."""
    if checks := check_local_modules(Path(file), code):
        raise ValidationFailed(
            f"Nothing was deployed: {checks[0]['message']}",
            report={"all_passed": False, "checks": checks},
            hint=checks[0]["fix"],
        )


def _same_file(client: RuntimeClient, file: str, name: str, *, named: bool) -> Json:
    """Find the workflow that this file was deployed as, if it exists and still has the requested name."""
    known = deployed_as(file)
    if known is None:
        return {}

    try:
        found = client.record("GET", f"/workflows/{part(known)}")
    except RemoteError as error:
        if error.code != "not_found":
            raise
        forget(file)
        return {}

    # With another key it may be somebody else's public workflow, which a deploy can't replace.
    if found.get("published_by"):
        return {}
    # Another name means another workflow: `--name` makes a copy of it.
    if named and found["name"] != name:
        return {}

    return {"service_id": known, "name": found["name"]}


def _conflict(error: RemoteError) -> RemoteError:
    """A refused replacement, with the options of this command, and the two differences on stderr."""
    error_details = error.details()
    if "live_version" in error_details:
        live, base = error_details["live_version"], error_details["base_version"]
        _print_part(
            f"From version {base} to version {live}, which is live:", error_details.get("live_changes")
        )
        _print_part(f"From version {base} to this code:", error_details.get("own_changes"))
        error.hint = f"Take over what should stay, then deploy with --base {live}."
    return error


def _deploy(client: RuntimeClient, body: Json, subject: str) -> Json:
    with _output.spinner(f"Deploying {subject}") as say:
        return client.call_with_progress("/deploy", body, say)


def _print_part(title: str, difference: Any) -> None:
    _output.note(title, "bold", always=True)
    _output.note(str(difference or "(nothing)"), always=True)


def list_workflows(
    query: Annotated[
        str, typer.Option("--query", "-q", help="Only names and descriptions with this text.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    as_json: AsJson = False,
) -> int:
    """List the deployed workflows."""
    with connect() as client:
        items = pages(client, "/workflows", {"query": query or None}, limit)
    if as_json:
        _output.print_json(items)
    else:
        rows = [
            [
                w["service_id"],
                f"v{w['version']}",
                w["name"],
                _day(w.get("updated_at")),
                w.get("description", ""),
            ]
            for w in items
        ]
        _output.table(
            ["ID", "VERSION", "NAME", "UPDATED", "DESCRIPTION"],
            rows,
            empty="Nothing is deployed yet. Try `codewords deploy --template greeting`.",
        )

    return OK


def show(
    workflow: WorkflowRef,
    code: Annotated[bool, typer.Option("--code", help="Print the code and nothing else.")] = False,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of this version; the live one otherwise.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show one workflow: its address, routes, versions and last runs."""
    with connect() as client:
        detail = client.record(
            "GET",
            f"/workflows/{part(workflow_id(client, workflow))}",
            params={"version": version, "code": 1 if code else None},
        )

    if as_json:
        _output.print_json(detail)
    elif code:
        _output.raw(detail["code"])
    else:
        _print_detail(detail)

    return OK


def rollback(
    workflow: WorkflowRef,
    version: Annotated[
        int,
        typer.Argument(
            min=1,
            metavar="VERSION",
            help="The version to make live, as `codewords show` lists them.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Make an earlier (or later) version live, at once."""
    with connect() as client:
        done = client.record(
            "POST", f"/workflows/{part(workflow_id(client, workflow))}/rollback", body={"version": version}
        )
    if as_json:
        _output.print_json(done)
    else:
        _output.line(f"{done['service_id']} now serves version {done['version']}.")
    return OK


def templates(
    template: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="One template: its code.", show_default=False, autocompletion=complete_template
        ),
    ] = None,
    query: Annotated[
        str, typer.Option("--query", "-q", help="Only those that share words with this, the best first.")
    ] = "",
    category: Annotated[
        str, typer.Option(help="Only those of this category; with --add, the new one's.")
    ] = "",
    add: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Put a workflow of yours among them first.")
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Take a workflow of yours out of them first.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List the workflows to start from, or print one's code; deploy one with `codewords deploy --template ID`."""
    with connect() as client:
        if add is not None:
            path = f"/workflows/{part(workflow_id(client, add))}/template"
            client.call("PUT", path, body={"category": category or "own"})

        if remove is not None:
            client.call("DELETE", f"/workflows/{part(workflow_id(client, remove))}/template")
        found = client.record(
            "GET", "/templates", params={"query": query or None, "category": category or None}
        )

    items: list[Json] = found["items"]
    if template is not None:
        one = find_template(items, template)
        _output.print_json(one) if as_json else _output.line(one["code"].rstrip())
    else:
        print_templates(items, as_json=as_json)

    return OK


def print_templates(items: list[Json], *, as_json: bool) -> None:
    """List templates, with the services and secrets that they lack."""
    if as_json:
        _output.print_json(items)
        return
    _output.table(
        ["ID", "CATEGORY", "LACKS", "DESCRIPTION"],
        [[t["id"], t["category"], ", ".join(t["missing"]), t["description"]] for t in items],
        empty="No template fits.",
    )


def find_template(items: list[Json], requested: str) -> Json:
    """The template of this id. Raises NotFound."""
    for item in items:
        if item["id"] == requested:
            return item
    raise NotFound(f"There is no template {requested}.", hint="`codewords templates` lists them.")


def read_code(file: str) -> str:
    """The text of a file or of stdin (`-`). Raises InvalidInput when it cannot be read as UTF-8."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read()
        else:
            data = Path(file).read_bytes()

        # newline handling is the script parser's: CRLF must reach it as it is.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{_title(file)} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be read: {error.strerror}.", hint="Give the path of a workflow's Python file."
        ) from error


def pages(client: RuntimeClient, path: str, params: Json, limit: int) -> list[Json]:
    """Up to `limit` items of a paged list."""
    items: list[Json] = []
    cursor: str | None = None

    while len(items) < limit:
        page = client.record(
            "GET", path, params={**params, "limit": min(limit - len(items), 100), "cursor": cursor}
        )
        items += page["items"]
        cursor = page.get("next_cursor")
        # An empty page with a cursor would make the loop endless, but for a search, which comes further with each.
        if not cursor or not (page["items"] or page.get("searched")):
            break

    return items[:limit]


def _title(file: str) -> str:
    if file == "-":
        return "stdin"
    return file


def _day(timestamp: Any) -> str:
    return to_minute(timestamp)


def print_checks(checks: list[Json], subject: str = "line") -> None:
    """Each with its mark, its position in the subject and its fix; those that were not reached in one line."""
    for check in (check for check in checks if check["status"] != "skipped"):
        mark, style = _MARKS.get(check["status"], ("?", ""))
        if check.get("line"):
            position = f"{subject}:{check['line']}:{check.get('column') or 1}: "
        else:
            position = ""

        _output.prose(f"{mark} {check['id']}: {position}{check['message']}", style)
        if check.get("fix"):
            _output.line(f"    {worded(check['fix'], check.get('remedy'))}".replace("\n", "\n    "))

    skipped: dict[str, list[str]] = {}
    for check in checks:
        if check["status"] == "skipped":
            skipped.setdefault(check["message"], []).append(check["id"])

    for message, ids in skipped.items():
        _output.prose(f"- {', '.join(ids)}: {message}", "dim")


def _print_checks(report: Json, subject: str) -> None:
    print_checks(report["checks"], subject)
    failed = sum(check["status"] == "failed" for check in report["checks"])
    if report["all_passed"]:
        verdict = "All checks passed."
    else:
        verdict = f"{failed} of {len(report['checks'])} checks failed."
    _output.line(f"{subject}: {verdict}", "bold green" if report["all_passed"] else "bold red")


def _takes(schema: Json | None) -> str:
    """The fields of a route's JSON input: `name (string), count (integer, optional)`."""
    fields: Json = (schema or {}).get("properties") or {}
    required: list[str] = (schema or {}).get("required") or []
    error_details: list[str] = []
    for name, field in fields.items():
        words = [str(field.get("type") or ""), "" if name in required else "optional"]
        extra = ", ".join(word for word in words if word)
        error_details.append(f"{name} ({extra})" if extra else name)
    return ", ".join(error_details)


def _print_detail(detail: Json) -> None:
    _output.line(f"{detail['name']}  {detail['service_id']}  version {detail['version']}", "bold")
    if detail.get("description"):
        _output.line(detail["description"])
    _output.line(f"url       {detail['url']}")
    for route in detail.get("routes", []):
        words = (str(route.get(key) or "") for key in ("method", "path", "summary"))
        _output.line("route     " + "  ".join(words).rstrip())
        if takes := _takes(route.get("input")):
            _output.line(f"  takes   {takes}")

    if detail.get("env"):
        _output.line("env       " + ", ".join(str(item.get("name")) for item in detail["env"]))
    if detail.get("dependencies"):
        _output.line("needs     " + ", ".join(detail["dependencies"]))
    print_capabilities(detail)
    for version in detail.get("versions", []):
        live = "  live" if version["active"] else ""
        if version.get("deployed_by"):
            by = f"  by {version['deployed_by']}"
        else:
            by = ""
        _output.line(f"version   {version['version']}  {_day(version['created_at'])}{live}{by}")

    for check in detail.get("tried", []):
        style = "yellow" if check["status"] == "warning" else ""
        _output.prose(f"tried     {check['message']}", style)

    for run in detail.get("last_runs", []):
        _output.line(
            f"run       {run['id']}  {run['status']}  {_day(run.get('createdAt') or run.get('created_at'))}"
        )
