"""The modules of the console as a few scripts, each of modules that pages need together.

Compressed by itself, a small module costs half as much again as within a larger file, and each costs a request. So a browser gets
chunks: modules of a browser themselves, in which each of ours is a function that returns what it exports. Chunks import each
other as modules do, so that every module is run once, after those that it imports. They are made when they are first asked
for, of the files as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from posixpath import dirname, join, normpath
from typing import Final

from codewords_mcp.console import compact
from codewords_mcp.console.es_modules import Module, NotLinked, read, sources_of

CHUNKS: Final[Mapping[str, tuple[str, ...]]] = {
    # The frame of all pages, and what most of them draw with.
    "app": (
        "app.js", "parts/link.js", "parts/resource.js", "parts/confirm.js", "parts/action.js", "parts/table.js",
        "parts/narrow.js", "parts/progress.js", "parts/tabs.js", "parts/status.js",
        "parts/run_head.js", "parts/start.js", "parts/pages.js", "strings_dialogs.js",
    ),
    "run": ("pages/run.js",),
    "run_parts": (
        "parts/failure.js", "parts/again.js", "parts/attempts.js", "parts/replay.js", "parts/answer_file.js",
        "parts/data_table.js", "parts/span_facts.js", "parts/log_line.js", "parts/preview.js", "parts/search.js",
        "parts/span_groups.js",
    ),
    "lists": (
        "parts/spending.js", "strings_pages.js", "strings_alerts.js", "parts/connections.js", "parts/operations.js",
    ),
    "workflows": (
        "pages/workflows.js", "pages/drafts.js", "parts/needed_secrets.js", "parts/reach.js",
        "parts/consent.js", "parts/code.js", "parts/changes.js",
    ),
    "charts": ("parts/chart.js",),
    "home": (
        "pages/inbox.js", "pages/home.js", "pages/runs.js", "pages/usage.js", "pages/schedules.js", "pages/settings.js",
        "pages/secrets.js",
    ),
    "audit": ("pages/audit.js",),
    "members": ("pages/members.js",),
    "workflow": ("pages/workflow.js", "pages/templates.js", "parts/snippets.js"),
    "workflow_parts": (
        "parts/starts.js", "parts/trigger_form.js", "parts/versions.js", "parts/removal.js", "parts/history.js",
    ),
    "editor": ("parts/editor.js", "parts/editor_compare.js"),
    "draft": ("pages/draft.js", "parts/draft_deployed.js", "parts/draft_difference.js", "parts/draft_review.js"),
    "draft_parts": ("parts/draft_try.js",),
    "services": (
        "pages/api.js", "pages/services.js", "pages/service.js", "pages/integrations.js", "pages/integration.js",
    ),
    "forms": (
        "parts/operation_page.js", "parts/action_form.js", "parts/writes.js", "parts/question.js", "parts/resume.js",
    ),
}  # fmt: skip
"""The contents of each chunk: these modules, and all that they import, but for what an earlier chunk has.

So a chunk imports earlier ones only. All that is loaded later stands here; a module that none of these imports gets a chunk of
its own.
"""
ALONE: Final = frozenset({"vendor/codemirror.js"})
"""Modules that stay files of their own."""


class Linker:
    """The chunks of some modules. `modules` has their texts by their paths, such as `parts/log.js`."""

    def __init__(self, modules: Mapping[str, str], chunks: Mapping[str, tuple[str, ...]] = CHUNKS) -> None:
        self._modules = {name: text for name, text in modules.items() if name not in ALONE}
        self._sources: dict[str, list[str]] = {}
        self._chunks: dict[str, list[str]] = {}
        self._chunk_of: dict[str, str] = {}
        self._later_ones = {entry for entries in chunks.values() for entry in entries}
        for chunk, entries in chunks.items():
            self._place(chunk, entries)
        for name in sorted(self._modules.keys() - self._chunk_of.keys()):
            self._later_ones.add(name)
            self._place(name.removesuffix(".js").replace("/", "_"), [name])
        self._exported = self._later_ones | {
            source
            for name in self._modules
            for source in self._static(name)
            if self._chunk_of[source] != self._chunk_of[name]
        }

    @property
    def chunks(self) -> Mapping[str, list[str]]:
        """The modules of each chunk, each behind those that it imports."""
        return self._chunks

    def address_of(self, name: str) -> str:
        """The file in which a browser gets a module: `run.js` for `parts/log.js`."""
        if name in self._chunk_of:
            return f"{self._chunk_of[name]}.js"
        return name

    def imports_of(self, chunk: str) -> list[str]:
        """The chunks that a browser loads together with one."""
        used = (self._chunk_of[source] for name in self._chunks[chunk] for source in self._static(name))
        return [other for other in dict.fromkeys(used) if other != chunk]

    def script(self, chunk: str) -> str:
        """The script of a chunk. Raises NotLinked, and KeyError where there is none."""
        modules = self._chunks[chunk]
        taken: dict[str, list[str]] = {}
        for source in dict.fromkeys(source for name in modules for source in self._static(name)):
            if self._chunk_of[source] != chunk:
                taken.setdefault(self.address_of(source), []).append(variable(source))
        heads = [f'import{{{",".join(names)}}}from"./{address}";' for address, names in taken.items()]
        exported = ",".join(variable(name) for name in modules if name in self._exported)
        return "\n".join([*heads, *map(self._function, modules), f"export{{{exported}}};"])

    def _place(self, chunk: str, entries: Iterable[str]) -> None:
        """Put modules into a chunk, with those that they import and no chunk has yet."""
        found: list[str] = []

        def place(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                raise NotLinked(f"{name} imports itself by way of {above[-1]}.")
            if name in self._chunk_of:
                return
            for source in self._static(name):
                place(source, (*above, name))
            self._chunk_of[name] = chunk
            found.append(name)

        for entry in entries:
            place(entry, ())
        if found:
            self._chunks[chunk] = found

    def _static(self, name: str) -> list[str]:
        """The modules that are loaded with one."""
        if name not in self._sources:
            if name not in self._modules:
                raise NotLinked(f"There is no module {name}.")
            self._sources[name] = [_target(name, address) for address in sources_of(self._modules[name])]
        return self._sources[name]

    def _function(self, name: str) -> str:
        """A module as a function that is called at once; its variable has what it exports."""
        module = self._read(name)
        taken: dict[str, list[str]] = {}
        for local, (address, inner) in module.imports.items():
            taken.setdefault(variable(_target(name, address)), []).append(_pair(inner, local))
        heads = [f"const{{{','.join(pairs)}}}={source};" for source, pairs in taken.items()]

        body = compact.joined(module.body)
        returned = [_pair(exported, local) for exported, local in module.exports.items()]
        for exported, (address, inner) in module.passed_on.items():
            returned.append(f"{exported}:{variable(_target(name, address))}.{inner}")
        # On a line of its own, since the last statement of a module may have no semicolon.
        text = "".join([*heads, body, f"\nreturn{{{','.join(returned)}}};"])
        return f"const {variable(name)}=(()=>{{{text}}})();"

    def _read(self, name: str) -> Module:
        return read(
            name,
            self._modules[name],
            lambda address: self._later(name, address),
            is_vendored=_is_vendored(name),
        )

    def _later(self, name: str, address: str) -> str:
        """The code in place of an import that is made when the code comes to it."""
        target = _target(name, address)
        if target in ALONE:
            return f'import("./{target}")'
        if target not in self._modules:
            raise NotLinked(f"{name} imports {target}, which is not there.")
        if target not in self._later_ones:
            raise NotLinked(f"{name} imports {target} later, which no chunk is listed with.")
        return f'import("./{self.address_of(target)}").then((chunk)=>chunk.{variable(target)})'


def variable(name: str) -> str:
    """The variable of a module in a chunk: `$parts_log` for `parts/log.js`."""
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))


def _target(name: str, address: str) -> str:
    """The path of a module that another imports."""
    return normpath(join(dirname(name), address))


def _is_vendored(name: str) -> bool:
    return name.startswith("vendor/")


def _pair(name: str, other: str) -> str:
    return name if name == other else f"{name}:{other}"
