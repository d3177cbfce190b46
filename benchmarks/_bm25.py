"""BM25 as two libraries have it, as peers: reads tools and questions as JSON, prints the first names for each question.

Runs in an environment of its own, with `bm25s`, `PyStemmer` and `rank-bm25`.
"""

from __future__ import annotations

import json
import re
import sys

import bm25s
import Stemmer
from rank_bm25 import BM25Okapi


def main() -> None:
    """Answer one question after another by both."""
    asked = json.load(sys.stdin)
    names = [name for name, _ in asked["tools"]]
    texts = [f"{plain(name)} {text}" for name, text in asked["tools"]]
    stemmer = Stemmer.Stemmer("english")
    settings = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, **settings), show_progress=False)
    queries = bm25s.tokenize(asked["questions"], **settings)
    found, _ = retriever.retrieve(queries, k=asked["top"], show_progress=False)
    okapi = BM25Okapi([words(text) for text in texts])
    ranked = [
        okapi.get_scores(words(question)).argsort()[::-1][: asked["top"]] for question in asked["questions"]
    ]
    by_name = {
        "bm25s, stemmed": [[names[place] for place in row] for row in found],
        "rank_bm25": [[names[place] for place in row] for row in ranked],
    }
    json.dump(by_name, sys.stdout)


def plain(name: str) -> str:
    """A tool's name as words: `getUserName` and `get_user.name` have three."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", name)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


main()
