"""Make the tables of this folder's pages, and the table of services that the model has, from the code.

`python docs/reference/generate.py`. Each page is written by hand around one generated part, between
`<!-- generated -->` and `<!-- end -->`. The table of services is generated whole.
With `--check` nothing is written, and the exit code is 1 when a page is not what the code says.
"""  # noqa: INP001

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
EXTENSION = HERE.parents[1] / "editors" / "vscode" / "schemas"
BEGIN, END = "<!-- generated -->", "<!-- end -->"


def cli() -> str:
    """Every command of both programs with its arguments and options."""
    import typer

    from codewords_mcp.cli import app

    parts: list[str] = []
    for program, tree in (("codewords", app.codewords), ("codewords-mcp", app.codewords_mcp)):
        parts += _commands(typer.main.get_command(tree), program)
    return "\n".join(parts)


def _commands(command: Any, path: str) -> Iterator[str]:
    children: dict[str, Any] = {
        name: child for name, child in getattr(command, "commands", {}).items() if not child.hidden
    }
    yield f"## `{_usage(command, path)}`\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        yield _table(["", "", "default"], rows)
    for name, child in children.items():
        yield from _commands(child, f"{path} {name}")


def _usage(command: Any, path: str) -> str:
    if getattr(command, "commands", None):
        return f"{path} COMMAND"
    words = [path]
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = _argument(parameter)
            words.append(name if parameter.required else f"[{name}]")
    return " ".join(words)


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).strip("{}[]")


def _parameter(parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [
            f"`{_argument(parameter)}`",
            parameter.help or "",
            "" if not parameter.required else "required",
        ]
    flags = ", ".join(f"`{flag}`" for flag in sorted(parameter.opts, key=len, reverse=True))
    value = "" if parameter.is_flag else f" `{parameter.metavar or parameter.name.upper()}`"
    default = parameter.default
    shown = "" if default in (None, False, "", ()) else f"`{getattr(default, 'value', default)}`"
    return [flags + value, parameter.help or "", shown]


def settings() -> str:
    """Every setting with type, default and meaning."""
    from codewords_mcp.settings import Settings

    rows = [
        [
            f"`CODEWORDS_{name.upper()}`",
            _type(field.annotation),
            _default(name, field),
            field.description or "",
        ]
        for name, field in Settings.model_fields.items()
    ]
    return _table(["variable", "takes", "default", "what it is"], rows)


def _type(annotation: Any) -> str:
    if values := [value for value in get_args(annotation) if isinstance(value, str)]:
        return " or ".join(f"`{value}`" for value in values)
    names = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text", Path: "path"}
    options = [option for option in get_args(annotation) if option in names]
    if annotation in names:
        return names[annotation]
    return names[options[0]] if options and "list" not in str(annotation) else "JSON list of texts"


def _default(name: str, field: Any) -> str:
    if name == "home":
        return "`codewords` in the user data folder (`~/.local/share` on Linux)"
    value = field.default_factory() if field.default_factory else field.default
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" + _sized(value)
    return f"`{value}`"


def _sized(value: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if value >= size and value % size == 0:
            return f" ({value // size} {unit})"
    return ""


_UNFORESEEN = "Something that nobody foresaw; the runtime's log has it under the id in the message."


_PROGRAM = {
    "program_exited": "The workflow's program ended before it answered; its log has its last words.",
    "program_no_port": "The workflow's program did not open `PORT` in time.",
    "program_wrong_port": "The workflow's program listens, but not on `PORT`.",
    "program_out_of_memory": "The workflow's program passed its memory limit.",
    "program_disk_full": "The workflow's program passed its disk limit.",
    "program_bad_reply": "What the workflow's program answered is not HTTP, or broke off.",
}


def errors() -> str:
    """Every error code with HTTP status, the commands' exit code, origin and meaning."""
    from codewords_mcp.cli._boundary import exit_code
    from codewords_mcp.errors import CodewordsError, ProgramFailed, ProgramFailure

    rows: list[list[str]] = []
    for kind in _error_classes(CodewordsError):
        codes = get_args(ProgramFailure) if kind is ProgramFailed else (kind.code,)
        for code in codes:
            sample = kind.__new__(kind)
            sample.code = code
            said = _UNFORESEEN if kind is CodewordsError else (kind.__doc__ or "").split("\n\n")[0]
            meaning = _PROGRAM[code] if kind is ProgramFailed else said
            rows.append([f"`{code}`", str(kind.status), str(exit_code(sample)), kind.origin, meaning])
    return _table(["code", "HTTP status", "exit code", "origin", "what it means"], sorted(rows))


def _error_classes(base: Any) -> list[Any]:
    """One class a code; where a front door names the base's code again, the base's own words count."""
    _import_doors()
    found: dict[str, Any] = {}
    waiting = [base]
    while waiting:
        kind = waiting.pop(0)
        waiting += kind.__subclasses__()
        if kind.__name__ not in {
            "RemoteError",
            "HttpInternalError",
            "McpInternalError",
        }:  # any of these codes, and the base's own
            found.setdefault(kind.__name__ if kind.code == base.code else kind.code, kind)
    return list(found.values())


def _import_doors() -> None:
    """The doors, integrations and webhooks have a few errors of their own; every other room uses errors.py."""
    for module in (
        "http.app",
        "mcp_server.tool_errors",
        "mcp_server.errors",
        "mcp_server.confirmation",
        "runtime.integrations.errors",
    ):
        importlib.import_module(f"codewords_mcp.{module}")


def tools() -> str:
    """Every tool of the MCP server with its arguments."""
    from codewords_mcp.tools import all_tools

    parts: list[str] = []
    for tool in all_tools():
        kind = "reads" if tool.annotations and tool.annotations.read_only_hint else "acts"
        parts.append(f"## `{tool.name}`\n\n{tool.description} ({kind})\n")
        rows = list(_arguments(tool.parameters))
        if rows:
            parts.append(_table(["argument", "type", "default", "what it is"], rows))
    return "\n".join(parts)


def _arguments(schema: dict[str, Any]) -> Iterator[list[str]]:
    required = schema.get("required", [])
    for name, argument in schema.get("properties", {}).items():
        default = f"`{argument['default']}`" if "default" in argument else ""
        yield [
            f"`{name}`",
            _schema_type(argument),
            "required" if name in required else default,
            argument.get("description", ""),
        ]


def _schema_type(schema: dict[str, Any]) -> str:
    if values := schema.get("enum"):
        return " or ".join(f"`{value}`" for value in values)
    return str(schema.get("type", "any JSON"))


_KEYS = {
    "open": "none",
    "page": "a person's session",
    "run": "any",
    "user": "a person's",
    "admin": "admin",
    "owner": "owner's key",
}


def http() -> str:
    """Every route by subject."""
    from codewords_mcp.http import app

    subjects: dict[str, list[list[str]]] = {}
    for operation in app.operations():
        key = _KEYS[operation.rule.level]
        what = f"{operation.summary}. {operation.description}".strip().rstrip(".") + "."
        method = "any" if operation.method == "*" else operation.method
        subjects.setdefault(operation.tag, []).append([f"`{method} {operation.path}`", key, what])
    headers = ["route", "key", "what it does"]
    return "\n".join(f"## {tag.capitalize()}\n\n{_table(headers, rows)}" for tag, rows in subjects.items())


def services() -> str:
    """Every library service with its operations, their fields and its credentials."""
    from codewords_mcp.runtime.model.service_operations import OPERATIONS, item_of, operation_name
    from codewords_mcp.runtime.services.describe import describe
    from codewords_mcp.runtime.services.registry import Registry

    parts: list[str] = []
    for service in map(describe, Registry({}).all()):
        parts.append(f"## `{service.name}`\n\n{service.summary}\n")
        for one in service.operations:
            also = f" (also {', '.join(f'`{alias}`' for alias in one.aliases)})" if one.aliases else ""
            name = operation_name((one.path.strip("/"), *(alias.strip("/") for alias in one.aliases)))
            listed = f" In a manifest: `{item_of(service.name, name)}`." if service.name in OPERATIONS else ""
            reads = "; with some inputs it only reads" if one.reads_sometimes else ""
            parts.append(
                f"### `{service.name} {one.path}`\n\n{one.summary}{also}. Effect: **{one.effect}**{reads}.{listed}\n"
            )
            rows = [
                [f"`{name}`", *_described(field), "required" if name in one.input.get("required", []) else ""]
                for name, field in one.input.get("properties", {}).items()
            ]
            if rows:
                parts.append(_table(["field", "type", "what it is", ""], rows))
            answers = ", ".join(f"`{name}`" for name in one.output.get("properties", {}))
            parts.append(f"Answers {answers or 'what was answered'}.\n")
            if one.example is not None:
                parts.append(f"```json\n{json.dumps(one.example)}\n```\n")
        if service.credentials:
            rows = [[f"`{c.name}`", c.how, c.without or "It is needed."] for c in service.credentials]
            parts.append(_table(["credential", "how to get one", "without it"], rows))
    return "\n".join(parts)


def _described(field: dict[str, Any]) -> list[str]:
    options = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
    kinds = [_schema_type(one) if "$ref" not in one else "object" for one in options]
    return [" or ".join(dict.fromkeys(kinds)), field.get("description", "")]


def _table(headers: list[str], rows: list[list[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |\n"
        for row in lines
    )


def attacks() -> str:
    """Every probe of the attack suite, with what was last seen of it (attacks.json)."""
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.attacks.catalog import SECTIONS
    from tests.attacks.landlock import LANDLOCK, LIMITS, ROOT_LIMITS

    observed = json.loads((HERE / "attacks.json").read_text(encoding="utf-8"))
    seen: Seen = observed["probes"]
    tiers: dict[str, dict[str, str]] = observed["tiers"]
    headers = [
        "probe", "it tries", "why it matters", "expected", "seen as root", "seen as an ordinary user", "seen with Landlock",
    ]  # fmt: skip
    total = sum(len(probes) for _, probes in SECTIONS)
    results = sum(len(ways) for users in seen.values() for ways in users.values())
    whole, landlock = tiers["namespaces"], tiers["landlock"]
    parts = [
        (
            f"{total} probes, {results} results: as root in tier {whole['root']}, as an ordinary user in tier {whole['user']}, "
            f"and as both with Landlock in tier {landlock['root']}.\n"
        ),
        "## Known limits of Landlock\n\nIn tier C these probes come to something else than with namespaces:\n",
        *(f"- `{name}`: {limit.words}." for name, limit in LIMITS.items()),
        *(f"- `{name}`, where the runtime is root: {limit.words}." for name, limit in ROOT_LIMITS.items()),
        "",
    ]
    for title, probes in SECTIONS:
        rows = [
            [
                f"`{one.id}`",
                one.tries,
                one.matters,
                one.expected,
                *(_seen(_by_way(seen, one.id, who, but=LANDLOCK)) for who in ("root", "user")),
                _seen(_by_user(seen, one.id, LANDLOCK)),
            ]
            for one in probes
        ]
        parts.append(f"## {title}\n\n{_table(headers, rows)}")
    return "\n".join(parts)


Seen = dict[str, dict[str, dict[str, str]]]


def _by_way(seen: Seen, probe: str, user: str, *, but: str) -> dict[str, str]:
    """The outcomes of a probe for one user, by way of starting, without the way `but`."""
    return {way: text for way, text in seen.get(probe, {}).get(user, {}).items() if way != but}


def _by_user(seen: Seen, probe: str, way: str) -> dict[str, str]:
    """The outcomes of a probe in one way of starting, by user."""
    users = {"root": "root", "user": "ordinary user"}
    return {users[user]: ways[way] for user, ways in seen.get(probe, {}).items() if way in ways}


def _seen(outcomes: dict[str, str]) -> str:
    """Each outcome once, with the ways or users that it was seen in."""
    names: dict[str, list[str]] = {}
    for name, text in sorted(outcomes.items()):
        names.setdefault(text.replace("`", "'"), []).append(name)
    return "; ".join(f"`{text}` ({', '.join(found)})" for text, found in names.items()) or "—"


def recordings() -> str:
    """The table of what recordings do with each thing that a program can do, as the tests saw it (recordings.json)."""
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.integration.recording.matrix import COLUMNS, named_tests, passed, rows

    seen, named = passed(), named_tests()
    table = [
        [
            row.what,
            *(
                cell.word + (f": {cell.reason}" if cell.reason else "")
                for cell in map(row.cells.get, COLUMNS)
                if cell
            ),
        ]
        for row in rows()
    ]
    tests = "\n".join(f"- `{one}`" for one in named)
    count = sum(seen.get(one, 0) for one in named)
    return f"{_table(['', *COLUMNS], table)}\n\n## Tests\n\n{len(named)} tests stand behind it, run {count} times:\n\n{tests}\n"


def compatibility() -> str:
    """What each published client can do here, as the tests last saw it (compatibility.json)."""
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.compat.matrix import ROWS

    seen: dict[str, dict[str, str]] = json.loads((HERE / "compatibility.json").read_text(encoding="utf-8"))
    noted = [row for row in ROWS if row.note]
    numbers = {row.does: number for number, row in enumerate(noted, 1)}
    words = {"yes": "yes", "none": "-"}
    rows = [
        [row.does, *(words.get(one[row.does]) or f"no ({numbers[row.does]})" for one in seen.values())]
        for row in ROWS
    ]
    told = "".join(f"{numbers[row.does]}. {row.does}: {row.note}\n" for row in noted)
    return f"{_table(['', *seen], rows)}\n{told}"


def access() -> str:
    """Every operation with what each kind of caller may do, from the access table."""
    from codewords_mcp.runtime.auth.access import caller_kinds
    from codewords_mcp.runtime.auth.access_table import PUBLISHED_EXAMPLE_RULES, TABLE, service_rule
    from codewords_mcp.runtime.services.registry import Registry

    services = [
        service_rule(service.name, one.path, one.effect)
        for service in Registry({}).all()
        for one in service.operations
    ]
    rules = [*TABLE, *PUBLISHED_EXAMPLE_RULES, *services]
    kinds = caller_kinds()
    parts = [
        f"{len(rules)} operations, {len(kinds)} kinds of callers.\n",
        _table(["caller", "what it is"], [[kind.name, kind.description] for kind in kinds]),
    ]
    marks = {"allow": "yes", "deny": "no", "filtered": "part"}
    titles = {
        "http": "HTTP routes", "websocket": "Websockets", "method": "Methods of MCP", "tool": "Tools",
        "published": "Published tools", "resource": "Resources", "prompt": "Prompts", "completion": "Completions",
        "subscription": "Subscriptions", "service": "Library services",
    }  # fmt: skip
    for kind, title in titles.items():
        rows = [
            [
                f"`{rule.name}`",
                ", ".join(rule.scopes),
                rule.toolset or "",
                rule.effect,
                *(marks[one.access.outcome(rule, foreign_run=one.foreign_run)] for one in kinds),
            ]
            for rule in rules
            if rule.kind == kind
        ]
        headers = ["operation", "scopes", "toolset", "effect", *(one.name for one in kinds)]
        parts.append(f"\n## {title}\n\n{_table(headers, rows)}")
    return "\n".join(parts)


def numbers() -> str:
    """The numbers that benchmarks measured, from their results."""
    sys.path.insert(0, str(HERE.parents[1]))
    from benchmarks._drawings import drawings
    from benchmarks._page import numbers_page

    titles = {
        benchmark: {file: drawing.title for file, drawing in drawn.items()}
        for benchmark, drawn in drawings().items()
    }
    return numbers_page(titles)


def pictures() -> dict[Path, str]:
    """The drawings of the page of numbers by file."""
    sys.path.insert(0, str(HERE.parents[1]))
    from benchmarks._drawings import drawings

    return {
        HERE.parent / "images" / file: drawing.svg
        for drawn in drawings().values()
        for file, drawing in drawn.items()
    }


def modules() -> str:
    """Every module of the distribution with the first sentence of its docstring, by package."""
    import ast

    source = HERE.parents[1] / "src" / "codewords_mcp"
    packages: dict[str, list[list[str]]] = {}
    for path in sorted(source.rglob("*.py")):
        if (
            "programs" in path.parts or "versions" in path.parts
        ):  # templates and migrations, one like the other
            continue
        package = path.parent.relative_to(source.parent).as_posix()
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
        packages.setdefault(package, []).append([f"`{path.name}`", first])
    return "\n".join(f"## {name}/\n\n{_table(['module', ''], rows)}" for name, rows in packages.items())


def service_table() -> str:
    """The module of the built-in services, their credentials and operations, from the services themselves."""
    from codewords_mcp.runtime import services
    from codewords_mcp.runtime.model.service_operations import item_of
    from codewords_mcp.runtime.services.base import ReadsWhen, Service

    names = {path.stem for path in Path(services.__path__[0]).glob("[a-z]*.py")} - {
        "base",
        "describe",
        "registry",
        "service_input",
    }
    found: list[Service] = [
        importlib.import_module(f"{services.__name__}.{name}").SERVICE for name in sorted(names)
    ]
    operations = {
        service.name: tuple((one.name, one.paths, one.change) for one in service.operations)
        for service in found
        if len(service.operations) > 1
    }
    reading_services = tuple(
        service.name
        for service in found
        if service.name not in operations and all(one.effect == "reads" for one in service.operations)
    )
    reading_inputs = {
        item_of(service.name, one.name) if service.name in operations else service.name: tuple(
            one.reads_when.as_sent(one.input)
        )
        for service in found
        for one in service.operations
        if isinstance(one.reads_when, ReadsWhen)
    }
    text = TABLE_HEAD.format(
        services={service.name: service.authority() for service in found},
        operations=operations,
        reading_services=reading_services,
        reading_inputs=reading_inputs,
    )
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TABLE), "-"]
    return subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=True).stdout


TABLE = HERE.parents[1] / "src" / "codewords_mcp" / "runtime" / "model" / "service_table.py"
TABLE_HEAD = '''"""The built-in services and their operations. Generated from `services/`: `python docs/reference/generate.py`."""

from __future__ import annotations

from typing import Final, Literal

Change = Literal["", "writes", "may write"]
"""Whether a call changes or sends something: never, always, or depending on its input."""

SERVICES: Final[dict[str, str]] = {services}
"""Each a module of its name in `services/`, with the credential that it acts with, if any."""

OPERATIONS: Final[dict[str, tuple[tuple[str, tuple[str, ...], Change], ...]]] = {operations}
"""Of services with several: (name, the paths that call it, its effect)."""

READING_SERVICES: Final = frozenset({reading_services})
"""Services of one operation, which reads."""

READING_INPUTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {reading_inputs}
"""Inputs with which an operation that may write only reads: (names of a field, its values, all fields that it may have)."""
'''


def header() -> str:
    """The keys of a workflow's header, by table."""
    from codewords_mcp.runtime.model.workflow_header import HeaderOptions, HeaderVariables, WorkflowHeader

    top = [
        [f"`{field.alias or name}`", field.description or ""]
        for name, field in WorkflowHeader.model_fields.items()
        if name != "tool"
    ]
    variables = HeaderVariables.model_fields["env_vars"].description or ""
    top.append(["`[tool.env-checker] env_vars`", variables])
    rows: list[list[str]] = []
    for name, field in HeaderOptions.model_fields.items():
        extra: Any = field.json_schema_extra
        guide = f" ([guide](../guides/{extra['x-guide']}))" if "x-guide" in extra else ""
        rows.append([f"`{name}`", f"{field.description}{guide}", extra["x-without"]])
    return (
        f"{_table(['key', 'what it means'], top)}\n`[tool.codewords]` is ours and may be left out:\n\n"
        f"{_table(['key', 'value', 'without it'], rows)}"
    )


def schemas() -> dict[Path, str]:
    """The published JSON Schemas by file. The extension for VS Code has them too, since it works without our programs."""
    from codewords_mcp.runtime.model.project import project_schema
    from codewords_mcp.runtime.model.workflow_header import header_schema

    found: dict[Path, str] = {}
    for name, schema in (("codewords", project_schema()), ("header", header_schema())):
        text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        found[HERE / f"{name}.schema.json"] = text
        found[EXTENSION / f"{name}.schema.json"] = text
    return found


def stand_ins() -> str:
    """The page that tells for each stand-in by what its fidelity is known."""
    from codewords_testing.fidelity.services import SERVICES

    rows: list[list[str]] = []
    for service in SERVICES.values():
        source = service.source
        described = f"{source.text} ({source.licence})" if source else "none"
        days = HERE.parents[1] / "tests" / "live" / "recordings" / service.name / "recorded.json"
        live = max(json.loads(days.read_text(encoding="utf-8")).values()) if days.is_file() else "never"
        count = str(service.described)
        rows.append([service.title, described, service.checked, count, service.open, live])
    heads = [
        "service",
        "description",
        "what is compared",
        "operations",
        "what is not known",
        "compared with the service",
    ]
    return _table(heads, rows)


PAGES: dict[str, Callable[[], str]] = {
    "access": access,
    "cli": cli,
    "settings": settings,
    "errors": errors,
    "header": header,
    "tools": tools,
    "http-api": http,
    "services": services,
    "attacks": attacks,
    "recordings": recordings,
    "compatibility": compatibility,
    "modules": modules,
    "numbers": numbers,
    "stand-ins": stand_ins,
}


def page(name: str) -> tuple[str, str]:
    """(what the page is, what it should be). Raises ValueError where the page lacks its markers."""
    text = (HERE / f"{name}.md").read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{name}.md lacks {BEGIN} or {END}")
    return text, f"{before}{BEGIN}\n\n{PAGES[name]().strip()}\n\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Write the table and the pages, or check them."""
    check = "--check" in arguments
    table = service_table()
    if table != TABLE.read_text(encoding="utf-8"):
        if check:
            return _stale(TABLE)
        TABLE.write_text(table, encoding="utf-8")
        # The pages are made of modules that have read the old table.
        return subprocess.run([sys.executable, __file__], check=False).returncode

    pages = {HERE / f"{name}.md": page(name) for name in PAGES}
    for path, text in (schemas() | pictures()).items():
        pages[path] = (path.read_text(encoding="utf-8") if path.is_file() else "", text)
    stale = {path: wanted for path, (current, wanted) in pages.items() if current != wanted}
    for path, wanted in stale.items():
        if check:
            _stale(path)
        else:
            path.write_text(wanted, encoding="utf-8")

    return 1 if stale and check else 0


def _stale(path: Path) -> int:
    name = path.relative_to(HERE.parents[1]).as_posix()
    sys.stderr.write(f"{name} is not what the code says: python docs/reference/generate.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
