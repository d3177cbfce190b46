"""Proofs of each page: its blocks, its links, and the names of commands, settings, routes and files in its text.

`python -m tests.docs.proofs` prints the table; `test_proofs.py` fails where a page has nothing proven, or something open.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, prose

ROOT_PAGES = [ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
ALL_PAGES = [*PAGES, *ROOT_PAGES]

_RUN_LANGUAGES = {"bash", "console", "python"}
_RUN_MARKS = {"file", "input", "answer"}
_COMPARED_MARKS = {"same as", "command", "shown by"}
_PARSED_LANGUAGES = {"json", "toml", "yaml"}
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_SETTING = re.compile(r"\bCODEWORDS_[A-Z_]*[A-Z]\b")
_ROUTE = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE|any) (/[\w{}<>./*-]*)")
_FILE = re.compile(r"(?<![\w./<{~$-])((?:[\w.-]+/)*[\w-]+\.(?:py|js|sh))(?![\w(=])")
_COMMAND = re.compile(r"codewords(?:-mcp)?(?: .*)?")
_OPTION = re.compile(r"(?<=\s)--?[a-z][\w-]*")

PROXY = "codewords-mcp stdio"
"""What containers call: the stdio proxy by its name, which no help lists."""

PROGRAM = "main.py"
"""The file of a workflow's program, in its sandbox."""

OTHER_VARIABLES = {"CODEWORDS_RUNTIME_URI", "CODEWORDS_SERVICE_ROOT", "CODEWORDS_UPDATE_SNAPSHOTS"}
"""Variables that a workflow finds in its sandbox, by the wire contract, and the one that the tests read."""


@dataclass
class Proof:
    """One page: how its blocks are proven, and what else is. `open` and `unknown` name what nothing proves."""

    page: Path
    run: int = 0
    checked: int = 0
    not_run: list[str] = field(default_factory=list[str])
    open: list[str] = field(default_factory=list[str])
    links: int = 0
    names: int = 0
    unknown: list[str] = field(default_factory=list[str])
    generated: bool = False

    @property
    def blocks(self) -> int:
        return self.run + self.checked + len(self.not_run) + len(self.open)

    @property
    def proven(self) -> int:
        """The number of things on this page that a test proves."""
        return self.run + self.checked + self.links + self.names + self.generated


def prove(page: Path) -> Proof:
    """Count what is proven of a page."""
    proof = Proof(page, generated="<!-- generated -->" in page.read_text(encoding="utf-8"))
    for block in blocks(page):
        _add_block(proof, block)

    # The reference's tables are made from the code, and compared with it.
    text = re.sub(r"<!-- generated -->.*<!-- end -->", "", prose(page), flags=re.DOTALL)
    for target in _LINK.findall(text):
        if link_leads_somewhere(page, target):
            proof.links += 1
        else:
            proof.unknown.append(target)

    for name, known in names_of(page, text):
        if known:
            proof.names += 1
        else:
            proof.unknown.append(name)
    return proof


def _add_block(proof: Proof, block: Block) -> None:
    mark, value = block.mark or ("", "")
    runs_here = mark in _RUN_MARKS or (not mark and block.language in _RUN_LANGUAGES)
    if runs_here or (mark == "not run" and runs_elsewhere(value)):
        proof.run += 1
    elif mark in _COMPARED_MARKS or block.language in {*_PARSED_LANGUAGES, "python"} or command_lines(block):
        proof.checked += 1
    elif mark in {"drawing", "not run"} or (block.page.parent.name == "design" and not block.language):
        proof.not_run.append(f"{block.place}: {value or 'a drawing'}")
    else:
        proof.open.append(block.place)


def runs_elsewhere(reason: str) -> bool:
    """True if the reason for not running a block here is that another test does."""
    return any(
        file_exists(name) for name in re.findall(r"(tests/[\w/]+(?:\.py)?) (?:runs|deploys and runs)", reason)
    )


def shown_by(block: Block) -> bool:
    """True if the test that a `shown by` mark names is there and holds four words of the block that follow each other."""
    assert block.mark
    path = ROOT / block.mark[1]
    if not path.is_file():
        return False
    words = block.text.split()
    test = " ".join(path.read_text(encoding="utf-8").split())
    return any(" ".join(words[start : start + 4]) in test for start in range(len(words) - 3))


def link_leads_somewhere(page: Path, target: str) -> bool:
    """True if the link's page is there and has its anchor."""
    name, _, anchor = target.partition("#")
    there = (page.parent / name).resolve() if name else page
    return there.exists() and (not anchor or there.suffix != ".md" or anchor in anchors(there))


def names_of(page: Path, text: str) -> Iterator[tuple[str, bool]]:
    """The names in a page's inline code with whether each exists: commands, settings, routes, files of the repository."""
    for span in _SPAN.findall(text):
        if _COMMAND.fullmatch(span):
            yield span, command_exists(span)
        for name in _SETTING.findall(span):
            yield name, name in settings() | OTHER_VARIABLES
        for path in _ROUTE.findall(span):
            yield span, route_exists(path)
        if page.parent.name == "design" or page in ROOT_PAGES:
            for name in _FILE.findall(span.replace("./", "")):
                yield name, file_exists(name)


def command_lines(block: Block) -> list[str]:
    """The calls of our commands in a block; each ends where a shell ends it."""
    text = block.text.replace("\\\n", " ")
    if block.language == "console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    found = re.findall(
        r"(?:^(?:\$ )?|[;&|(]\s*)(codewords(?:-mcp)?(?: [^\n;&|)<>#]*)?)(?=[\n;&|)<>#]|$)", text, re.MULTILINE
    )
    return [without_texts(line) for line in found]


def without_texts(line: str) -> str:
    """A command line with a word in place of each quoted text."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", "X", line).strip()


def unknown_options(line: str) -> list[str] | None:
    """The options of a command line that its command does not have; None where there is no such command."""
    # The longest name wins: `codewords secrets set` before `codewords secrets`.
    name = max((name for name in commands() if f"{line} ".startswith(f"{name} ")), key=len, default="")
    if not name:
        return None
    if line == PROXY:
        return []
    following = line.removeprefix(name).split()
    if name in groups() and following and not following[0].startswith("-"):
        return None
    options = set(_OPTION.findall(line.partition(" -- ")[0]))
    return [option for option in options if not re.search(f"`{option}[` ]", commands()[name])]


def command_exists(span: str) -> bool:
    """True if a command in a text exists with its options. A group of commands, `codewords secrets`, exists too."""
    return all(unknown_options(part.strip()) == [] for part in without_texts(span).split("|")[:1])


def route_exists(path: str) -> bool:
    """True if the HTTP API has such a path; a parameter of it stands for any word."""
    return any(route.fullmatch(path) or route.fullmatch(path.rstrip("/") or "/") for route in routes())


def file_exists(name: str) -> bool:
    """True if the repository has a file or folder whose path ends so, or if it is a person's file: in no folder of ours."""
    folder, slash, _ = name.partition("/")
    if name == PROGRAM or "NAME" in name or (slash and folder not in folders()):
        return True
    return any(path == name or path.endswith(f"/{name}") or path.startswith(f"{name}/") for path in files())


@functools.cache
def commands() -> dict[str, str]:
    """Each command's section of the reference, by its name without arguments."""
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    sections = {part.partition("`")[0]: part for part in reference.split("\n## `")[1:]}
    return {re.split(r" (?:[A-Z[]|\w+\|)", title)[0]: section for title, section in sections.items()}


@functools.cache
def groups() -> frozenset[str]:
    """The names of commands that have commands below them."""
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^## `(.+) COMMAND`$", reference, re.MULTILINE))


@functools.cache
def settings() -> frozenset[str]:
    """The names of all settings, the installer's too."""
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    installer = (ROOT / "packaging" / "install.sh").read_text(encoding="utf-8")
    return frozenset(_SETTING.findall(reference + installer))


@functools.cache
def routes() -> frozenset[re.Pattern[str]]:
    """Patterns of all paths of the HTTP API."""
    reference = (ROOT / "docs" / "reference" / "http-api.md").read_text(encoding="utf-8")
    return frozenset(re.compile(_pattern(path)) for path in _ROUTE.findall(reference))


def _pattern(path: str) -> str:
    parts = re.split(r"(\{[^}]*\}|<[^>]*>)", path.rstrip("/") or "/")
    # The last parameter of `/run/{service_id}/{path}` may have slashes.
    last = len(parts) - 2 if not parts[-1] else -1
    return "".join(
        re.escape(part) if number % 2 == 0 else (".*" if number == last else "[^/]+")
        for number, part in enumerate(parts)
    )


@functools.cache
def folders() -> frozenset[str]:
    """The names of the repository's folders."""
    return frozenset(part for path in files() for part in path.split("/")[:-1])


@functools.cache
def files() -> frozenset[str]:
    """The paths of the repository's files."""
    import subprocess

    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    return frozenset(done.stdout.splitlines())


def all_proofs(pages: Iterable[Path] = ALL_PAGES) -> list[Proof]:
    """The proofs of all pages."""
    return [prove(page) for page in pages]


def table(proofs: list[Proof]) -> str:
    """The proofs as a table, with the sums below."""
    heads = ["page", "run", "checked", "says why not", "open", "links", "names", "unknown"]
    rows = [
        [
            proof.page.relative_to(ROOT).as_posix(), str(proof.run), str(proof.checked), str(len(proof.not_run)),
            str(len(proof.open)), str(proof.links), str(proof.names), str(len(proof.unknown)),
        ]
        for proof in proofs
    ]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *rows]
    ]
    proven = sum(bool(proof.proven) for proof in proofs)
    found = sum(proof.blocks for proof in proofs)
    held = sum(proof.run + proof.checked for proof in proofs)
    run = sum(proof.run for proof in proofs)
    lines.append(
        f"{proven} of {len(proofs)} pages; of {found} blocks {run} run, {held - run} are checked, {found - held} say why not"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(all_proofs()) + "\n")
