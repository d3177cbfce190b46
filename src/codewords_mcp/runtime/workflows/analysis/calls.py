"""Destinations of all calls of a script: hosts, services, models, integrations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping

from codewords_mcp.runtime.model.manifest import models_item
from codewords_mcp.runtime.workflows.analysis import tables
from codewords_mcp.runtime.workflows.analysis.evaluate import Evaluator
from codewords_mcp.runtime.workflows.analysis.hosts import HostUses, host_uses
from codewords_mcp.runtime.workflows.analysis.scopes import NameScope, ScriptIndex
from codewords_mcp.runtime.workflows.analysis.service_calls import ServiceCalls
from codewords_mcp.runtime.workflows.analysis.tables import AddressArgument
from codewords_mcp.runtime.workflows.analysis.values import (
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
_NAMED_PATH = re.compile(r"/providers/(?:([a-z][a-z0-9_-]{0,31})(?:/|\Z))?")
_URL = re.compile(r"(?:https?|wss?|ftp)://[^\s'\"<>|]+")
_SHELLS = ("subprocess.", "os.system", "os.popen", "asyncio.create_subprocess_", "asyncio.subprocess.")
_REQUEST_METHODS = frozenset({*tables.CLIENT_METHODS, "goto", "urlopen", "ws_connect", "fetch", "open"})
_GATEWAY_KEYS = frozenset(
    {"CODEWORDS_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"}
)
_TRANSPORTS = re.compile(r"(?:ASGI|WSGI|Mock)Transport\Z")


class Calls:
    """Destinations of the calls. `env`: the header's variables and their defaults."""

    def __init__(self, evaluator: Evaluator, found: ScriptIndex, env: Mapping[str, str | None]) -> None:
        self._evaluator = evaluator
        self._index = found
        self._env = env
        self.uses = HostUses()
        self.open_lines: set[int] = set()
        self.models: set[str] = set()
        self.named_models: set[str] = set()
        """Items of named providers before the models that calls name. They count where OpenAI's SDK asks the gateway."""
        self.services = ServiceCalls(evaluator)

    def read(self) -> None:
        """Look at every call of the script."""
        for call, scope in self._index.calls:
            # All possible functions count: a permission that is missing breaks a run, and one
            # too many is shown to a person.
            for callee in self._evaluator.callees(call, scope):
                self._of_callee(callee, call, scope)
            self._passed_function(call, scope)
            self._note_named(call, scope)

    def _note_named(self, call: ast.Call, scope: NameScope) -> None:
        """`model="groq/llama-3.3-70b-versatile"` asks Groq."""
        if any(keyword.arg == "model" for keyword in call.keywords):
            models = constants(self._evaluator.argument(call, scope, None, ("model",)))
            names = {model.partition("/")[0] for model in models if "/" in model}
            self.named_models.update(map(models_item, names & tables.NAMED_PROVIDERS))

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
            self.services.called.add("redis_coordinator")
        elif last == "SubAgent":  # it has the runtime's tools, which run whatever there is
            self.models.add("openai")
            self.services.open_lines.add(call.lineno)
            models = self._evaluator.argument(call, scope, 2, ("model",))
            if any(model.startswith(("gemini/", "google/")) for model in constants(models)):
                self.models.add("gemini")

    def _of_model(self, name: str, call: ast.Call, scope: NameScope) -> None:
        """The gateway serves these SDKs, unless they are given another address, or another key."""
        provider, keyword = tables.MODELS[name]
        passed = self._evaluator.argument(call, scope, None, (keyword, "api_base", "endpoint"))

        if passed:
            uses = self._reach(passed, call, tables.AddressArgument(None))
            # An address of the runtime itself counts as the gateway.
            named = any(_NAMED_PATH.match(path.start) for path in uses.runtime)
            if provider and not (named or uses.hosts or uses.variables or uses.open):
                self.models.add(provider)
        elif provider:
            self.models.add(provider)
            keys = self._evaluator.argument(call, scope, None, ("api_key",))
            own = {hole.env for key in texts(keys) for hole in key.holes} - _GATEWAY_KEYS
            # With a key of its own the program may go to the provider directly, past the
            # gateway.
            if own - {""}:
                self.uses.hosts.add(tables.VENDORS[provider])

    def _by_name(self, name: str, call: ast.Call, scope: NameScope) -> None:
        models = list(constants(self._evaluator.argument(call, scope, 0, (tables.MODEL_KEYWORDS[name],))))
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
            values = self._evaluator.argument(call, scope, position, (keyword,))
            self._reach(values, call, tables.AddressArgument(None), base=True)

    def _stays_inside(self, call: ast.Call, scope: NameScope) -> bool:
        """Whether a client is given an app or a mock instead of the network."""
        passed = self._evaluator.argument(call, scope, None, ("transport", "app"))
        return any(isinstance(value, InstanceValue) and _TRANSPORTS.search(value.of) for value in passed)

    def _of_instance(self, instance: InstanceValue, method: str, call: ast.Call, scope: NameScope) -> None:
        address = tables.OTHER_METHODS.get(f"{instance.of}.{method}")
        if _CLIENT.fullmatch(instance.of) and method in _RUNS:
            self.services.read(call, scope)
        elif _CLIENT.fullmatch(instance.of) and method == _DISCOVERS:
            self.services.discover(call, scope)
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
            bases = texts(self._evaluator.argument(client.call, client.scope, position, (keyword,)))
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
            self.services.read(call, scope)
        elif method == _DISCOVERS:
            self.services.discover(call, scope)
        elif method in _REQUEST_METHODS:
            position = 1 if method in {"request", "stream"} else 0
            passed = texts(self._evaluator.argument(call, scope, position, ("url",)))
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

    def _address(self, address: AddressArgument, call: ast.Call, scope: NameScope) -> Values:
        values = self._evaluator.argument(call, scope, address.position, address.keywords)
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
        """`/openai/…` and `/providers/groq/…` are providers; any other path may be a service's."""
        first = path.start.partition("?")[0].split("/")[1:2]
        if named := _NAMED_PATH.match(path.start):
            if named[1]:
                self.models.add(models_item(named[1]))
            else:
                # Which provider it is, is known only when it runs.
                self.services.open_lines.add(call.lineno)
        elif first and first[0] in tables.VENDORS:
            self.models.add(first[0])
        else:
            self.services.request(path, call, base=base)


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
