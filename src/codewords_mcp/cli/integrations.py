"""`codewords integrations search | show | connect | call`, and `codewords connections`."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import confirm_action
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._call import read_input
from codewords_mcp.cli._client import SLOW, Json
from codewords_mcp.cli._connect import connect as runtime
from codewords_mcp.cli._deletion import deletes, tell_deleted
from codewords_mcp.cli._refs import AsJson, part
from codewords_mcp.cli._remedies import worded
from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True, help="Other apps: find what can be done in them, connect them, do it."
)
connections_app = typer.Typer(help="Accounts of other apps that are connected.", invoke_without_command=True)
App = Annotated[str, typer.Argument(metavar="APP", help="Like google_sheets.", show_default=False)]
Account = Annotated[
    str | None, typer.Option(metavar="ID", help="One of several accounts.", show_default=False)
]
Props = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="NAME=VALUE",
        help="A field; may be repeated. A value that is JSON is taken as such.",
        show_default=False,
    ),
]
_WAIT = 10
_MCP = "mcp"


@app.command("search")
def search(
    query: Annotated[
        list[str], typer.Argument(metavar="WORDS", help="What is to be done.", show_default=False)
    ],
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 10,
    as_json: AsJson = False,
) -> int:
    """Find actions by plain words, as in: `codewords integrations search add a row to a sheet`."""
    with runtime() as client:
        found = client.record("GET", "/integrations", params={"query": " ".join(query), "limit": limit})
    if as_json:
        _output.print_json(found)
        return OK

    _actions(found["actions"])
    apps = [found_app["slug"] for found_app in found["apps"]]
    if apps:
        _output.line(
            f"Apps of that name: {', '.join(apps)}. `codewords integrations show APP` lists their actions."
        )

    _note(found)
    return OK


@app.command("show")
def show(
    app_name: App,
    action: Annotated[
        str | None, typer.Argument(metavar="ACTION", help="One action: its fields.", show_default=False)
    ] = None,
    prop: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="The values that this field takes.", show_default=False),
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Narrows a long list.", show_default=False)
    ] = None,
    props: Props = None,
    account: Account = None,
    as_json: AsJson = False,
) -> int:
    """List what can be done in an app, or an action's fields, or the values of one of them."""
    if prop is not None and action is None:
        raise InvalidInput("A field belongs to an action.", hint="Name the action before --prop.")

    with runtime() as client:
        if action is None:
            found = client.record(
                "GET", f"/integrations/{part(app_name)}", params={"query": query, "limit": 100}
            )
        else:
            body = {
                "action": action, "prop": prop or "", "props": _props(props), "query": query or "", "account": account
            }  # fmt: skip
            found = client.record("POST", f"/integrations/{part(app_name)}/describe", body=body)

    if as_json:
        _output.print_json(found)
    elif prop is not None:
        rows = [
            [option["label"], json.dumps(option["value"], ensure_ascii=False)] for option in found["options"]
        ]
        _output.table(["WHAT", "VALUE"], rows, empty="No values are known.")
        _note(found)
    elif found.get("action"):
        _fields(found["action"])
    else:
        _actions(found["actions"])
        if found["total"] > len(found["actions"]):
            _output.line(f"{len(found['actions'])} of {found['total']}; --query narrows them.")
        _note(found)

    return OK


@app.command("connect")
def connect(
    app_name: App,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL|PACKAGE",
            help="Address or package of an MCP server, for the app `mcp`.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name for an MCP server.", show_default=False)
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Agree to an MCP server here, without its page.")
    ] = False,
    believe: Annotated[
        bool,
        typer.Option("--believe", help="With --yes: believe which tools only read, by the server's word."),
    ] = False,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="A host that a package may reach; * for every public one.",
            show_default=False,
        ),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="NAME",
            help="A secret that a package gets, as the variable NAME.",
            show_default=False,
        ),
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", metavar="ARGUMENT", help="An argument for a package's program.", show_default=False
        ),
    ] = None,
    wait: Annotated[int, typer.Option(min=0, max=3600, help="Seconds to wait until it is connected.")] = 300,
    as_json: AsJson = False,
) -> int:
    """Connect an account, or an MCP server: shows the page to open, and waits until it is done.

    For example: `codewords integrations connect mcp https://mcp.example.com/mcp`, or a program from PyPI or npm that runs
    here in a sandbox: `codewords integrations connect mcp pypi:mcp-server-fetch --host '*'`.
    """
    if (app_name == _MCP) != (url is not None):
        raise InvalidInput(
            "An MCP server is connected by its address, or its package.",
            hint="For example: codewords integrations connect mcp https://mcp.example.com/mcp",
        )
    path, body = f"/integrations/{part(app_name)}/connect", {}
    if url is not None:
        body = {
            "url": url, "name": name or "", "agree": yes, "believe": believe,
            "hosts": hosts, "variables": variables, "arguments": arguments,
        }  # fmt: skip
    with runtime() as client:
        # With --yes a package is installed first.
        found = client.record("POST", path, body=body, timeout=SLOW)
        path = f"/integrations/{part(found['app'])}/connect"
        if found["connected"] or not found.get("connect_link_url") or as_json:
            return _print_connection(found, as_json=as_json)

        _output.line(f"Open this page in a browser: {found['connect_link_url']}", "bold")
        _output.note("Waiting until it is connected; Ctrl-C leaves it to you.")
        # Several requests instead of a long one, which proxies in between would cut.
        for _ in range(0, wait, _WAIT):
            found = client.record("POST", path, body={"wait_seconds": min(wait, _WAIT)})
            if found["connected"]:
                break

    return _print_connection(found, as_json=False)


@app.command("servers")
def servers(
    query: Annotated[
        list[str], typer.Argument(metavar="WORDS", help="An app, or a part of its name.", show_default=False)
    ],
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> int:
    """Find MCP servers in the registry, remote or as packages, as in: `codewords integrations servers linear`."""
    with runtime() as client:
        items = client.record("GET", "/mcp-servers", params={"query": " ".join(query), "limit": limit})[
            "items"
        ]
    if as_json:
        _output.print_json(items)
        return OK

    rows = [
        [_plain(item["title"] or item["name"]), item["url"], _plain(item["description"])[:80]]
        for item in items
    ]
    _output.table(["SERVER", "ADDRESS OR PACKAGE", "IN ITS OWN WORDS"], rows, empty="No servers.")
    if items:
        _output.note(
            f"`codewords integrations connect mcp {items[0]['url']}` connects one. Nobody has checked what is listed."
        )
    return OK


@app.command("call")
def call(
    app_name: App,
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="A key, or a name that means one.", show_default=False)
    ],
    props: Props = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="JSON|@FILE", help="All fields as a JSON object.", show_default=False
        ),
    ] = None,
    account: Account = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before an action that changes something.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Do something in an app, once.

    For example: `codewords integrations call slack send-message -s channel=#general -s text=Hello`.

    An action that changes something is done after a yes on the terminal; a script is not asked.
    """
    body = {"action": action, "props": _input(data) | _props(props), "account": account}
    with runtime() as client:
        if not yes:
            confirm_action(client, app_name, body)
        done = client.record("POST", f"/integrations/{part(app_name)}/call", body=body, timeout=SLOW)

    if as_json:
        _output.print_json(done)
        return OK

    _output.line(done["summary"] or f"{done['action']} is done.", "bold")
    if done.get("ret") is not None:
        _output.print_json(done["ret"])
    for file in done["files"] if done["backend"] == "mcp" else ():
        _output.line(f"{file['name']} ({file['size']} bytes): {file['url']}")
    return OK


@connections_app.callback()
def connections(context: typer.Context, as_json: AsJson = False) -> int:
    """List the accounts that are connected."""
    if context.invoked_subcommand is not None:
        return OK

    with runtime() as client:
        items = client.items("/connections")
    if as_json:
        _output.print_json(items)
    else:
        rows = [
            [
                account["app"],
                account["name"],
                "yes" if account["healthy"] else "NO: connect it again",
                account["id"],
                account["created_at"][:10],
                ", ".join(_user(user) for user in account.get("used_by", ())),
            ]
            for account in items
        ]
        _output.table(
            ["APP", "ACCOUNT", "WORKS", "ID", "SINCE", "USED BY"],
            rows,
            empty="No accounts. `codewords integrations connect APP` connects one.",
        )

    return OK


@deletes(connections_app)
def delete(
    account: Annotated[str, typer.Argument(metavar="ID", help="The account.", show_default=False)],
    as_json: AsJson = False,
) -> int:
    """Disconnect an account."""
    with runtime() as client:
        client.call("DELETE", f"/connections/{part(account)}")
    return tell_deleted(account, {"id": account}, as_json=as_json)


def _user(user: Json) -> str:
    if user["triggers"]:
        starts = f" ({', '.join(user['triggers'])})"
    else:
        starts = ""
    return f"{user['name']}{starts}"


def _print_connection(found: Json, *, as_json: bool) -> int:
    if as_json:
        _output.print_json(found)
        return OK
    _output.line(found["message"], "green" if found["connected"] else "yellow")
    if not found["connected"]:
        if found["how"]:
            _output.line(worded(found["how"], found.get("remedy")))
        return FAILED
    if found["env_var"]:
        _output.line(f'A workflow declares it with "{found["env_var"]}" in env_vars.')
    else:
        server = found["app"].removeprefix("mcp_")
        _output.line(
            f'In a workflow: client.run("mcp", {{"server": "{server}", "tool": …, "arguments": {{…}}}})'
        )
    return OK


def _actions(items: list[Json]) -> None:
    rows = [
        [action["app"], action["key"], action["name"], "writes" if action["writes"] else "reads"]
        for action in items
    ]
    _output.table(["APP", "ACTION", "WHAT IT DOES", ""], rows, empty="No actions.")


def _fields(action: Json) -> None:
    _output.line(f"{action['key']}: {action['name']}", "bold")
    if action["description"]:
        _output.line(_plain(action["description"]))
    rows: list[list[str]] = []
    for prop in action["props"]:
        if prop["type"] in {"app", "alert"} or prop["type"].startswith("$.service"):
            continue

        facts = ["needed" if prop["required"] else "optional", prop["type"]]
        facts += ["values: --prop"] if prop["remote"] else []
        facts += ["more fields follow"] if prop["reloads"] else []
        if prop["options"]:
            facts.append("one of " + ", ".join(map(str, prop["options"][:8])))
        if prop["default"] is not None:
            facts.append(f"default {json.dumps(prop['default'], ensure_ascii=False)[:40]}")
        rows.append([prop["name"], ", ".join(facts), _plain(prop["description"] or prop["label"])[:120]])

    _output.table(["FIELD", "", ""], rows, empty="It takes no fields.")


def _plain(text: str) -> str:
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())


def _note(found: Json) -> None:
    if found.get("note"):
        _output.note(found["note"], "yellow", always=True)


def _props(assignments: list[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for assignment in assignments or []:
        name, sign, text = assignment.partition("=")
        if not sign or not name:
            raise InvalidInput("A field is given as NAME=VALUE.", hint="For example: --set channel=#general")
        try:
            found[name] = parse(text)
        except ValueError:
            # What isn't JSON is text: nobody quotes a channel's name twice.
            found[name] = text
    return found


def _input(data: str | None) -> dict[str, Any]:
    found: Any = parse(read_input(data))
    if not isinstance(found, dict):
        raise InvalidInput("--input must be a JSON object.", hint='As in {"channel": "#general"}.')
    return cast("dict[str, Any]", found)
