"""Declarations of a header: its Python, packages, variables, connections and options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from codewords_mcp.errors import InvalidInput, InvalidScript
from codewords_mcp.runtime.model.answer_fields import MAX_FIELDS, TYPES, is_field
from codewords_mcp.runtime.model.host_names import parse_host_entry
from codewords_mcp.runtime.model.manifest import WORKFLOW_ID
from codewords_mcp.runtime.model.service_operations import OPERATIONS, declared_item, item_of
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.model.workflow_header import MAX_RETRIES, HeaderOptions
from codewords_mcp.runtime.workflows.header import Header
from codewords_mcp.runtime.workflows.model_calls import check_model_calls
from codewords_mcp.runtime.workflows.resources import resource_fault

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONNECTION = re.compile(r"PIPEDREAM_([A-Z0-9_]+)_ACCESS")
_TOP_LEVEL = frozenset({"dependencies", "requires-python", "tool"})
_NUMBERS = {
    "concurrency": (
        1,
        1000,
        "It is how many runs there may be at once (of each instance, if they share them): `# concurrency = 4`.",
    ),
    "queue_limit": (
        0,
        1_000_000,
        "It is how many of its runs may wait before more are turned away, for example `# queue_limit = 100`.",
    ),
    "timeout": (
        1,
        86400,
        "It is how many seconds a background run may take, for example `# timeout = 3600`.",
    ),
}
"""key → minimum, maximum, explanation."""
_CODEWORDS_KEYS = frozenset(HeaderOptions.model_fields)
_RECORDED = ("all", "failures", "off")
_SERVICE = re.compile(r"[a-z0-9_]{1,80}|[a-z][a-z0-9_-]{0,31}: (account|models)")
_OPERATION = re.compile(r"([a-z0-9_]{1,80}): ?([a-z0-9_/*-]{1,80})")
_MAX_ENTRIES = 500
_NOT_AN_INDEX = ("-", ".", "/", "~", "git+", "http:", "https:", "file:")
_INDEX_ONLY = "only packages of the index can be installed"
_ENV_FORM = 'Each entry is "NAME=value" for a default or "NAME" for one that must be set.'


@dataclass(frozen=True, slots=True)
class EnvVar:
    """A variable that the header declares: with a default, or required."""

    name: str
    default: str | None
    required: bool


def requires_python(header: Header) -> SpecifierSet:
    """The Python versions that the script accepts; empty for any. Raises InvalidScript."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    value = header.data.get("requires-python", "")
    try:
        if isinstance(value, str):
            return SpecifierSet(value)
    except InvalidSpecifier:
        pass

    line = header.line_of("requires-python")
    raise _invalid(
        f"`requires-python` on line {line} is not a version specifier.",
        hint='Write it as `# requires-python = ">=3.11,<3.14"` or `"==3.11.*"`.',
        line=line,
    )


def newest_minor(requires: SpecifierSet) -> int | None:
    """The newest minor release of Python 3 that a specifier accepts; None where it accepts none from 3.8 to 3.30."""
    from packaging.version import Version

    # `.20` stands for a late patch release, for specifiers such as `>=3.11.4`.
    releases = {Version(f"3.{minor}.{patch}") for minor in range(8, 31) for patch in (0, 20)}
    named = {Version(each.version.removesuffix(".*")) for each in requires}
    accepted = (each.minor for each in releases | named if each.major == 3 and requires.contains(each))
    return max(accepted, default=None)


def dependencies(header: Header) -> tuple[str, ...]:
    """Normalized requirements, in the header's order. Raises InvalidScript with the line of the
    first invalid one.
    """
    entries = _strings(header, header.data.get("dependencies", []), "dependencies")
    return tuple(_dependency(header, number, entry) for number, entry in enumerate(entries, start=1))


def environment_variables(header: Header) -> tuple[tuple[EnvVar, ...], tuple[str, ...], list[Check]]:
    """(variables, app slugs of connections, notes). Raises InvalidScript for a name that is
    impossible in an environment.
    """
    declared: dict[str, EnvVar] = {}
    connections: dict[str, None] = {}
    notes: list[Check] = []

    for entry in _strings(header, header.tool("env-checker").get("env_vars", []), "env_vars"):
        variable = _variable(entry)
        if variable is None:
            line = _line_of_entry(header, entry, "env_vars")
            message = f"A variable on line {line} has a name or a value that no environment can hold."
            raise _invalid(message, hint=_ENV_FORM, line=line)

        if connection := _CONNECTION.fullmatch(variable.name):
            connections[connection[1].lower()] = None
            continue

        if variable.name in declared:
            line = _line_of_entry(header, entry, "env_vars")
            notes.append(_note(f"{variable.name} is declared twice; the last one counts.", line))

        declared[variable.name] = variable

    return tuple(declared.values()), tuple(connections), notes


def tool(header: Header) -> tuple[Mapping[str, Any], list[Check]]:
    """(`[tool.codewords]`, notes on keys without effect). Raises InvalidScript for an invalid
    value.
    """
    table = header.tool("codewords")
    if table.get("client", "ours") not in ("ours", "pypi"):
        line = header.line_of("client")
        raise _invalid(
            f'`client` on line {line} is neither "ours" nor "pypi".',
            hint='Leave it out for the runtime\'s own client, or write `# client = "pypi"`.',
            line=line,
        )

    _check_tool(header, table)
    notes = [
        _note(f"`{key[:40]}` in [tool.codewords] is not known and does nothing.", header.line_of(key))
        for key in _unknown(table, _CODEWORDS_KEYS)
    ]
    return MappingProxyType(dict(table)), notes


def _check_tool(header: Header, table: Mapping[str, Any]) -> None:
    _check_lists(header, table)
    if table.get("isolation", "execution") not in ("execution", "instance"):
        raise _invalid(
            '`isolation` in [tool.codewords] is neither "execution" nor "instance".',
            hint='Leave it out for a sandbox per run, or write `# isolation = "instance"` for one that serves many.',
            line=header.line_of("isolation"),
        )
    if table.get("record", "all") not in _RECORDED:
        raise _invalid(
            '`record` in [tool.codewords] is neither "all" nor "failures" nor "off".',
            hint='Leave it out for the setting of the home, or write `# record = "off"` to have no run recorded.',
            line=header.line_of("record"),
        )
    on_failure = table.get("on_failure")
    if on_failure is not None and not (isinstance(on_failure, str) and WORKFLOW_ID.fullmatch(on_failure)):
        raise _invalid(
            "`on_failure` in [tool.codewords] is not the id of a workflow.",
            hint='Write the id of the workflow that gets the record of a failed run: `# on_failure = "tell_0a1b2c3d"`.',
            line=header.line_of("on_failure"),
        )
    if not isinstance(table.get("example", {}), dict):
        raise _invalid(
            "`example` in [tool.codewords] is not a table.",
            hint='It is an input that the workflow answers, for example `# example = {name = "Ada"}`.',
            line=header.line_of("example"),
        )
    expect = _items(table.get("expect", []))
    if len(expect) > MAX_FIELDS or not all(map(is_field, expect)):
        raise _invalid(
            "`expect` in [tool.codewords] is not a list of fields of the answer with their types.",
            hint='Write for example `# expect = ["$.total: number", "$.rows[0].name: string or null"]`. The types are '
            f"{', '.join(TYPES)}.",
            line=header.line_of("expect"),
        )
    if not isinstance(table.get("snapshot", False), bool):
        raise _invalid(
            "`snapshot` in [tool.codewords] is neither true nor false.",
            hint="Write `# snapshot = true` to have runs start from a snapshot that was taken after the imports.",
            line=header.line_of("snapshot"),
        )
    if not isinstance(table.get("inspect", False), bool):
        raise _invalid(
            "`inspect` in [tool.codewords] is neither true nor false.",
            hint="Write `# inspect = true` to have what goes to any host by TLS looked at for placeholders of secrets.",
            line=header.line_of("inspect"),
        )

    for key, (minimum, maximum, hint) in _NUMBERS.items():
        value = table.get(key, minimum)
        # bool is an int in Python: `concurrency = true` would be 1.
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise _invalid(
                f"`{key}` in [tool.codewords] is not a whole number from {minimum} to {maximum}.",
                hint=hint,
                line=header.line_of(key),
            )

    if fault := resource_fault(table):
        key, message, hint = fault
        raise _invalid(message, hint=hint, line=header.line_of(f"{key} ", f"{key}="))
    _check_retries(header, table.get("retries", 0))
    check_model_calls(header, table)


def _check_retries(header: Header, value: Any) -> None:
    count = value
    if isinstance(value, dict):
        options = cast("dict[str, Any]", value)
        if not options.keys() <= {"count", "resume"} or not isinstance(options.get("resume", False), bool):
            raise _invalid(
                "`retries` in [tool.codewords] has other parts than `count` and `resume`, or `resume` is neither true nor false.",
                hint="Write `# retries = {count = 3, resume = true}` for attempts that go on from the one before.",
                line=header.line_of("retries"),
            )
        count = options.get("count", 0)
    # bool is an int in Python: `retries = true` would be 1.
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_RETRIES:
        raise _invalid(
            f"`retries` in [tool.codewords] is not a whole number from 0 to {MAX_RETRIES}.",
            hint="It is how often a background run that failed is tried again, for example `# retries = 3`.",
            line=header.line_of("retries"),
        )


def _check_lists(header: Header, table: Mapping[str, Any]) -> None:
    for key, example in (("egress", "`# egress = []` for none"), ("hosts", '`# hosts = ["*"]` for any')):
        for host in _items(table.get(key, [])):
            # `egress = ["*"]` would be the same as no list, and reads like a limit.
            if (host, key) == ("*", "hosts"):
                continue
            if not isinstance(host, str) or host == "*":
                raise _invalid(
                    f"`{key}` in [tool.codewords] is not a list of hosts.",
                    hint=f'Write for example `# {key} = ["api.github.com", "*.example.com"]`, or {example}.',
                    line=header.line_of(f"{key} ", f"{key}="),
                )
            _check_host(header, key, host)
    _check_services(header, _items(table.get("services", [])))


def _check_host(header: Header, key: str, entry: str) -> None:
    try:
        parse_host_entry(entry)
    except InvalidInput as error:
        line = _line_of_entry(header, entry, key)
        raise InvalidScript(
            f"`{key}` on line {line}: {error.message}",
            hint=error.hint,
            line=line,
            column=header.lines[line - header.first_line - 1].find(entry) + 1 or 1,
        ) from None


def _check_services(header: Header, items: list[Any]) -> None:
    for item in items:
        if isinstance(item, str):
            match = _OPERATION.fullmatch(item)
        else:
            match = None

        if match is None or _SERVICE.fullmatch(item) or declared_item(item):
            continue

        known = ", ".join(
            f'"{item_of(match[1], operation.name)}"' for operation in OPERATIONS.get(match[1], ())
        )
        if known:
            hint = f"The service has {known}."
        else:
            hint = "Name the service, or a workflow, without an operation."

        raise _invalid(
            "`services` in [tool.codewords] names an operation that there is not.",
            hint=hint,
            line=header.line_of("services"),
        )

    if not all(isinstance(item, str) and (_SERVICE.fullmatch(item) or declared_item(item)) for item in items):
        raise _invalid(
            "`services` in [tool.codewords] is not a list of services and workflow ids.",
            hint='Write for example `# services = ["openai", "github: readme", "daily_report_0a1b2c3d"]`.',
            line=header.line_of("services"),
        )


def _items(value: Any) -> list[Any]:
    """The list; any other value counts as one invalid item."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [None]


def unknown_keys(header: Header) -> list[Check]:
    """Notes on harmless defects of a header."""
    notes = [
        _note(f"`{key[:40]}` is not a key of a PEP 723 header and does nothing.", header.line_of(key))
        for key in _unknown(header.data, _TOP_LEVEL)
    ]
    if "uv" in header.data.get("tool", {}):
        message = "[tool.uv] is not read: packages come from the runtime's index only."
        notes.append(_note(message, header.line_of("tool.uv")))

    if "requires-python" not in header.data:
        message = "`requires-python` is missing; the runtime's own Python is taken."
        notes.append(_note(message, header.first_line, fix='# requires-python = ">=3.11,<3.14"'))

    return notes


def _unknown(table: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """The first ten unknown keys: nobody reads hundreds of notes."""
    return [key for key in table if key not in known][:10]


def _dependency(header: Header, number: int, entry: str) -> str:
    # Options, paths and addresses would have uv run code from outside of the index on the host.
    if entry.lstrip().startswith(_NOT_AN_INDEX):
        line = _line_of_entry(header, entry, "dependencies")
        raise _invalid(
            f"Dependency {number} on line {line} is an option, a path or an address; {_INDEX_ONLY}.",
            hint='Name the package and its version, as in `"httpx==0.28.1"`.',
            line=line,
        )

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(entry)
        # PEP 503: equal requirements must give an equal environment, however they are spelled.
        requirement.name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        normalized = str(requirement)
        # `packaging` writes a quote or a backslash of a marker as it is, and so what it cannot read again.
        if str(Requirement(normalized)) != normalized:
            raise InvalidRequirement(entry)
    except (InvalidRequirement, RecursionError):
        # `packaging` parses markers recursively.
        line = _line_of_entry(header, entry, "dependencies")
        raise _invalid(
            f"Dependency {number} on line {line} is not a requirement that PEP 508 knows.",
            hint='Write it as `"name==1.2.3"`, `"name>=1.2,<2"` or `"name[extra]==1.2.3"`.',
            line=line,
        ) from None

    if requirement.url is not None:
        line = _line_of_entry(header, entry, "dependencies")
        raise _invalid(
            f"Dependency {number} on line {line} ({requirement.name}) comes from an address; {_INDEX_ONLY}.",
            hint=f'Write it as `"{requirement.name}==<version>"`.',
            line=line,
        )

    # escapes in a marker become characters: a newline would begin another line of uv's requirements file
    if not normalized.isprintable():
        line = _line_of_entry(header, entry, "dependencies")
        raise _invalid(
            f"Dependency {number} on line {line} ({requirement.name}) holds a control character.",
            hint="Leave the character out of its marker.",
            line=line,
        )

    return normalized


def _variable(entry: str) -> EnvVar | None:
    name, has_default, default = entry.partition("=")
    if not _ENV_NAME.fullmatch(name.strip()) or "\0" in default:
        return None
    return EnvVar(name.strip(), default.strip() if has_default else None, required=not has_default)


def _strings(header: Header, value: object, key: str) -> list[str]:
    """The list of strings under a key. Raises InvalidScript for any other value."""
    line = header.line_of(f"{key} ", f"{key}=")
    if isinstance(value, list):
        items = cast("list[object]", value)
    else:
        items = [None]

    strings = [item for item in items if isinstance(item, str)]
    if len(strings) < len(items):
        hint = f'Write it as `# {key} = ["…", "…"]`.'
        raise _invalid(f"`{key}` on line {line} must be a list of strings.", hint=hint, line=line)
    if len(strings) > _MAX_ENTRIES:
        hint = f"Leave out what the script does not need; {_MAX_ENTRIES} are allowed."
        raise _invalid(f"`{key}` on line {line} has {len(strings)} entries.", hint=hint, line=line)

    return strings


def _line_of_entry(header: Header, entry: str, key: str) -> int:
    # TOML gives no positions, so the line is found by its text, the most exact form first.
    return header.line_of(f'"{entry}"', f"'{entry}'", entry, key)


def _invalid(message: str, *, hint: str, line: int) -> InvalidScript:
    return InvalidScript(message, hint=hint, line=line, column=1)


def _note(message: str, line: int, fix: str | None = None) -> Check:
    return Check(id="header", status="note", message=message, line=line, fix=fix)
