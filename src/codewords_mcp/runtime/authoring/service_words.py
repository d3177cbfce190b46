"""Keywords of a text that describes a workflow, and the words by which one means a service or a template."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_WORD = re.compile(r"[a-z0-9]{2,}")
_SUBREDDIT = re.compile(r"\br/\w")
_MIN_LENGTH = 3
_SHORT = {"ai", "s3", "up", "us", "to", "do", "no", "in"}
_WHOLE_WORDS = {
    "news",
    "us",
    "sms",
    "rss",
    "css",
    "s3",
    "aws",
    "status",
    "need",
    "feed",
    "speed",
    "less",
    "process",
}
"""Words that are not cut to a stem: they would become another word."""
_COMMON = set(
    re.findall(
        r"\w+",
        "the and for with that this from into each all any are its has have not one new out per then them what when which how "
        "takes gives answers workflow list own our your every",
    )
)
_SAME = {
    "summary": "summaris",
    "summarize": "summaris",
    "summarise": "summaris",
    "summarized": "summaris",
    "summaries": "summaris",
}
"""Stems of words that rules don't bring together."""


@cache
def stem(word: str) -> str:
    """The stem of an English word in lower case: equal for most forms of it, and no word itself."""
    if word in _SAME:
        return _SAME[word]
    if word in _WHOLE_WORDS or len(word) < _MIN_LENGTH:
        return word

    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("sses"):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= _MIN_LENGTH and re.search("[aeiouy]", rest):
            if rest[-1] == rest[-2] and rest[-1] not in "lsz":
                word = rest[:-1]
            else:
                word = rest
            break

    if word.endswith("e") and len(word) > _MIN_LENGTH:
        return word[:-1]
    return word


def key_words(text: str) -> set[str]:
    """The stems of a text's keywords, without those that nearly every description has."""
    return {
        word
        for word in all_words(text)
        if word not in _COMMON_STEMS and (len(word) >= _MIN_LENGTH or word == "ai")
    }


def all_words(text: str) -> set[str]:
    """The stems of all words of a text, for phrases."""
    lower = text.lower()
    words = {stem(word) for word in _WORD.findall(lower) if len(word) >= _MIN_LENGTH or word in _SHORT}
    return words | ({"subreddit"} if _SUBREDDIT.search(lower) else set())


@dataclass(frozen=True, slots=True)
class Meaning:
    """Words and phrases by which a text means something. All are stems; a phrase is a set of words."""

    words: frozenset[str] = field(default_factory=frozenset[str])
    phrases: tuple[frozenset[str], ...] = ()

    def words_in(self, found: Collection[str]) -> set[str]:
        """The words that occur among the stems of a text."""
        return {word for word in self.words if word in found}

    def phrases_in(self, found: Collection[str]) -> int:
        """The number of phrases that occur among the stems of a text."""
        return sum(all(word in found for word in phrase) for phrase in self.phrases)


def parse_meaning(text: str) -> Meaning:
    """Read `word word word+word`."""
    parts = [frozenset(stem(word) for word in part.split("+")) for part in text.split()]
    return Meaning(
        frozenset(word for part in parts if len(part) == 1 for word in part),
        tuple({part for part in parts if len(part) > 1}),
    )


@cache
def service_meanings() -> dict[str, tuple[Meaning, Meaning]]:
    """Of each library service, what means it for certain, and what hints at it."""
    services = _tables()["services"]
    return {
        name: (parse_meaning(words.get("sure", "")), parse_meaning(words.get("hints", "")))
        for name, words in services.items()
    }


@cache
def template_meanings() -> dict[str, Meaning]:
    """Of each template of the gallery, what means it."""
    return {name: parse_meaning(words) for name, words in _tables()["templates"].items()}


@cache
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("choice_words.toml").read_text(encoding="utf-8"))


_COMMON_STEMS = {stem(word) for word in _COMMON}
