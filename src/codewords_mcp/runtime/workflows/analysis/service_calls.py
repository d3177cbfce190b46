"""Calls of library services and workflows: their names, operations, pages, actions and schedules."""

from __future__ import annotations

import ast
import re

from codewords_mcp.runtime.model.integration_names import READING_WORDS
from codewords_mcp.runtime.model.manifest import ANY_TOOL, PAGE_SERVICES, tool_item
from codewords_mcp.runtime.model.mcp import PREFIX
from codewords_mcp.runtime.workflows.analysis import tables
from codewords_mcp.runtime.workflows.analysis.evaluate import Evaluator
from codewords_mcp.runtime.workflows.analysis.hosts import host_uses
from codewords_mcp.runtime.workflows.analysis.operations import Operations, expands
from codewords_mcp.runtime.workflows.analysis.recipients import Recipients
from codewords_mcp.runtime.workflows.analysis.scopes import NameScope
from codewords_mcp.runtime.workflows.analysis.values import Collection, Text, Values, text, texts

_BROWSERS = frozenset({"chrome_extension", "web_automation_agent"})


class ServiceCalls:
    """Services and workflows that are called through the client or by paths of the runtime."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self.called: set[str] = set()
        self.operations = Operations()
        self.open_lines: set[int] = set()
        """Lines that call a service which is only known when they run."""
        self.crons: set[str] = set()
        self.actions: set[str] = set()
        self.recipients = Recipients(evaluator)
        self.tools: set[str] = set()
        """Tools of MCP servers, as the manifest lists them."""
        self.pages: set[str] = set()
        """Hosts that services which read pages are sent to."""
        self.page_callers: set[str] = set()
        """Services that read pages and are called."""
        self.any_workflow = False
        """A schedule may be made for a workflow that is only known when it runs."""
        self.any_page = False
        """A service may be sent to a page that is only known when it runs, or goes on by itself."""

    def read(self, call: ast.Call, scope: NameScope) -> None:
        """Read a call of the client: `client.run(service_id, data, path)`."""
        for service in texts(self._evaluator.argument(call, scope, 0, ("service_id",))):
            name, below = _split(service)
            if name is None:
                # SERVICE_ID is the workflow's own id, which needs no permission.
                if not any(hole.env == "SERVICE_ID" for hole in service.holes):
                    self.open_lines.add(call.lineno)
                continue
            if not name:  # what stands for a variable that the runtime sets
                continue

            self.called.add(name)
            self._operation(name, below, call, scope)
            if name == "pipedream":
                self._integration(call, scope)
            elif name == "approvals":
                self.recipients.read(self._values_of_data(call, scope))
            elif name == "mcp":
                self._tool(below, call, scope)
            elif name == "schedule_runs":
                self._schedule(call, scope)
            elif name in PAGE_SERVICES:
                self._page(name, call, scope)

    def request(self, path: Text, call: ast.Call, *, base: bool) -> None:
        """Read a request to a path of the runtime: `/run/github/readme`."""
        pieces = path.start.partition("?")[0].split("/")[1:]
        if pieces and pieces[0] in {"run", "run_async"}:
            # With a hole directly after it, the service's name may go on: "git" + something.
            whole = len(pieces) > 2 or not path.holes
            if len(pieces) > 1 and pieces[1] and whole:
                self.called.add(pieces[1])
                if not base:
                    rest = path.start.removeprefix(f"/{pieces[0]}/{pieces[1]}")
                    self.operations.add(pieces[1], text(rest, *path.parts[1:]), call.lineno)

                if pieces[1] == "approvals":
                    self.recipients.is_open = True
                elif pieces[1] == "pipedream":
                    self._act([Text(())], [Text(())])
                elif pieces[1] == "mcp" and pieces[2:3] != ["tools"]:
                    self.tools.add(ANY_TOOL)
                elif pieces[1] in PAGE_SERVICES:
                    self.page_callers.add(pieces[1])
                    self.any_page = True
            else:
                self.open_lines.add(call.lineno)
        elif path.holes and not any(pieces):
            self.open_lines.add(call.lineno)

    def discover(self, call: ast.Call, scope: NameScope) -> None:
        """The client's own method: looking needs the service only."""
        self.called.add("pipedream")
        operations = texts(self._evaluator.argument(call, scope, 0, ("operation",)))
        if all(operation.constant in tables.DISCOVERY_OPERATIONS for operation in operations):
            return
        apps = texts(self._evaluator.argument(call, scope, 1, ("app_slug", "app"))) or [Text(())]
        self._act(
            apps, texts(self._evaluator.argument(call, scope, 2, ("action_name", "action"))) or [Text(())]
        )

    def _operation(self, name: str, below: Text, call: ast.Call, scope: NameScope) -> None:
        if expands(call):
            # `**kwargs` may contain the path.
            self.operations.add_unknown(name, call.lineno)
            return

        # Without a path the client calls the service's root, or what the id has after its slash.
        for path in texts(self._evaluator.argument(call, scope, 2, ("path",))) or [Text(())]:
            whole = text(*below.parts, "/", *path.parts) if below.parts else path
            self.operations.add(name, whole, call.lineno)

    def _page(self, name: str, call: ast.Call, scope: NameScope) -> None:
        """A page's host, where its address is text. A browser loads whatever a page names, so it may go anywhere."""
        self.page_callers.add(name)
        urls = self._data(call, scope, "url")
        uses = host_uses(urls, host_form=False)
        known = bool(urls) and not (uses.open or uses.variables or uses.relative)
        if name in _BROWSERS or not known or not self._is_plain(call, scope):
            self.any_page = True
        else:
            self.pages |= uses.hosts

    def _data(self, call: ast.Call, scope: NameScope, *keys: str) -> list[Text]:
        """The values under one of these keys of the call's data."""
        found: list[Text] = []
        for value in self._values_of_data(call, scope):
            if not isinstance(value, Collection) or not isinstance(value.node, ast.Dict):
                continue
            for key, item in zip(value.node.keys, value.node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in keys:
                    found += texts(self._evaluator.values(item, value.scope))
        return found

    def _values_of_data(self, call: ast.Call, scope: NameScope) -> Values:
        return self._evaluator.argument(call, scope, 1, ("data", "inputs", "json"))

    def _is_plain(self, call: ast.Call, scope: NameScope) -> bool:
        """Whether all fields of the call's data can be read, and none of them asks for a browser."""
        return all(
            isinstance(value, Collection)
            and isinstance(value.node, ast.Dict)
            and all(isinstance(key, ast.Constant) and key.value != "render" for key in value.node.keys)
            for value in self._values_of_data(call, scope)
        )

    def _integration(self, call: ast.Call, scope: NameScope) -> None:
        # `execute` is the service's default operation, and it acts on the account.
        operations = self._data(call, scope, "operation") or [Text(("execute",))]
        if all(operation.constant in tables.DISCOVERY_OPERATIONS for operation in operations):
            return
        apps = self._data(call, scope, "app_slug", "app") or [Text(())]
        actions = self._data(call, scope, "action_name", "action") or [Text(())]
        self._act(apps, actions)

    def _tool(self, below: Text, call: ast.Call, scope: NameScope) -> None:
        paths = texts(self._evaluator.argument(call, scope, 2, ("path",))) or [Text(())]
        whole = [text(*below.parts, "/", *path.parts) if below.parts else path for path in paths]
        # The only other operation lists tools, and calls none.
        if not expands(call) and all((path.constant or "").strip("/") == "tools" for path in whole):
            return
        servers = self._data(call, scope, "server") or [Text(())]
        tools = self._data(call, scope, "tool") or [Text(())]
        for server in servers:
            for tool in tools:
                name = f"{PREFIX}{(server.constant or '').removeprefix(PREFIX)}"
                self.tools.add(tool_item(name, tool.constant or "") if server.constant else ANY_TOOL)

    def _act(self, apps: list[Text], actions: list[Text]) -> None:
        for app in apps:
            for action in actions:
                self.actions.add(_action(app.constant or "any app", action.constant or ""))

    def _schedule(self, call: ast.Call, scope: NameScope) -> None:
        for moment in self._data(call, scope, "cron_expression", "cron", "at", "run_at"):
            self.crons.add(moment.constant or "at times made while it runs")
        for service in self._data(call, scope, "service_id"):  # what it runs is called by it
            if service.constant:
                self.called.add(service.constant)
            elif not any(hole.env == "SERVICE_ID" for hole in service.holes):
                self.any_workflow = True


def _split(service: Text) -> tuple[str | None, Text]:
    """(the name of a service, the path after it) of an id such as "github/readme"; None for an unknown name."""
    # As the route `/run/{service_id}/{path}` reads it, into which the client puts the id as it is.
    name, slash, rest = service.start.partition("/")
    if name and slash:
        return name, text(rest, *service.parts[1:])
    return service.constant, Text(())


def _action(app: str, action: str) -> str:
    name = action.removeprefix(f"{app}-").removeprefix(f"{app}_")
    if not name:
        return f"{app}: any action (writes)"
    first = re.split(r"[-_. ]", name, maxsplit=1)[0].lower()
    # A verb that isn't known to read counts as writing: the person is asked for more, not less.
    return f"{app}: {name[:60]}" + ("" if first in READING_WORDS else " (writes)")
