"""The site is built from the pages, strictly, and stands on its own."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.docs.pages import ROOT
from tests.support import chromium

pytestmark = pytest.mark.requirement("docs:site")

SIZES = ((390, 844), (1280, 900))
LOOKED_AT = (
    "",
    "comparison/",
    "cookbook/uptime/",
    "reference/attacks/",
    "reference/http-api/",
    "guides/install/",
)


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_builder", ROOT / "docs" / "site" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all versions, with two of them."""
    out = tmp_path_factory.mktemp("site")
    older = out / "0.0.9"
    older.mkdir()
    (older / "llms.txt").touch()
    command = [
        sys.executable,
        str(ROOT / "docs" / "site" / "build.py"),
        "--out",
        str(out),
        "--version",
        "0.1.0",
    ]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_links_are_rewritten_for_where_pages_are_in_the_site(builder: Any) -> None:
    names = {
        "README.md": "index.md",
        "docs/guides/install.md": "guides/install.md",
        "SECURITY.md": "project/security.md",
        "docs/design/README.md": "design/index.md",
    }

    def relinked(text: str, source: str = "docs/guides/install.md") -> str:
        return builder.relinked(text, source, names)

    assert relinked("[a](../../SECURITY.md#x)") == "[a](../project/security.md#x)"
    assert (
        relinked("[a](../design/README.md) [b](../design)")
        == "[a](../design/index.md) [b](../design/index.md)"
    )
    assert relinked("[home](docs/guides/install.md)", "README.md") == "[home](guides/install.md)"
    assert relinked("![shot](docs/images/console-run.png)", "README.md") == "![shot](images/console-run.png)"
    assert relinked("[code](../../src/codewords_mcp/errors/__init__.py)") == "code"
    assert relinked("![MIT](https://img.shields.io/badge/a-b)\nText") == "\nText"
    assert relinked("[![Install](https://img.shields.io/badge/a-b)](https://example.org/x)") == (
        "[Install](https://example.org/x)"
    )
    same = "[a](#b) [c](https://example.org/d.md)\n```python\n[x](../../SECURITY.md)\n```"
    assert relinked(same) == same


def test_every_page_is_in_the_menu_once(builder: Any) -> None:
    listed = [path for entries in builder.menu().values() for _, path in entries]
    assert sorted(listed) == sorted(set(builder.pages().values()))
    sections = list(builder.menu())
    assert {
        "Start",
        "Tutorial",
        "Concepts",
        "How-to",
        "Cookbook",
        "Numbers",
        "Attacks",
        "Reference",
        "Explanation",
    } <= set(sections)


@pytest.mark.slow
def test_the_site_has_every_page_as_html_and_as_markdown_and_lists_them_for_models(
    site: Path, builder: Any
) -> None:
    newest = site / "0.1.0"
    for path in builder.pages().values():
        folder = newest / (Path(path).parent if path.endswith("index.md") else Path(path).with_suffix(""))
        assert (folder / "index.html").exists(), path
        assert (folder / "index.md").read_text(encoding="utf-8").startswith("# "), path
    listed = re.findall(
        r"^- \[.+?\]\((.+?)\): \S", (newest / "llms.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(listed) == len(builder.pages())
    assert [path for path in listed if not (newest / path).exists()] == []
    assert len((newest / "llms-full.txt").read_text(encoding="utf-8")) > 200_000
    assert (newest / "search.json").stat().st_size > 100_000


@pytest.mark.slow
def test_versions_are_listed_newest_first_and_the_root_leads_to_it(site: Path) -> None:
    versions = json.loads((site / "versions.json").read_text(encoding="utf-8"))
    assert [(one["version"], one["aliases"]) for one in versions] == [("0.1.0", ["latest"]), ("0.0.9", [])]
    assert 'url=0.1.0/"' in (site / "index.html").read_text(encoding="utf-8")


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/0.1.0/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_pages_fit_a_phone_and_a_window_light_and_dark_and_ask_no_other_host(
    served: str, tmp_path: Path
) -> None:
    with chromium.tab(tmp_path, width=1280, height=900) as tab:
        for page in LOOKED_AT:
            for width, height in SIZES:
                for dark in (False, True):
                    tab.resize(width, height, dark=dark)
                    tab.open(served + page)
                    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                    assert tab.value(sideways) <= 0, (page, width)
                    background = tab.value("getComputedStyle(document.body).backgroundColor")
                    light = sum(map(int, re.findall(r"\d+", background)[:3])) > 3 * 128
                    assert light != dark, (page, background)
        others = {url for url in tab.requested if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))}
        assert others == set()
        assert tab.value("document.querySelectorAll('.md-version, [class*=version]').length") > 0


def test_the_numbers_of_the_readme_are_those_of_what_they_count() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    attacks = (ROOT / "docs" / "reference" / "attacks.md").read_text(encoding="utf-8")
    tools = re.findall(
        r"^## `(\w+)`", (ROOT / "docs/reference/tools.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    # Hosts list neither the tools of cards nor the names of before triggers.
    listed = [name for name in tools if not re.search(r"^show_|_card$|schedule", name)]
    counted = {
        "probes": int(re.findall(r"^(\d+) probes", attacks, re.MULTILINE)[0]),
        "tools": len(listed),
        "tasks": len(list((ROOT / "docs" / "cookbook").glob("*.md"))) - 1,
    }
    found = re.findall(r"^\| (\d+) (probes|tools|tasks) \|", readme, re.MULTILINE)
    assert {name: int(number) for number, name in found} == counted
