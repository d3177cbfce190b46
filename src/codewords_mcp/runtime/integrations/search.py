"""Finding the action that somebody means, in memory: weighted words with synonyms (BM25's form), apps known by several names.

In memory because it is the same on either database, and faster than both their indexes (`benchmarks/integration_search.py`).
"""

from __future__ import annotations

import bisect
import difflib
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from codewords_mcp.runtime.model.integration import App, Hit
from codewords_mcp.runtime.model.integration_names import family

MAX_QUERY = 300
_WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(
    {"a", "an", "and", "are", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "in", "into", "is", "it", "its",
     "like", "me", "my", "need", "new", "of", "on", "or", "our", "please", "somebody", "someone", "that", "the", "their",
     "this", "to", "use", "using", "via", "want", "we", "when", "with", "would", "you", "your"}
)  # fmt: skip
_SYNONYMS = {
    "add": "create insert append",
    "append": "add insert",
    "attach": "upload",
    "cancel": "delete",
    "change": "update edit",
    "chat": "message",
    "check": "get query verify",
    "comment": "reply",
    "contact": "person lead subscriber",
    "create": "add new make insert",
    "dm": "message user",
    "document": "doc file",
    "download": "get export",
    "draft": "create",
    "edit": "update modify change",
    "email": "mail message",
    "erase": "delete",
    "fetch": "get retrieve list",
    "file": "document attachment",
    "find": "search get query lookup list",
    "folder": "directory",
    "free": "busy",
    "get": "retrieve fetch read list find",
    "generate": "create",
    "insert": "add create",
    "invite": "add",
    "issue": "ticket task bug",
    "list": "get all find",
    "log": "create add",
    "mail": "email",
    "make": "create add",
    "mark": "update",
    "message": "chat text",
    "move": "transition",
    "done": "completed",
    "modify": "update edit",
    "note": "comment",
    "notify": "send message",
    "open": "create",
    "page": "document",
    "payment": "charge",
    "picture": "image photo",
    "photo": "image picture",
    "post": "create send publish submit",
    "publish": "create post",
    "query": "search find execute",
    "react": "emoji reaction",
    "read": "get retrieve list values",
    "record": "row item",
    "refund": "reverse",
    "remove": "delete",
    "responses": "results",
    "row": "record values",
    "run": "execute query",
    "schedule": "create",
    "search": "find query lookup",
    "send": "post create",
    "share": "sharing permission",
    "show": "get list",
    "sms": "text message",
    "sql": "query",
    "subscribe": "add subscriber",
    "task": "todo issue item",
    "text": "message sms",
    "ticket": "issue case",
    "tweet": "post twitter",
    "update": "edit modify set change",
    "upload": "add create",
    "user": "member person",
    "what": "list get",
    "which": "list get",
    "who": "list get",
    "write": "create add update",
}
_WEIGHT = {"app": 2.4, "action": 1.6, "nickname": 0.9, "description": 0.35}
_SYNONYM = 0.55
_PREFIX = 0.6
_FEATURED = 1.2
_LENGTH = 0.06
_WHOLE_NAME = 2.0


def stem(word: str) -> str:
    """A word without its commonest endings."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    if len(word) > 5 and word.endswith("ing"):
        return word[:-3]
    return word


def words(text: str) -> list[str]:
    """Of a text, small and stemmed."""
    return [stem(word) for word in _WORD.findall(text.lower())]


_EXPANDED = {stem(word): frozenset(map(stem, more.split())) for word, more in _SYNONYMS.items()}


@dataclass(slots=True)
class _Entry:
    hit: Hit
    slug: str
    """Of the app that its name stands for."""
    app: frozenset[str]
    action: frozenset[str]
    prior: float


@dataclass(slots=True)
class ActionIndex:
    """What can be found. `words` of an app are other names of it; its weight counts where the app is not named."""

    entries: list[_Entry] = field(default_factory=list["_Entry"])
    apps: dict[str, App] = field(default_factory=dict[str, App])
    _postings: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    _app_words: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _vocabulary: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, apps: Iterable[App], actions: Iterable[tuple[Hit, str]]) -> ActionIndex:
        """`actions` are (what is shown, its description)."""
        index = cls()
        for app in apps:
            index.apps.setdefault(app.slug, app)
            for word in words(f"{app.slug} {app.name} {app.words}"):
                index._app_words[word].add(app.slug)

        most = max((app.weight for app in index.apps.values()), default=0.0) or 1.0
        for hit, description in actions:
            index._add(hit, description, most)
        index._vocabulary = sorted(index._postings)
        return index

    def _add(self, hit: Hit, description: str, most: float) -> None:
        slug = next((one for one in family(hit.app) if one in self.apps), hit.app)
        app = self.apps.get(hit.app) or self.apps.get(slug) or App(slug=hit.app, name=hit.app)
        of_app, nicknames = frozenset(words(f"{app.slug} {app.name}")), words(app.words)
        bare = hit.key.removeprefix(f"{hit.app}-")
        of_action = frozenset(words(f"{bare} {hit.name}"))
        number = len(self.entries)
        prior = _FEATURED * min(app.weight / most, 1.0) - _LENGTH * len(of_action)
        self.entries.append(_Entry(hit, app.slug, of_app, of_action, prior))

        for name, found in (
            ("description", words(description)),
            ("nickname", nicknames),
            ("action", of_action),
            ("app", of_app),
        ):
            for word in found:
                kept = self._postings[word]
                kept[number] = max(kept.get(number, 0.0), _WEIGHT[name])

    def search(self, query: str, limit: int, unseen: Container[str] = ()) -> tuple[list[Hit], list[App]]:
        """(actions, apps whose name was said), the best first; `unseen` are keys that are left out."""
        asked = [word for word in dict.fromkeys(words(query[:MAX_QUERY])) if word not in _STOP][:20]
        named = self._named(asked)
        scores: dict[int, float] = defaultdict(float)

        for word in asked:
            for number, weight in self._matches(word).items():
                scores[number] += weight

        best = sorted(
            scores.items(), key=lambda pair: (-self._score(pair, asked, named), self.entries[pair[0]].hit.key)
        )
        found = (self.entries[number].hit for number, _ in best)
        hits = list(itertools.islice((hit for hit in found if hit.key not in unseen), limit))

        return hits, sorted(named.values(), key=lambda app: (-app.weight, app.slug))[:5]

    def _score(self, pair: tuple[int, float], asked: Sequence[str], named: dict[str, App]) -> float:
        number, score = pair
        entry = self.entries[number]
        whole = _WHOLE_NAME if entry.slug in named else 0.0
        strange = len(entry.action - set(asked) - entry.app)
        return score + whole + entry.prior - 0.15 * strange

    def _named(self, asked: Sequence[str]) -> dict[str, App]:
        """Apps all of whose own name stands in the query."""
        said = set(asked)
        found = {slug for word in asked for slug in self._app_words.get(word, ())}
        return {slug: self.apps[slug] for slug in found if set(words(self.apps[slug].name)) <= said}

    def _matches(self, word: str) -> dict[int, float]:
        """Entries in which a word stands, or one that means the same, each with its best weight."""
        found: dict[int, float] = {}
        for other, factor in [(word, 1.0), *((one, _SYNONYM) for one in _EXPANDED.get(word, ()))]:
            self._take(found, other, factor)
        for other in (
            self._akin(word) if len(word) > 7 else self._like(word) if not found and len(word) > 2 else ()
        ):
            self._take(found, other, _PREFIX)
        return found

    def _take(self, found: dict[int, float], word: str, factor: float) -> None:
        posting = self._postings.get(word)
        if not posting:
            return
        rarity = math.log(1 + len(self.entries) / len(posting))
        for number, weight in posting.items():
            value = factor * weight * rarity
            if value > found.get(number, 0.0):
                found[number] = value

    def _akin(self, word: str) -> list[str]:
        """Long words of the same root: `transcription` for `transcribe`."""
        at = bisect.bisect_left(self._vocabulary, word[:7])
        near = itertools.takewhile(lambda other: other.startswith(word[:7]), self._vocabulary[at : at + 50])
        return list(near) or self._like(word)

    def _like(self, word: str) -> list[str]:
        """Words of the index that begin so, or are written nearly so."""
        begin = [other for other in self._vocabulary if other.startswith(word)]
        return begin[:50] or difflib.get_close_matches(word, self._vocabulary, 3, 0.8)
