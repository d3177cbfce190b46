"""The manifest of a script, derived from its calls and its header."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, cast

from codewords_mcp.runtime.model.code_difference import program_lines
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.model.host_names import parse_host_entry
from codewords_mcp.runtime.model.manifest import (
    ANY_ACTION,
    ANY_TOOL,
    OWN_CHROME,
    PAGE_SERVICES,
    Manifest,
    StoredSecret,
    account_item,
    covers,
    models_item,
)
from codewords_mcp.runtime.model.service_operations import declared_item, service_of
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.analysis import hosts, tables
from codewords_mcp.runtime.workflows.analysis.accounts import accounts_of
from codewords_mcp.runtime.workflows.analysis.calls import Calls
from codewords_mcp.runtime.workflows.analysis.evaluate import Evaluator
from codewords_mcp.runtime.workflows.analysis.scopes import ScriptIndex, index
from codewords_mcp.runtime.workflows.analysis.service_calls import ServiceCalls
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.variables import PROVIDED

HOSTS_FIX = 'Under # [tool.codewords]: # hosts = ["api.example.com"]'
_MAX_SHOWN = 5
_PROVIDER_KEYS = {
    "OPENAI_API_KEY": ("openai", "OPENAI_BASE_URL"),
    "ANTHROPIC_API_KEY": ("anthropic", "ANTHROPIC_BASE_URL"),
    "GEMINI_API_KEY": ("gemini", "GOOGLE_GEMINI_BASE_URL"),
    "GOOGLE_API_KEY": ("gemini", "GOOGLE_GEMINI_BASE_URL"),
}
"""Variables that the runtime fills with a key for its gateway, unless the address beside them is declared too."""
_CALLED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
"""The form of a service's name or a workflow's id."""
_DAYS_AND_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|MON|TUE|WED|THU|FRI|SAT|SUN"
_FIELD = rf"(?:[0-9*/,#?LW-]|{_DAYS_AND_MONTHS})+"
_PROVIDER_ITEM = re.compile(r"([a-z][a-z0-9_-]{0,31}): ?(account|models)")
"""A model provider that a header names: its models, or its account."""
_CRON = re.compile(
    rf"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)|{_FIELD}(?: {_FIELD}){{4,5}}"
    r"|\d{4}-\d\d-\d\d(?:[T ][0-9:.+Z-]{1,20})?",
    re.IGNORECASE,
)
_ACTION = re.compile(
    r"[a-z0-9_-]{1,80}: (?:any action|[A-Za-z0-9_-]{1,100})(?: \(writes\))?|any app: [A-Za-z0-9_ -]{1,100}(?: \(writes\))?"
)
_TOOL = re.compile(
    r"(?:mcp_[a-z0-9_]{1,40}|any MCP server): (?:any tool|[A-Za-z0-9_.\-/]{1,128}) \(may write\)"
)
_MCP_SERVICE = frozenset({"mcp", "mcp: call"})
_MAX_CRON = 80
_LATER = "at times made while it runs"


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """A manifest, and notes for a person on its derivation."""

    manifest: Manifest
    notes: tuple[Check, ...] = ()


@dataclass(slots=True)
class _Header:
    """Declarations of the header."""

    secrets: list[StoredSecret] = field(default_factory=list[StoredSecret])
    models: set[str] = field(default_factory=set[str])
    hosts: frozenset[str] | None = None
    only: frozenset[str] | None = None
    services: frozenset[str] | None = None


def derive(script: Script, *, rules: Mapping[str, Iterable[str]] | None = None) -> AnalysisResult:
    """The permissions that the script needs. Never raises.

    `rules`: secrets that the egress proxy inserts, with their hosts. All other secrets are plain
    variables.
    """
    header = _header(script, rules or {})
    env = {variable.name: variable.default for variable in script.env}

    try:
        if script.tree is not None:
            # The variables that the runtime sets are part of the environment, so that an
            # address made of one of them is recognized.
            found = index(script.tree, dict(zip(script.modules, script.module_trees, strict=True)))
            evaluator = Evaluator(found, env | dict.fromkeys((*hosts.RUNTIME, "SERVICE_ID")), _stars(found))
            calls = Calls(evaluator, found, env)
            calls.read()
            # A part of the calls would give a manifest that is too small, which looks right and
            # isn't.
            if not evaluator.exhausted:
                return _result(script, header, calls, found)
    except RecursionError:
        # Deep code is possible in a file that a model or an attacker wrote, and is not an
        # error.
        pass

    return _unreadable(script, header)


def _header(script: Script, rules: Mapping[str, Iterable[str]]) -> _Header:
    """The header's declarations. A variable with a default counts as a secret too: a secret of its
    name may be set later.
    """
    header = _Header()
    declared = {variable.name for variable in script.env}

    for variable in script.env:
        provider, address = _PROVIDER_KEYS.get(variable.name, ("", ""))
        # With the address beside it declared, the program talks to a provider of its own.
        if variable.required and provider and address not in declared:
            header.models.add(provider)
        elif variable.name not in PROVIDED:
            # What the runtime sets itself is no secret of the owner.
            only = rules.get(variable.name)
            if only is None:
                hosts_of = None
            else:
                hosts_of = tuple(sorted(only))

            header.secrets.append(
                StoredSecret(name=variable.name, hosts=hosts_of, optional=not variable.required)
            )

    header.hosts = _hosts(script, "hosts")
    header.only = _hosts(script, "egress")
    header.services = _listed(script, "services")

    return header


def _hosts(script: Script, key: str) -> frozenset[str] | None:
    listed = _listed(script, key)
    if listed is None:
        return None
    # As the egress judges them: an address has several spellings.
    return listed & {ANY} | {parse_host_entry(item) for item in listed - {ANY}}


def _listed(script: Script, key: str) -> frozenset[str] | None:
    value: Any = script.tool.get(key)
    if value is None:
        return None
    return frozenset(str(item).strip().lower() for item in cast("list[Any]", value))


def _result(script: Script, header: _Header, calls: Calls, found: ScriptIndex) -> AnalysisResult:
    reached = set(calls.uses.hosts)
    open_lines = sorted(calls.open_lines)
    # `hosts` stands in for addresses that can't be read, and adds to those that can.
    if header.hosts is not None:
        reached |= header.hosts
    elif open_lines:
        reached.add(ANY)

    notes: list[Check] = []
    variables = calls.uses.variables
    # `egress` is the whole list: what the code names beyond it is refused, with a warning.
    if header.only is not None:
        notes += _left_out(script, reached - {ANY}, header.only)
        reached, variables = set(header.only), set[str]()

    # A secret's rule names the hosts that get its value, so these are reached in any case.
    reached |= {host for secret in header.secrets for host in secret.hosts or ()}
    services, models, workflows = _classify(calls, header)
    # The runtime starts it with a failed run's record, so a person agrees to it as to a call.
    workflows |= {str(name) for name in (script.tool.get("on_failure"),) if name}
    if "openai" in models | header.models:
        models |= calls.named_models
    models |= accounts_of(found, models | header.models)
    if calls.services.any_workflow and header.services is None:
        workflows.add(ANY)
    if header.services is None:
        service_lines = sorted(calls.services.open_lines)
    else:
        service_lines = []

    if service_lines:
        # The called service is only known at run time, and the header doesn't list the
        # services.
        services.add(ANY)
    pages = _pages(header, calls.services, services)
    declared = header.services or frozenset[str]()
    items = calls.services.operations.items(services, declared)

    if ANY in reached or header.hosts is not None:
        unread = []
    else:
        unread = _unread_packages(found)

    manifest = Manifest(
        hosts=(ANY,) if ANY in reached else _minimal(reached),
        pages=() if ANY in reached else _minimal({host for host in pages if not covers(reached, host)}),
        addresses=() if ANY in reached else tuple(sorted(variables)),
        open_lines=tuple(open_lines) if ANY in reached else (),
        models=tuple(sorted(models | header.models)),
        # Schedules have lines of their own in the manifest, with their times.
        services=tuple(sorted(items - {"schedule_runs"})),
        recipients=_recipients(script, calls.services, services),
        browsers=tuple(sorted(services.intersection(OWN_CHROME))),
        workflows=tuple(sorted(workflows)),
        service_lines=tuple(service_lines),
        schedules=_schedules(calls.services, services),
        actions=_actions(calls.services, header),
        connections=script.connections,
        secrets=tuple(sorted(header.secrets, key=attrgetter("name"))),
        unread=tuple(name for name, _ in unread),
    )
    if ANY in reached and open_lines:
        notes.append(_open_address_note(open_lines))
    notes += calls.services.operations.notes(items, declared)
    notes += [_unread_note(name, line) for name, line in unread[:_MAX_SHOWN]]
    return AnalysisResult(manifest, tuple(notes))


def _classify(calls: Calls, header: _Header) -> tuple[set[str], set[str], set[str]]:
    """(library services, model providers, workflows) that are called, by the code or the header's word."""
    called = calls.services.called | {_whole_name(name) for name in header.services or ()}
    declared = {name: match for name in called if (match := _PROVIDER_ITEM.fullmatch(name))}
    called = called - declared.keys()
    named = called & tables.NAMED_PROVIDERS
    called = called - named
    models = called & tables.VENDORS.keys() | set(map(models_item, named)) | calls.models
    for match in declared.values():
        models.add(models_item(match[1]) if match[2] == "models" else account_item(match[1]))
    services = {name for name in called if name in tables.SERVICES or name == ANY}
    workflows = called - models - services
    named = {name for name in workflows if _CALLED.fullmatch(name)}
    if named != workflows:  # no id: what is called is known only when it runs
        services.add(ANY)
    return services, models, named


def _whole_name(declared: str) -> str:
    """The service of a declared operation; anything else as it is."""
    if declared_item(declared):
        return service_of(declared)
    return declared


def _pages(header: _Header, calls: ServiceCalls, services: set[str]) -> set[str]:
    """Hosts beyond `hosts` for services that read pages. A list of hosts in the header closes the
    set.
    """
    if header.only is not None:
        return set()
    # Declared in the header, but without a call that shows the pages: any page is possible.
    unseen = services.intersection({ANY, *PAGE_SERVICES}) - calls.page_callers
    if header.hosts is None and (calls.any_page or unseen):
        return {ANY}
    return set(calls.pages)


def _recipients(script: Script, calls: ServiceCalls, services: set[str]) -> tuple[str, ...]:
    """People to whom questions are sent. The header may list the service without a call that shows them."""
    tree = script.whole_tree
    if "approvals" not in services or tree is None:
        return ()
    if "approvals" not in calls.called:
        calls.recipients.is_open = True
    return tuple(sorted(calls.recipients.of(tree)))


def _schedules(calls: ServiceCalls, services: set[str]) -> tuple[str, ...]:
    """The times in the code. A text that is no cron line is only known at run time."""
    # Shown to a person who consents, so only the form of a time gets through, not free text.
    crons = {cron for cron in calls.crons if len(cron) <= _MAX_CRON and _CRON.fullmatch(cron)}
    if crons != set(calls.crons) or (not crons and "schedule_runs" in services):
        crons.add(_LATER)
    return tuple(sorted(crons))


def _actions(calls: ServiceCalls, header: _Header) -> tuple[str, ...]:
    """Actions of integrations in the code. Any action if the header lists the service itself."""
    # A text that is no name counts as any: it comes from the code of somebody who wants the consent.
    actions, tools = calls.actions, calls.tools
    if "pipedream" in (header.services or ()) or not all(map(_ACTION.fullmatch, actions)):
        actions = {ANY_ACTION}
    if _MCP_SERVICE & set(header.services or ()) or not all(map(_TOOL.fullmatch, tools)):
        tools = {ANY_TOOL}
    return tuple(sorted(actions | tools))


def _minimal(found: set[str]) -> tuple[str, ...]:
    """Without hosts that a pattern among them covers."""
    return tuple(sorted(host for host in found if not covers(found - {host}, host)))


def _unread_packages(found: ScriptIndex) -> list[tuple[str, int]]:
    """(package, line) of imports that are neither in the standard library nor in our tables."""
    known = {
        name.partition(".")[0]
        for name in (*tables.CALLS, *tables.SDKS, *tables.MODELS, *tables.CLIENTS, *tables.MODEL_KEYWORDS)
    }
    packages: dict[str, int] = {}

    for module, line in found.imports.items():
        top = module.partition(".")[0]
        if top in found.shared_tops:
            continue
        if top not in known | tables.OFFLINE_PACKAGES and top not in sys.stdlib_module_names:
            packages.setdefault(top, line)

    return sorted(packages.items())


def _stars(found: ScriptIndex) -> dict[str, str]:
    """Names bound by wildcard imports of known packages."""
    known = [*tables.CALLS, *tables.CLIENTS, *tables.MODELS, "codewords_client.AsyncCodewordsClient"]
    known += ["codewords_client.CodewordsClient", "codewords_client.redis_client", "os.environ", "os.getenv"]
    return {
        name.removeprefix(f"{module}."): name
        for module in found.wildcards
        for name in known
        # `*` binds the direct names of a module only.
        if name.startswith(f"{module}.") and "." not in name.removeprefix(f"{module}.")
    }


def _unreadable(script: Script, header: _Header) -> AnalysisResult:
    """The result for code that is too large, too deep or of a newer Python: every host and service."""
    if header.only is None:
        reached = header.hosts
    else:
        reached = header.only

    declared = header.services
    if declared is not None:
        declared = frozenset(declared_item(name) or name for name in declared)
    manifest = Manifest(
        hosts=(ANY,) if reached is None else tuple(sorted(reached)),
        models=tuple(sorted(header.models)),
        services=(ANY,) if declared is None else tuple(sorted(declared)),
        recipients=(ANY,) if "approvals" in (declared or ()) else (),
        browsers=tuple(sorted((declared or frozenset()).intersection(OWN_CHROME))),
        connections=script.connections,
        secrets=tuple(header.secrets),
    )
    message = "The code cannot be followed here (too large, or of a newer Python), so it asks for any host and service."
    return AnalysisResult(manifest, (Check(id="reach", status="note", message=message, fix=HOSTS_FIX),))


def _open_address_note(lines: list[int]) -> Check:
    if len(lines) > 1:
        several = f" ({len(lines)} calls)"
    else:
        several = ""

    return Check(
        id="reach",
        status="note",
        line=lines[0],
        message=f"The address is only known when this runs{several}, so the workflow asks for any host of the internet.",
        fix=f"Where the hosts are known, list them. {HOSTS_FIX}",
    )


def _unread_note(name: str, line: int) -> Check:
    return Check(
        id="reach",
        status="note",
        line=line,
        message=f"What `{name[:60]}` connects to cannot be read here; it reaches no host that the manifest does not list.",
        fix=f"If it needs some, list them. {HOSTS_FIX}",
    )


def _left_out(script: Script, reached: set[str], only: frozenset[str]) -> list[Check]:
    missing = sorted(host for host in reached if not covers(only, host))
    if not missing:
        return []

    lines = program_lines(script.code)
    line = next((n for n, text in enumerate(lines, 1) if text.startswith("#") and "egress" in text), None)
    return [
        Check(
            id="reach",
            status="warning",
            line=line,
            message=f"`egress` leaves out {', '.join(missing[:_MAX_SHOWN])}, which the code asks; those calls will be refused.",
            fix="Add them to `egress`, or remove it: the manifest then lists what the code names.",
        )
    ]
