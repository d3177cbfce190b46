"""Several modules of the console as one inline script, and their styles, for a page that can load nothing.

A card of a chat host is one HTML document whose policy allows inline scripts and no requests. Each module becomes a function
that returns what it exports; what nobody uses is left out. The modules keep to few forms, which `_statements` tells from each
other: what it can't read is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codewords_mcp.console.es_modules import NotLinked, read
from codewords_mcp.console.script_text import marked, names

_DECLARED = re.compile(r"(?:(?:async\s+)?function\s*\*?|class|const|let|var)\s+([\w$]+)")
_CONTINUES = frozenset(" \t})].,;?:")


@dataclass(slots=True)
class _Statement:
    """One statement at the top of a module, and the name that it declares; "" for one that is always run."""

    text: str
    names: set[str]
    name: str = ""
    is_used: bool = False


@dataclass(slots=True)
class _Module:
    path: Path
    imports: dict[str, tuple[Path, str]] = field(default_factory=dict[str, "tuple[Path, str]"])
    exports: dict[str, str] = field(default_factory=dict[str, str])
    passed_on: dict[str, tuple[Path, str]] = field(default_factory=dict[str, "tuple[Path, str]"])
    statements: list[_Statement] = field(default_factory=list[_Statement])
    runs: list[Path] = field(default_factory=list[Path])
    later: set[Path] = field(default_factory=set[Path])
    used: set[str] = field(default_factory=set[str])
    used_imports: set[str] = field(default_factory=set[str])
    is_reached: bool = False


class Bundle:
    """The modules that an entry needs, in one script.

    `instead` maps a module to the one that takes its place, both by their paths in `folder`.
    """

    def __init__(self, folder: Path, entry: str, *, instead: Mapping[str, str] = {}) -> None:
        self._folder = folder.resolve()
        self._instead = {self._folder / name: self._folder / other for name, other in instead.items()}
        self._modules: dict[Path, _Module] = {}
        self._reach(self._folder / entry)

    def script(self) -> str:
        """The script: the modules after those that they import. Raises NotLinked."""
        order = list(self._in_order())
        names = {module.path: f"m{number}" for number, module in enumerate(order)}
        script = "".join(self._function(module, names) for module in order)
        for ends in ("</script", "<!--"):
            if ends in script.lower():
                raise NotLinked(f"The script has the text {ends}, which a page can't have in one.")
        return script

    def files(self) -> list[str]:
        """The paths of the modules in the script."""
        return [module.path.relative_to(self._folder).as_posix() for module in self._in_order()]

    def _load(self, path: Path) -> _Module:
        if path not in self._modules:
            self._modules[path] = _read(path, lambda target: self._place(path, target))
        return self._modules[path]

    def _place(self, importer: Path, target: Path) -> Path:
        """The module that another gets for a path; the one that takes its place gets itself what it stands for."""
        other = self._instead.get(target, target)
        return target if other == importer else other

    def _reach(self, path: Path) -> _Module:
        module = self._load(path)
        if module.is_reached:
            return module
        module.is_reached = True
        for target in module.runs:
            self._reach(target)
        for statement in module.statements:
            if not statement.name:
                self._use(module, statement)
        return module

    def _use(self, module: _Module, statement: _Statement) -> None:
        """Keep a statement, and all that it names."""
        if statement.is_used:
            return
        statement.is_used = True
        for other in module.statements:
            if other.name in statement.names:
                self._use(module, other)
        for local in statement.names & module.imports.keys():
            self._take(module, local)
        for target in [path for path in module.later if f"\1{path}\1" in statement.text]:
            self._reach_later(target)

    def _reach_later(self, path: Path) -> None:
        module = self._reach(path)
        for name in module.exports:
            self._need(path, name)

    def _need(self, path: Path, name: str) -> None:
        module = self._reach(path)
        if name in module.used:
            return
        module.used.add(name)
        if name in module.passed_on:
            self._need(*module.passed_on[name])
            return
        if name not in module.exports:
            raise NotLinked(f"{path.name} exports no {name}.")
        local = module.exports[name]
        if local in module.imports:
            self._take(module, local)
        for statement in module.statements:
            if statement.name == local:
                self._use(module, statement)

    def _take(self, module: _Module, local: str) -> None:
        """Keep an import."""
        if local not in module.used_imports:
            module.used_imports.add(local)
            self._need(*module.imports[local])

    def _needs(self, module: _Module) -> list[Path]:
        text = "".join(statement.text for statement in module.statements if statement.is_used)
        return [
            *module.runs,
            *(module.imports[local][0] for local in sorted(module.used_imports)),
            *(module.passed_on[name][0] for name in sorted(module.used & module.passed_on.keys())),
            *sorted(path for path in module.later if f"\1{path}\1" in text),
        ]

    def _in_order(self) -> Iterator[_Module]:
        done: set[Path] = set()

        def visit(module: _Module, above: tuple[Path, ...]) -> Iterator[_Module]:
            if module.path in above:
                raise NotLinked(f"{module.path.name} imports itself by way of {above[-1].name}.")
            if module.path in done:
                return
            for path in self._needs(module):
                yield from visit(self._modules[path], (*above, module.path))
            if module.path not in done:
                done.add(module.path)
                yield module

        for module in [one for one in self._modules.values() if one.is_reached]:
            yield from visit(module, ())

    def _function(self, module: _Module, names: Mapping[Path, str]) -> str:
        taken: dict[str, list[str]] = {}
        for local in sorted(module.used_imports):
            target, name = module.imports[local]
            taken.setdefault(names[target], []).append(_pair(name, local))
        heads = [f"const {{{', '.join(parts)}}} = {source};" for source, parts in sorted(taken.items())]
        body = "\n".join(statement.text for statement in module.statements if statement.is_used)
        for path in module.later:
            # One in a statement that was left out is in no script.
            body = body.replace(f"\1{path}\1", f"Promise.resolve({names.get(path)})")

        returned = [
            _pair(name, module.exports[name]) for name in sorted(module.used - module.passed_on.keys())
        ]
        for name in sorted(module.used & module.passed_on.keys()):
            target, inner = module.passed_on[name]
            returned.append(f"{name}: {names[target]}.{inner}")
        ends = [f"return {{{', '.join(returned)}}};"] if returned else []
        lines = "\n".join([*heads, body, *ends])
        return f"const {names[module.path]} = (() => {{\n{lines}\n}})();\n"


def _pair(name: str, other: str) -> str:
    return name if name == other else f"{name}: {other}"


def _read(path: Path, resolve: Callable[[Path], Path]) -> _Module:
    def target(address: str) -> Path:
        return resolve((path.parent / address).resolve())

    def targets(names: Mapping[str, tuple[str, str]]) -> dict[str, tuple[Path, str]]:
        return {name: (target(address), other) for name, (address, other) in names.items()}

    is_vendored = path.parent.name == "vendor"
    found = read(
        path.name,
        path.read_text(encoding="utf-8"),
        # Between control characters, which no script has, so that `_function` finds the place again.
        lambda address: f"\1{target(address)}\1",
        is_vendored=is_vendored,
    )
    code, literals = marked(found.body)
    return _Module(
        path,
        imports=targets(found.imports),
        exports=found.exports,
        passed_on=targets(found.passed_on),
        statements=[
            _Statement(literals.restore(text), names(text, literals), name)
            for text, name in _statements(code, is_whole=is_vendored)
        ],
        runs=[target(address) for address in found.runs],
        later={target(address) for address in found.later},
    )


def _statements(code: str, *, is_whole: bool) -> Iterator[tuple[str, str]]:
    """The statements at the top with their names. Each of ours begins a line, and its other lines are indented or close it.

    `is_whole`: the module, of a library, is one statement.
    """
    if is_whole:
        yield code.strip(), ""
        return

    gathered: list[str] = []
    for line in code.splitlines():
        if not line.strip():
            continue
        if gathered and line[0] not in _CONTINUES:
            yield _named("\n".join(gathered))
            gathered = []
        gathered.append(line)
    if gathered:
        yield _named("\n".join(gathered))


def _named(text: str) -> tuple[str, str]:
    found = _DECLARED.match(text)
    return text, found[1] if found else ""


def used_styles(css: str, script: str) -> str:
    """The rules of a stylesheet whose classes all stand in a script. Other selectors are remaining."""
    words = set(re.findall(r"[\w-]+", script))
    return "".join(_used_rules(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL), words))


def _used_rules(css: str, words: set[str]) -> Iterator[str]:
    at = 0
    while (opens := css.find("{", at)) >= 0:
        head, closes = css[at:opens].strip(), _closing(css, opens)
        inner = css[opens + 1 : closes]
        at = closes + 1
        if head.startswith("@media"):
            rules = "".join(_used_rules(inner, words))
            if rules:
                yield f"{head} {{\n{rules}}}\n"
        elif head.startswith("@"):
            yield f"{head} {{{inner}}}\n"
        # A comma within `:is(…)` parts no selectors.
        elif remaining := [one for one in re.split(r",(?![^(]*\))", head) if _is_used(one, words)]:
            yield f"{','.join(remaining).strip()} {{{inner}}}\n"


def _closing(css: str, opens: int) -> int:
    depth = 0
    for at in range(opens, len(css)):
        depth += {"{": 1, "}": -1}.get(css[at], 0)
        if depth == 0:
            return at
    raise NotLinked("A stylesheet has a brace that nothing closes.")


def _is_used(selector: str, words: set[str]) -> bool:
    return all(name in words for name in re.findall(r"\.([A-Za-z][\w-]*)", selector))
