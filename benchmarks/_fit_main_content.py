"""Finds the weights of `runtime/web/main_content.json` on public pages whose main text people marked.

Pages: every third of the WCXB's development set, and half of the article extraction benchmark, which counts twice for its
size. The WCXB's test set, the other half and trafilatura's pages are for measuring (`page_text.py`). A block belongs to the
main part if more than half of its runs of four words are in the marked text; a shorter one, if it is between its neighbours'.

    python benchmarks/_fit_main_content.py [--data FOLDER]     # in an environment with scikit-learn and lxml
"""

from __future__ import annotations

import bisect
import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import lxml.html
import numpy as np
from _marked_pages import MarkedPage, articles, wcxb
from _yardsticks import ARTICLES, WCXB, checkouts
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

from codewords_mcp.runtime.web import main_content
from codewords_mcp.runtime.web.page_blocks import blocks_of, features_of

RUN = 4
FEW = 1e-3
"""Weights that move a block by less are left out."""


class Table(NamedTuple):
    """One line a block: its features, the share of its words in the marked text, and how much it counts."""

    features: list[dict[str, float]]
    shares: list[float]
    counts: list[float]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def shares_of(texts: list[list[str]], marked: list[str]) -> list[float]:
    """Of each block's words, the share that is in the marked text at its place."""
    whole = f" {' '.join(marked)} "
    runs = Counter(tuple(marked[at : at + RUN]) for at in range(len(marked) - RUN + 1))
    shares, places = [0.0] * len(texts), []
    for number, words in enumerate(texts):
        if len(words) > RUN:
            mine = [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]
            shares[number] = sum(run in runs for run in mine) / len(mine)
            begin = whole.find(f" {' '.join(words[:6])} ")
            if shares[number] > 0.5 and begin >= 0:
                places.append((number, begin, begin + len(" ".join(words))))
    for number, words in enumerate(texts):
        if 0 < len(words) <= RUN:
            shares[number] = float(f" {' '.join(words)} " in between(number, places, whole))
    return shares


def between(number: int, places: list[tuple[int, int, int]], whole: str) -> str:
    """The marked text between the neighbours of a short block."""
    at = bisect.bisect(places, (number, 0, 0))
    begin = places[at - 1][2] if at else 0
    end = places[at][1] if at < len(places) else len(whole)
    near = whole[max(0, begin - 2) : max(end, begin + 300) + 2]
    return near[-400:] if not at else near[:400] if at == len(places) else near[:3000]


def add_page(table: Table, page: MarkedPage, counts: float) -> None:
    tree = lxml.html.document_fromstring(page.html)
    body = tree.find("body")
    blocks = blocks_of(tree if body is None else body)
    if not blocks:
        return
    texts, marked = [words_of(block.text) for block in blocks], words_of(page.marked)
    size = max(0.3 * sum(map(len, texts)), len(marked), 30)
    table.features.extend(features_of(blocks))
    table.shares.extend(shares_of(texts, marked))
    table.counts.extend(counts * (len(words) + 0.5) / size for words in texts)


def main() -> None:
    """Fit, and write the weights."""
    on_articles, on_wcxb = checkouts(ARTICLES, WCXB)
    table = Table([], [], [])
    for page in itertools.islice(wcxb(on_wcxb, "dev"), 0, None, 3):
        add_page(table, page, 1)
    for page in itertools.islice(articles(on_articles), 0, None, 2):
        add_page(table, page, 2)
    names = sorted({name for row in table.features for name, value in row.items() if value})
    at = {name: number for number, name in enumerate(names)}
    cells = [
        (line, at[name], value)
        for line, row in enumerate(table.features)
        for name, value in row.items()
        if value
    ]
    lines, columns, values = zip(*cells, strict=True)
    matrix = csr_matrix((values, (lines, columns)), shape=(len(table.features), len(names)))
    spread = np.sqrt(matrix.multiply(matrix).mean(0).A1 - np.square(matrix.mean(0).A1)) + 1e-6
    counts = np.array(table.counts) * len(table.counts) / sum(table.counts)
    fitted = LogisticRegression(C=0.05, max_iter=300, tol=1e-3)
    fitted.fit(matrix @ diags(1 / spread), np.array(table.shares) > 0.5, sample_weight=counts)
    # A name that few pages have is chance.
    often = np.asarray((matrix != 0).sum(0)).ravel() >= 50
    weights = {
        name: round(float(weight), 4)
        for name, weight, known in zip(names, fitted.coef_[0] / spread, often, strict=True)
        if known and abs(weight) >= FEW
    }
    kept = {"bias": round(float(fitted.intercept_[0]), 4), "weights": weights}
    path = Path(main_content.__file__).with_suffix(".json")
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"{len(table.features)} blocks, {len(weights)} weights")


if __name__ == "__main__":
    main()
