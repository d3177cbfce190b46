"""Build the documentation as a site: `python docs/site/build.py [--out FOLDER] [--version NAME]`; `just site` runs it.

The pages are the Markdown of docs/ and the root as they are. They are staged with the links between them rewritten, and Zensical
(of the version in requirements.txt) makes `FOLDER/NAME` of them; a link that leads nowhere fails the build. Beside each page
lies its Markdown, in `llms.txt` their list and in `llms-full.txt` all of them. `versions.json` lists the versions in FOLDER.
"""  # noqa: INP001

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONFIG = HERE / "zensical.toml"
EXTRA = {
    "README.md": "index.md",
    "docs/README.md": "pages.md",
    "SECURITY.md": "project/security.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "packages/codewords-testing/README.md": "project/stand-ins.md",
    "examples/README.md": "project/examples.md",
}
"""Pages outside of docs/, and where they are in the site."""
_SECTIONS = {
    "guides": "How-to",
    "cookbook": "Cookbook",
    "reference": "Reference",
    "design": "Explanation",
    "project": "Project",
}
"""Sections of pages that the menu does not name, by their folder."""
_DESCRIPTION = (
    "An MCP server with an embedded runtime: single Python files become isolated, metered workflows."
)
_LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
_BADGE = re.compile(r"(?<!\[)!\[[^\]]*\]\(https://img\.shields\.io/[^)]*\) ?")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(https?://[^)]*\)")
"""A picture from elsewhere."""
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """The pages by their path in the repository: their path in the site."""
    found = {
        f"docs/{path}": re.sub(r"(^|/)README\.md$", r"\1index.md", path)
        for path in (file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md"))
    }
    return found | EXTRA


def stage(folder: Path) -> None:
    """Copy all pages and pictures to `folder`, with their links rewritten."""
    names = pages()
    for source, target in names.items():
        file = folder / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            relinked((ROOT / source).read_text(encoding="utf-8"), source, names), encoding="utf-8"
        )
    shutil.copytree(ROOT / "docs" / "images", folder / "images")


def relinked(text: str, source: str, names: Mapping[str, str]) -> str:
    """The text of a page with links for the site. A link to a file that is no page becomes its text.

    Pictures from elsewhere become their words, and badges go.
    """
    here = PurePosixPath(names[source]).parent

    def link(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if not target or ":" in target:
            return match[0]

        wanted = os.path.normpath(PurePosixPath(source).parent / target)
        if (ROOT / wanted).is_dir():
            wanted = f"{wanted}/README.md"
        if wanted in names:
            return f"{match['text']}({os.path.relpath(names[wanted], here)}{anchor})"
        if wanted.startswith("docs/images/"):
            return f"{match['text']}({os.path.relpath(wanted.removeprefix('docs/'), here)})"
        return match["text"].strip("[]")

    def prose(part: str) -> str:
        # The site asks no other host for anything: a button becomes a link with its words.
        return _LINK.sub(link, _PICTURE.sub(r"\1", _BADGE.sub("", part)))

    # Code shows links as they are typed.
    return "".join(part if part.lstrip().startswith("```") else prose(part) for part in _FENCE.split(text))


def build(out: Path, version: str) -> Path:
    """Build one version into `out/version`. Returns that folder; exits with what Zensical says where it fails."""
    site = out / version
    requirement = (HERE / "requirements.txt").read_text(encoding="utf-8").split()[-1]
    with tempfile.TemporaryDirectory(prefix="codewords-site-") as name:
        work = Path(name)
        stage(work / "docs")
        config = CONFIG.read_text(encoding="utf-8").replace("[project]\n", f"[project]\n{_menu_toml()}", 1)
        (work / "zensical.toml").write_text(config, encoding="utf-8")
        shutil.copytree(HERE / "styles", work / "docs" / "styles")
        uv = Path(sys.executable).parent / "uv"
        done = subprocess.run(
            [uv if uv.exists() else "uv", "tool", "run", "--from", requirement, "zensical", "build", "--strict"],
            cwd=work, capture_output=True, encoding="utf-8", check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)

        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(work / "site", site)
        _add_markdown(work / "docs", site)

    _write_lists(site)
    _list_versions(out)
    return site


def _add_markdown(staged: Path, site: Path) -> None:
    """Put each page's Markdown beside its HTML."""
    for page in staged.rglob("*.md"):
        path = page.relative_to(staged)
        folder = site / (path.parent if path.name == "index.md" else path.with_suffix(""))
        shutil.copy(page, folder / "index.md")


def menu() -> dict[str, list[tuple[str, str]]]:
    """Each section's pages as (title, path): those of menu.json, then every other page in the section of its folder."""
    listed = json.loads((HERE / "menu.json").read_text(encoding="utf-8"))
    sections = {section: [(title, path) for title, path in entries] for section, entries in listed.items()}
    named = {path for entries in sections.values() for _, path in entries}

    for source, path in sorted(pages().items(), key=lambda item: item[1]):
        if path not in named:
            title = (ROOT / source).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            sections[_SECTIONS[path.partition("/")[0]]].append((title, path))

    return sections


def _menu_toml() -> str:
    """The menu as Zensical reads it."""
    # A text of JSON is one of TOML.
    sections = [
        f"  {{ {json.dumps(section)} = [\n"
        + "".join(f"    {{ {json.dumps(title)} = {json.dumps(path)} }},\n" for title, path in entries)
        + "  ] },\n"
        for section, entries in menu().items()
    ]
    return "nav = [\n" + "".join(sections) + "]\n"


def _write_lists(site: Path) -> None:
    """Write llms.txt, the list of pages with their first sentences, and llms-full.txt, their texts."""
    lines = ["# codewords-mcp", "", f"> {_DESCRIPTION}"]
    texts: list[str] = []

    for section, entries in menu().items():
        lines += ["", f"## {section}", ""]
        for title, path in entries:
            page = PurePosixPath(path)
            markdown = (page.parent if page.name == "index.md" else page.with_suffix("")) / "index.md"
            text = (site / markdown).read_text(encoding="utf-8")
            lines.append(f"- [{title}]({markdown}): {first_sentence(text)}")
            texts.append(text)

    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(texts), encoding="utf-8")


def first_sentence(text: str) -> str:
    """The first sentence of a page's first paragraph, without its links."""
    paragraphs = [part for part in re.split(r"\n\s*\n", text) if re.match(r"[\w*`\[\"]", part)]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraphs[0].split())) if paragraphs else ""
    return re.split(r"(?<=[.!?:]) (?=[A-Z`])", plain)[0]


def _list_versions(out: Path) -> None:
    """Write what the menu of versions reads, and a page that leads to the newest."""
    names = sorted(
        (folder.name for folder in out.iterdir() if (folder / "llms.txt").exists()), key=_order, reverse=True
    )
    listed = [
        {"version": name, "title": name, "aliases": ["latest"] if name == names[0] else []} for name in names
    ]
    (out / "versions.json").write_text(json.dumps(listed), encoding="utf-8")
    (out / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={names[0]}/">'
        f'<a href="{names[0]}/">codewords-mcp {names[0]}</a>\n',
        encoding="utf-8",
    )


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", name))


def main() -> None:
    """Build the site from the command line."""
    parser = argparse.ArgumentParser(description="Build the documentation as a site.")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    parser.add_argument("--out", type=Path, default=ROOT / "site", help="the folder of all versions")
    parser.add_argument("--version", default=version, help="the folder in it")
    arguments = parser.parse_args()
    sys.stdout.write(f"{build(arguments.out, arguments.version)}\n")


if __name__ == "__main__":
    main()
