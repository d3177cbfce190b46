"""Is the main text of a page found, on public sets of pages that others marked, beside other libraries?

By each set's own metric: the article extraction benchmark's F1 of runs of four words, the WCXB's F1 of words for seven kinds
of pages, and for trafilatura's pages the F1 of pieces of text. Markdown is rendered, and its text compared. Only pages by which
the weights of `main_content.json` were not found count: half of the first set, the second's test split, all of the third.

    python benchmarks/page_text.py [--data FOLDER] [--quick] [--json] [--kinds]
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import lxml.html
from _bench import Question, clean_environment, options, report
from _marked_pages import MarkedPage, articles, trafilatura_pages, wcxb
from _peers import environment_of, installed, say
from _yardsticks import ARTICLES, TRAFILATURA, WCXB, checkouts
from markdown_it import MarkdownIt

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.web.markdown import to_markdown
from codewords_mcp.runtime.web.page_blocks import INLINE

Found = dict[str, list[str]]
"""The texts of all pages, by library."""
Score = Callable[[list[MarkedPage], list[str]], float]
OURS, RUN = "codewords-mcp", 4
_PEERS = (
    "trafilatura==2.3.1", "lxml-html-clean==0.4.6", "readability-lxml==0.9", "resiliparse==2.0.1", "markdownify==1.2.3",
)  # fmt: skip
_NPM = ("@mozilla/readability@0.6.0", "linkedom@0.18.15")
_HERE = Path(__file__).parent
_RENDER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def text_of_html(html: str) -> str:
    """The text of HTML, blocks in lines of their own."""
    tree = lxml.html.fromstring(f"<div>{html}</div>")
    for element in tree.iter():
        if isinstance(element.tag, str) and (element.tag not in INLINE or element.tag == "br"):
            element.text, element.tail = f"\n{element.text or ''}", f"\n{element.tail or ''}"
    return tree.text_content()


def text_of_markdown(text: str) -> str:
    return text_of_html(_RENDER.render(text))


TEXT_OF: dict[str, Callable[[str], str]] = {
    "text": str,
    "html": text_of_html,
    "markdown": text_of_markdown,
}


def ours(page: MarkedPage) -> str:
    try:
        return text_of_markdown(to_markdown(page.html, page.url).text)
    except UpstreamFailed as error:
        say(f"{page.url}: {error}")
        return ""


def all_found(pages: list[MarkedPage]) -> Found:
    """The main part of each page by each library."""
    found: Found = {OURS: [ours(page) for page in pages]}
    asked = "".join(json.dumps({"html": page.html, "url": page.url}) + "\n" for page in pages)
    for command in peers():
        done = subprocess.run(
            command, input=asked, encoding="utf-8", stdout=subprocess.PIPE, env=clean_environment(), check=True, timeout=3600
        )  # fmt: skip
        # Not `splitlines`: pages have other separators of lines, which JSON leaves as they are.
        for line in done.stdout.rstrip("\n").split("\n"):
            for name, (form, text) in json.loads(line).items():
                found.setdefault(name, []).append(TEXT_OF[form](text))
    return found


def peers() -> list[list[str | Path]]:
    """The commands of the peers that can be installed here."""
    commands: list[list[str | Path]] = []
    if python := installed("page-text", "venv/bin/python", *environment_of(*_PEERS)):
        commands.append([python, _HERE / "_page_peers.py"])
    if shutil.which("npm"):
        copied: list[str | Path] = ["cp", _HERE / "_readability.js", "readability.js"]
        if script := installed(
            "readability", "readability.js", ["npm", "install", "--silent", *_NPM], copied
        ):
            commands.append(["node", script])
    return commands


def by_runs(pages: list[MarkedPage], texts: list[str]) -> float:
    """The article extraction benchmark's F1: of mean precision and mean recall of runs of four words."""
    precisions: list[float] = []
    recalls: list[float] = []
    for page, text in zip(pages, texts, strict=True):
        right, found = runs_of(page.marked), runs_of(text)
        both = (right & found).total()
        if found:
            precisions.append(both / found.total())
        if right:
            recalls.append(both / right.total())
    return f1(statistics.fmean(precisions), statistics.fmean(recalls))


def runs_of(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1)) if words)


def by_words(pages: list[MarkedPage], texts: list[str]) -> float:
    """The WCXB's F1: the mean over pages of the F1 of words."""
    return statistics.fmean(words_f1(page.marked, text) for page, text in zip(pages, texts, strict=True))


def words_f1(marked: str, text: str) -> float:
    right, found = (Counter(re.findall(r"\w+", one.lower())) for one in (marked, text))
    if not right or not found:
        return float(not right and not found)
    both = (right & found).total()
    return f1(both / found.total(), both / right.total())


def by_pieces(pages: list[MarkedPage], texts: list[str]) -> float:
    """The F1 by which trafilatura is measured: pieces that must be there, and pieces that must not."""
    kept = lost = wrong = 0
    for page, text in zip(pages, texts, strict=True):
        plain = in_one_line(text)
        there = sum(in_one_line(piece) in plain for piece in page.wanted)
        kept, lost = kept + there, lost + len(page.wanted) - there
        wrong += sum(in_one_line(piece) in plain for piece in page.unwanted)
    return 2 * kept / (2 * kept + wrong + lost)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def main() -> int:
    kinds = "--kinds" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--kinds"]
    on_articles, on_wcxb, on_trafilatura = checkouts(ARTICLES, WCXB, TRAFILATURA)
    chosen = options((__doc__ or "").partition("\n")[0], runs=1, quick_runs=1)
    sets: tuple[tuple[str, Score, Iterable[MarkedPage], int], ...] = (
        ("article extraction benchmark", by_runs, itertools.islice(articles(on_articles), 1, None, 2), 1),
        ("WCXB, test split", by_words, wcxb(on_wcxb, "test"), 4),
        ("trafilatura's pages", by_pieces, trafilatura_pages(on_trafilatura), 10),
    )
    asked: list[Question] = []
    for title, score, marked, each in sets:
        pages = list(itertools.islice(marked, 0, None, each if chosen.quick else 1))
        found = all_found(pages)
        asked += compared(f"{title}, {len(pages)} pages", score, pages, found)
        if kinds and score is by_words:
            for kind in sorted({page.kind for page in pages}):
                places = [place for place, page in enumerate(pages) if page.kind == kind]
                of_kind = {name: [texts[place] for place in places] for name, texts in found.items()}
                asked += compared(f"{title}: {kind}", score, [pages[place] for place in places], of_kind)
    return report(asked, chosen)


def compared(title: str, score: Score, pages: list[MarkedPage], found: Found) -> list[Question]:
    """One question for each peer."""
    values = {name: 100 * score(pages, texts) for name, texts in found.items()}
    return [
        Question(title, name, "% F1", 1.0, [values[OURS]], [value], more_is_better=True)
        for name, value in values.items()
        if name != OURS
    ]


if __name__ == "__main__":
    sys.exit(main())
