"""Public sets of web pages with what people marked as their main part, as benchmarks read them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MarkedPage:
    """A page. `marked` is its main text, or empty where a set has `wanted` and `unwanted` pieces of text instead."""

    html: str
    url: str
    marked: str
    kind: str = "article"
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()


def articles(folder: Path) -> Iterator[MarkedPage]:
    """The article extraction benchmark: 181 pages of news and blogs."""
    truths = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    for name, truth in sorted(truths.items()):
        html = _unpacked(folder / "html" / f"{name}.html.gz")
        yield MarkedPage(html, truth.get("url") or "https://example.com/", truth["articleBody"])


def wcxb(folder: Path, split: str) -> Iterator[MarkedPage]:
    """The Web Content eXtraction Benchmark: pages of seven kinds, of the split `dev` or `test`."""
    for path in sorted((folder / split / "ground-truth").glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        kind = told["_internal"]["page_type"]["primary"].replace("category", "collection")
        html = _unpacked(folder / split / "html" / f"{path.stem}.html.gz")
        marked = told["ground_truth"].get("main_content") or ""
        yield MarkedPage(html, told.get("url") or "https://example.com/", marked, kind)


def trafilatura_pages(folder: Path) -> Iterator[MarkedPage]:
    """The pages by which trafilatura's authors measure: 990, most of them in German, with pieces of text."""
    from codewords_mcp.runtime.web.markdown import decode

    for url, told in sorted(json.loads((folder / "tests/evaldata.json").read_text(encoding="utf-8")).items()):
        found = [folder / "tests" / place / told["file"] for place in ("cache", "eval")]
        html = decode(next(path for path in found if path.exists()).read_bytes(), "")
        yield MarkedPage(html, url, "", wanted=tuple(told["with"]), unwanted=tuple(told["without"]))


def _unpacked(path: Path) -> str:
    # A declaration of an encoding is not for text that is decoded already.
    text = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace").replace("\0", "")
    return re.sub(r"^\s*<\?xml[^>]*>", "", text) or "<html></html>"
