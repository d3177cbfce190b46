"""Destinations of all calls of a script: hosts, services, models, integrations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

from codewords_mcp.runtime.model.integration_names import READING_WORDS
from codewords_mcp.runtime.model.manifest import PAGE_SERVICES
from codewords_mcp.runtime.workflows.analysis import tables
from codewords_mcp.runtime.workflows.analysis.evaluate import Evaluator
from codewords_mcp.runtime.workflows.analysis.hosts import HostUses, host_uses
from codewords_mcp.runtime.workflows.analysis.operations import Operations, expands
from codewords_mcp.runtime.workflows.analysis.scopes import NameScope, ScriptIndex
from codewords_mcp.runtime.workflows.analysis.tables import AddressArgument
from codewords_mcp.runtime.workflows.analysis.values import (
    ONLY_UNKNOWN,
    Bound,
    Collection,
    InstanceValue,
    Partial,
    Ref,
    Text,
    Value,
    Values,
    constants,
    text,
    texts,
)

_FUNCTION_POSITION = {
    "to_thread": 0,
    "run_in_executor": 1,
    "submit": 0,
    "run_sync": 0,
    "Thread": 0,
    "add_task": 0,
    "start_soon": 0,
}
_CLIENT = re.compile(r"codewords_client(?:\.\w+)?\.(?:Async)?CodewordsClient")
_DISCOVERS = "discover_pipedream_integrations"
_RUNS = frozenset({"run", "start_service", "run_async"})
_URL = re.compile(r"(?:https?|wss?|ftp)://[^\s'\"<>|]+")
_SHELLS = ("subprocess.", "os.system", "os.popen", "asyncio.create_subprocess_", "asyncio.subprocess.")
_REQUEST_METHODS = frozenset({*tables.CLIENT_METHODS, "goto", "urlopen", "ws_connect", "fetch", "open"})
_GATEWAY_KEYS = frozenset(
    {"CODEWORDS_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"}
)
_BROWSERS = frozenset({"chrome_extension", "web_automation_agent"})
_TRANSPORTS = re.compile(r"(?:ASGI|WSGI|Mock)Transport\Z")


class Calls:
    """Destinations of the calls. `env`: the header's variables and their defaults."""

    def __init__(self, evaluator: Evaluator, found: ScriptIndex, env: Mapping[str, str | None]) -> None:
        self._evaluator = evaluator
        self._index = found
        self._env = env
        self.uses = HostUses()
        self.open_lines: set[int] = set()
        self.called: set[str] = set()
        self.operations = Operations()
        self.service_lines: set[int] = set()
        self.models: set[str] = set()
        self.crons: set[str] = set()
        self.actions: set[str] = set()
        self.pages: set[str] = set()
        """Hosts that services which read pages are sent to."""
        self.page_callers: set[str] = set()
        """Services that read pages and are called."""
        self.any_workflow = False
        """A schedule may be made for a workflow that is only known when it runs."""
        self.any_page = False
        """A service may be sent to a page that is only known when it runs, or goes on by itself."""

    def read(self) -> None:
        """Look at every call of the script."""
        for call, scope in self._index.calls:
            # All possible functions count: a permission that is missing breaks a run, and one
            # too many is shown to a person.
            for callee in self._evaluator.callees(call, scope):
                self._of_callee(callee, call, scope)
            self._passed_function(call, scope)

    def _of_callee(self, callee: Value, call: ast.Call, scope: NameScope) -> None:
        match callee:
            case Ref(name):
                self._of_module(name, call, scope)
            case Bound(instance, method):
                self._of_instance(instance, method, call, scope)
            case Partial(inner) if inner.args:
                # The call as it would be without `partial`, so that one set of rules reads
                # both.
                whole = ast.Call(
                    inner.args[0], [*inner.args[1:], *call.args], [*inner.keywords, *call.keywords]
                )
                ast.copy_location(whole, call)
                for function in self._evaluator.values(inner.args[0], callee.scope):
                    # A partial of a partial could be endless; one level covers what people
                    # write.
                    if not isinstance(function, Partial):
                        self._of_callee(function, whole, scope)
            case Text() if isinstance(call.func, ast.Attribute):
                self._of_unknown(call.func.attr, call, scope)
            case _:
                pass

    def _passed_function(self, call: ast.Call, scope: NameScope) -> None:
        """`asyncio.to_thread(requests.get, url)`, `map(requests.get, urls)`: the function is called with what follows."""
        if isinstance(call.func, ast.Name):
            name = call.func.id
        else:
            name = getattr(call.func, "attr", "")

        if name == "map" and len(call.args) > 1:
            for function in self._evaluator.values(call.args[0], scope):
                if isinstance(function, Ref):
                    address = tables.CALLS.get(function.name)
                else:
                    address = None

                if address is None and isinstance(function, Bound) and function.instance.of in tables.CLIENTS:
                    address = tables.CLIENT_METHODS.get(function.method)
                if address is not None and address.position == 0:
                    items = self._evaluator.elements(self._evaluator.values(call.args[1], scope))
                    self._reach(items, call, address)

            return

        at = _FUNCTION_POSITION.get(name)
        if at is None or len(call.args) <= at:
            return

        inner = ast.copy_location(ast.Call(call.args[at], call.args[at + 1 :], call.keywords), call)
        for function in self._evaluator.values(call.args[at], scope):
            if isinstance(function, Ref | Bound | Partial):
                self._of_callee(function, inner, scope)

    def _of_module(self, name: str, call: ast.Call, scope: NameScope) -> None:
        if name.startswith("codewords_client."):
            self._of_client(name, call, scope)
        elif name in tables.MODELS:
            self._of_model(name, call, scope)
        elif name in tables.CLIENTS:
            self._made_client(name, call, scope)
        elif (address := tables.CALLS.get(name)) is not None:
            values = self._address(address, call, scope)
            self._reach(values, call, address, files=name in tables.FILES)
        elif name in tables.MODEL_KEYWORDS:
            self._by_name(name, call, scope)
        elif name.startswith(_SHELLS):
            # A program that is started connects by itself; its arguments are all that can be
            # read.
            self._shell(call)

        self._of_package(name)

    def _of_package(self, name: str) -> None:
        parts = name.split(".")
        # The longer name first: `google.cloud` has other hosts than the rest of `google`.
        for size in (2, 1):
            if known := tables.SDKS.get(".".join(parts[:size])):
                if name not in tables.CALLS:
                    self.uses.hosts.update(known)
                return

    def _of_client(self, name: str, call: ast.Call, scope: NameScope) -> None:
        last = name.rpartition(".")[2]
        if last == "redis_client":
            self.called.add("redis_coordinator")
        elif last == "SubAgent":  # it has the runtime's tools, which run whatever there is
            self.models.add("openai")
            self.service_lines.add(call.lineno)
            models = self._argument(call, scope, 2, ("model",))
            if any(model.startswith(("gemini/", "google/")) for model in constants(models)):
                self.models.add("gemini")

    def _of_model(self, name: str, call: ast.Call, scope: NameScope) -> None:
        """The gateway serves these SDKs, unless they are given another address, or another key."""
        provider, keyword = tables.MODELS[name]
        passed = self._argument(call, scope, None, (keyword, "api_base", "endpoint"))

        if passed:
            uses = self._reach(passed, call, tables.AddressArgument(None))
            # An address of the runtime itself counts as the gateway.
            if provider and not (uses.hosts or uses.variables or uses.open):
                self.models.add(provider)
        elif provider:
            self.models.add(provider)
            keys = self._argument(call, scope, None, ("api_key",))
            own = {hole.env for key in texts(keys) for hole in key.holes} - _GATEWAY_KEYS
            # With a key of its own the program may go to the provider directly, past the
            # gateway.
            if own - {""}:
                self.uses.hosts.add(tables.VENDORS[provider])

    def _by_name(self, name: str, call: ast.Call, scope: NameScope) -> None:
        models = list(constants(self._argument(call, scope, 0, (tables.MODEL_KEYWORDS[name],))))
        prefixes = [re.split(r"[:/-]", model.lower(), maxsplit=1)[0] for model in models]
        self.models |= {
            tables.PROVIDER_OF_PREFIX[prefix] for prefix in prefixes if prefix in tables.PROVIDER_OF_PREFIX
        }
        # The model is only known at run time, so each provider is possible.
        if not models:
            self.models |= set(tables.VENDORS)

    def _made_client(self, name: str, call: ast.Call, scope: NameScope) -> None:
        if not self._stays_inside(call, scope):
            position, keyword = tables.CLIENTS[name]
            values = self._argument(call, scope, position, (keyword,))
            self._reach(values, call, tables.AddressArgument(None), base=True)

    def _stays_inside(self, call: ast.Call, scope: NameScope) -> bool:
        """Whether a client is given an app or a mock instead of the network."""
        passed = self._argument(call, scope, None, ("transport", "app"))
        return any(isinstance(value, InstanceValue) and _TRANSPORTS.search(value.of) for value in passed)

    def _of_instance(self, instance: InstanceValue, method: str, call: ast.Call, scope: NameScope) -> None:
        address = tables.OTHER_METHODS.get(f"{instance.of}.{method}")
        if _CLIENT.fullmatch(instance.of) and method in _RUNS:
            self._service(call, scope)
        elif _CLIENT.fullmatch(instance.of) and method == _DISCOVERS:
            self._discovers(call, scope)
        elif instance.of in tables.CLIENTS and method in tables.CLIENT_METHODS:
            self._client_request(instance, tables.CLIENT_METHODS[method], call, scope)
        elif address is not None:
            self._reach(self._address(address, call, scope), call, address)
        elif f"{instance.of}.{method}" in tables.CALLS:  # from_url and its like
            address = tables.CALLS[f"{instance.of}.{method}"]
            self._reach(self._address(address, call, scope), call, address)
        else:
            self._of_package(instance.of)
            self._of_unknown(method, call, scope)

    def _client_request(
        self, client: InstanceValue, address: AddressArgument, call: ast.Call, scope: NameScope
    ) -> None:
        """A request of a client. An address without a host is relative to the client's own."""
        based = False
        if client.call is not None and client.scope is not None:
            if self._stays_inside(client.call, client.scope):
                return

            position, keyword = tables.CLIENTS[client.of]
            bases = texts(self._argument(client.call, client.scope, position, (keyword,)))
            based = bool(bases)
            for base in bases:
                # The base is the runtime, so the path decides which service is called.
                if host_uses([base], host_form=False).runtime:  # a path of the runtime's is a service
                    for path in texts(self._address(address, call, scope)):
                        if "://" not in path.start:
                            self._reach([_joined(base, path)], call, tables.AddressArgument(None))

        values = self._address(address, call, scope)
        # Paths relative to the base are not addresses: the base was counted when the client was
        # made.
        known = [value for value in texts(values) if not based or "://" in value.start]
        self._reach(known, call, address) if known or not based else None

    def _of_unknown(self, method: str, call: ast.Call, scope: NameScope) -> None:
        """A method of an unknown object: only a plain URL or a service counts."""
        if method in _RUNS and any(keyword.arg == "service_id" for keyword in call.keywords):
            self._service(call, scope)
        elif method == _DISCOVERS:
            self._discovers(call, scope)
        elif method in _REQUEST_METHODS:
            position = 1 if method in {"request", "stream"} else 0
            passed = texts(self._argument(call, scope, position, ("url",)))
            self._reach(
                [value for value in passed if _URL.match(value.start + "x")],
                call,
                tables.AddressArgument(None),
            )

    def _shell(self, call: ast.Call) -> None:
        """Programs that are started: URLs that stand in their command line."""
        for node in ast.walk(call):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for url in _URL.findall(node.value):
                    self.uses.hosts |= host_uses([Text((url,))], host_form=False).hosts

    def _argument(
        self, call: ast.Call, scope: NameScope, position: int | None, keywords: Iterable[str]
    ) -> Values:
        """The values of an argument. Empty if it is absent or None."""
        names = frozenset(keywords)
        node = next((keyword.value for keyword in call.keywords if keyword.arg in names), None)
        if node is None and position is not None and position < len(call.args):
            node = call.args[position]
        if node is None or isinstance(node, ast.Constant):
            return self._evaluator.values(node, scope)
        return self._evaluator.values(node, scope) or ONLY_UNKNOWN

    def _address(self, address: AddressArgument, call: ast.Call, scope: NameScope) -> Values:
        values = self._argument(call, scope, address.position, address.keywords)
        if address.form == "url":
            return values
        pairs = [value for value in values if isinstance(value, Collection)]  # (host, port), or several hosts
        single = frozenset(value for value in values if not isinstance(value, Collection))
        for pair in pairs:
            single |= self._evaluator.items(
                frozenset({pair}), 0 if isinstance(pair.node, ast.Tuple) else None
            )
        return single

    def _reach(
        self,
        values: Iterable[Value],
        call: ast.Call,
        address: AddressArgument,
        *,
        files: bool = False,
        base: bool = False,
    ) -> HostUses:
        """Look where a call leads. `base`: its address is what the addresses of other calls are relative to."""
        uses = host_uses(_addresses(values, files=files), host_form=address.form == "host", files=files)
        self.uses.hosts |= uses.hosts

        for name in uses.variables:
            # A declared variable without a default is shown by its name: its value is set
            # later, and the manifest is then filled with the host of that value.
            if self._env.get(name, "") is None:
                self.uses.variables.add(name)
            else:
                uses.open = True

        if uses.open:
            self.open_lines.add(call.lineno)
        for path in uses.runtime:
            self._runtime_request(path, call, base=base)
        return uses

    def _runtime_request(self, path: Text, call: ast.Call, *, base: bool) -> None:
        """`/run/openai/v1/…`, `/openai/…`: a service by its path."""
        pieces = path.start.partition("?")[0].split("/")[1:]
        if pieces and pieces[0] in {"run", "run_async"}:
            # With a hole directly after it, the service's name may go on: "git" + something.
            whole = len(pieces) > 2 or not path.holes
            if len(pieces) > 1 and pieces[1] and whole:
                self.called.add(pieces[1])
                if not base:
                    rest = path.start.removeprefix(f"/{pieces[0]}/{pieces[1]}")
                    self.operations.add(pieces[1], text(rest, *path.parts[1:]), call.lineno)

                if pieces[1] == "pipedream":
                    self._act([Text(())], [Text(())])
                elif pieces[1] in PAGE_SERVICES:
                    self.page_callers.add(pieces[1])
                    self.any_page = True
            else:
                self.service_lines.add(call.lineno)
        elif pieces and pieces[0] in tables.VENDORS:
            self.models.add(pieces[0])
        elif path.holes and not any(pieces):
            self.service_lines.add(call.lineno)

    def _service(self, call: ast.Call, scope: NameScope) -> None:
        for service in texts(self._argument(call, scope, 0, ("service_id",))):
            name = service.constant
            if name is None:
                # SERVICE_ID is the workflow's own id, which needs no permission.
                if not any(hole.env == "SERVICE_ID" for hole in service.holes):
                    self.service_lines.add(call.lineno)
                continue
            if not name:  # what stands for a variable that the runtime sets
                continue

            self.called.add(name)
            self._operation(name, call, scope)
            if name == "pipedream":
                self._integration(call, scope)
            elif name == "schedule_runs":
                self._schedule(call, scope)
            elif name in PAGE_SERVICES:
                self._page(name, call, scope)

    def _operation(self, name: str, call: ast.Call, scope: NameScope) -> None:
        if expands(call):
            # `**kwargs` may contain the path.
            self.operations.add_unknown(name, call.lineno)
            return
        # Without a path the client calls the service's root.
        for path in texts(self._argument(call, scope, 2, ("path",))) or [Text(())]:
            self.operations.add(name, path, call.lineno)

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
        for value in self._argument(call, scope, 1, ("data", "inputs", "json")):
            if not isinstance(value, Collection) or not isinstance(value.node, ast.Dict):
                continue
            for key, item in zip(value.node.keys, value.node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in keys:
                    found += texts(self._evaluator.values(item, value.scope))
        return found

    def _is_plain(self, call: ast.Call, scope: NameScope) -> bool:
        """Whether all fields of the call's data can be read, and none of them asks for a browser."""
        return all(
            isinstance(value, Collection)
            and isinstance(value.node, ast.Dict)
            and all(isinstance(key, ast.Constant) and key.value != "render" for key in value.node.keys)
            for value in self._argument(call, scope, 1, ("data", "inputs", "json"))
        )

    def _integration(self, call: ast.Call, scope: NameScope) -> None:
        # `execute` is the service's default operation, and it acts on the account.
        operations = self._data(call, scope, "operation") or [Text(("execute",))]
        if all(operation.constant in tables.DISCOVERY_OPERATIONS for operation in operations):
            return
        apps = self._data(call, scope, "app_slug", "app") or [Text(())]
        actions = self._data(call, scope, "action_name", "action") or [Text(())]
        self._act(apps, actions)

    def _discovers(self, call: ast.Call, scope: NameScope) -> None:
        """The client's own method: looking needs the service only."""
        self.called.add("pipedream")
        operations = texts(self._argument(call, scope, 0, ("operation",)))
        if all(operation.constant in tables.DISCOVERY_OPERATIONS for operation in operations):
            return
        apps = texts(self._argument(call, scope, 1, ("app_slug", "app"))) or [Text(())]
        self._act(apps, texts(self._argument(call, scope, 2, ("action_name", "action"))) or [Text(())])

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


def _addresses(values: Iterable[Value], *, files: bool) -> list[Text]:
    """The texts. A request object (`urllib.request.Request`) was looked at where it was made; a file is no address."""
    return texts(
        value
        for value in values
        if not (isinstance(value, InstanceValue) and (files or value.of == "urllib.request.Request"))
    )


def _joined(base: Text, path: Text) -> Text:
    """A path below a client's address, which ends with a slash whether it is written or not."""
    # httpx joins so: a base of "https://host/v1" and "users" give "https://host/v1/users".
    apart = bool(path.parts) and not path.start.startswith("/") and not _ends_with_slash(base)
    return text(*base.parts, *(["/"] if apart else []), *path.parts)


def _ends_with_slash(address: Text) -> bool:
    last = address.parts[-1] if address.parts else ""
    return isinstance(last, str) and last.endswith("/")


def _action(app: str, action: str) -> str:
    name = action.removeprefix(f"{app}-").removeprefix(f"{app}_")
    if not name:
        return f"{app}: any action (writes)"
    first = re.split(r"[-_. ]", name, maxsplit=1)[0].lower()
    # A verb that isn't known to read counts as writing: the person is asked for more, not less.
    return f"{app}: {name[:60]}" + ("" if first in READING_WORDS else " (writes)")
