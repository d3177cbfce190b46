"""Search of actions in memory: weighted words with synonyms (as in BM25), apps under several names.

It is in memory because it then works the same on both databases, and faster than their own indexes
(`benchmarks/integration_search.py`).
"""

from __future__ import annotations

import bisect
import difflib
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from codewords_mcp.runtime.model.integration import App, Hit
from codewords_mcp.runtime.model.integration_names import family

MAX_QUERY, _MAX_WORDS = 1000, 60
_WORD = re.compile(r"[^\W_]+")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Between the words of `getUserName` and `HTTPServer`: many servers name their tools like that."""
_STOP_WORDS = frozenset(
    {"a", "an", "and", "are", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "in", "into", "is", "it", "its",
     "like", "me", "my", "need", "new", "of", "on", "or", "our", "please", "somebody", "someone", "that", "the", "their",
     "thi", "this", "to", "us", "use", "using", "via", "want", "we", "when", "with", "would", "you", "your"}
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
    "read": "get retrieve fetch list values",
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
    "look": "search find get lookup",
    "remember": "memory store save add",
    "near": "nearby local location place",
    "weather": "forecast",
    "write": "create add update",
}
_USUAL_LENGTH = {"description": 25, "parameters": 40}
"""Words of a description and of the names and descriptions of parameters, stop words left out, that count once."""
_SATURATION, _OF_LENGTH = 1.2, 0.75
"""BM25's k1 and b: a word of a short text says more than one of a long text, and a second one less than the first."""
# Chosen by measuring which actions real questions find (`benchmarks/integration_search.py`).
_WEIGHTS = {"app": 2.4, "action": 1.6, "nickname": 0.9, "description": 0.35, "parameters": 0.35}
_SYNONYM_FACTOR = 0.55
_PREFIX_FACTOR = 0.6
_FEATURED_WEIGHT = 1.2
_LENGTH_PENALTY = 0.06
_WHOLE_NAME_BONUS = 2.0


def stem(word: str) -> str:
    """Remove the commonest endings of a word, so that `creating`, `created` and `create` are one."""
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            word = _undouble(word.removesuffix(ending))
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _undouble(word: str) -> str:
    """Return `plan` for `plann`, but `install` as it is."""
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        return word[:-1]
    return word


def stemmed_words(text: str) -> list[str]:
    """Return the words of a text, those of camel case too, in lower case and stemmed."""
    return [stem(word) for word in _WORD.findall(_HUMPS.sub(" ", text).lower())]


def _begins_with(prefix: str, word: str) -> bool:
    return word.startswith(prefix)


def _by_weight(app: App) -> tuple[float, str]:
    return -app.weight, app.slug


def _query_words(query: str) -> list[str]:
    # Each word once, and few of them: a query may be a long text.
    words = dict.fromkeys(stemmed_words(query[:MAX_QUERY]))
    return [word for word in words if word not in _STOP_WORDS][:_MAX_WORDS]


def _shares(text: str, usual: int) -> dict[str, float]:
    """Shares of words in what a text says, as BM25 has them: 1 for a word that stands once in one of the usual length."""
    counts = Counter(word for word in stemmed_words(text) if word not in _STOP_WORDS)
    length = 1 - _OF_LENGTH + _OF_LENGTH * counts.total() / usual
    return {
        word: count * (_SATURATION + 1) / (count + _SATURATION * length) for word, count in counts.items()
    }


_STEMMED_SYNONYMS = {stem(word): frozenset(map(stem, more.split())) for word, more in _SYNONYMS.items()}


@dataclass(slots=True)
class _Entry:
    hit: Hit
    slug: str
    """The slug of the app that the entry's app name stands for."""
    app: frozenset[str]
    action: frozenset[str]
    prior: float


@dataclass(slots=True)
class ActionIndex:
    """All searchable actions. `stemmed_words` of an app are other names of it; its weight counts if a query
    names no app.
    """

    entries: list[_Entry] = field(default_factory=list["_Entry"])
    apps: dict[str, App] = field(default_factory=dict[str, App])
    _postings: dict[str, dict[int, float]] = field(
        default_factory=partial(defaultdict[str, dict[int, float]], dict)
    )
    _app_words: dict[str, set[str]] = field(default_factory=partial(defaultdict[str, set[str]], set))
    _vocabulary: list[str] = field(default_factory=list[str])
    _weights: dict[str, float] = field(default_factory=lambda: dict(_WEIGHTS))

    @classmethod
    def of(
        cls,
        apps: Iterable[App],
        actions: Iterable[tuple[Hit, str, str]],
        *,
        described: float = _WEIGHTS["description"],
    ) -> ActionIndex:
        """Build an index. `actions` are (the entry of lists, its description, what its parameters are called and mean);
        `described` is the weight of both texts.
        """
        index = cls(_weights=_WEIGHTS | {"description": described, "parameters": described})
        for app in apps:
            index.apps.setdefault(app.slug, app)
            for word in stemmed_words(f"{app.slug} {app.name} {app.words}"):
                index._app_words[word].add(app.slug)

        max_weight = max((app.weight for app in index.apps.values()), default=0.0) or 1.0
        for hit, description, parameters in actions:
            index._add(hit, {"description": description, "parameters": parameters}, max_weight)
        index._vocabulary = sorted(index._postings)
        return index

    def _add(self, hit: Hit, texts: dict[str, str], max_weight: float) -> None:
        slug = next((synonym for synonym in family(hit.app) if synonym in self.apps), hit.app)
        app = self.apps.get(hit.app) or self.apps.get(slug) or App(slug=hit.app, name=hit.app)
        of_app, nicknames = frozenset(stemmed_words(f"{app.slug} {app.name}")), stemmed_words(app.words)
        bare = hit.key.removeprefix(f"{hit.app}-")
        of_action = frozenset(stemmed_words(f"{bare} {hit.name}"))
        number = len(self.entries)
        prior = _FEATURED_WEIGHT * min(app.weight / max_weight, 1.0) - _LENGTH_PENALTY * len(of_action)
        self.entries.append(_Entry(hit, app.slug, of_app, of_action, prior))

        fields: list[tuple[str, dict[str, float]]] = [
            ("nickname", dict.fromkeys(nicknames, 1.0)),
            ("action", dict.fromkeys(of_action, 1.0)),
            ("app", dict.fromkeys(of_app, 1.0)),
            *((name, _shares(text, _USUAL_LENGTH[name])) for name, text in texts.items()),
        ]
        for name, found in fields:
            for word, share in found.items():
                weights = self._postings[word]
                # A word counts once in an action, by the most telling field that has it.
                weights[number] = max(weights.get(number, 0.0), share * self._weights[name])

    def search(self, query: str, limit: int, unseen: Container[str] = ()) -> tuple[list[Hit], list[App]]:
        """Return (actions, apps that the query names), best first. `unseen` are keys that are left
        out.
        """
        named_apps = self._named(_query_words(query))
        hits = [hit for _, hit in self.ranked(query, limit, unseen)]
        return hits, sorted(named_apps.values(), key=_by_weight)[:5]

    def ranked(self, query: str, limit: int, unseen: Container[str] = ()) -> list[tuple[float, Hit]]:
        """Return (score, action), best first. Scores of indexes of different sizes compare roughly."""
        query_words = _query_words(query)
        named_apps = self._named(query_words)
        scores: dict[int, float] = defaultdict(float)

        for word in query_words:
            for number, weight in self._matches(word).items():
                scores[number] += weight

        def rank(pair: tuple[int, float]) -> tuple[float, str]:
            # The key decides among equals, so that the order is the same each time.
            return -pair[1], self.entries[pair[0]].hit.key

        final = {
            number: self._score((number, score), query_words, named_apps) for number, score in scores.items()
        }
        # The rarest word of a large index weighs more than that of a small one.
        scale = math.log(2 + len(self.entries)) * max(len(query_words), 1)
        found = (
            (score / scale, self.entries[number].hit) for number, score in sorted(final.items(), key=rank)
        )
        return list(itertools.islice((pair for pair in found if pair[1].key not in unseen), limit))

    def most_used(self, limit: int) -> list[App]:
        """Return apps, the most used first."""
        return sorted(self.apps.values(), key=_by_weight)[:limit]

    def _score(
        self, pair: tuple[int, float], query_words: Sequence[str], named_apps: dict[str, App]
    ) -> float:
        number, score = pair
        entry = self.entries[number]
        whole = _WHOLE_NAME_BONUS if entry.slug in named_apps else 0.0
        # Words of the action that nobody asked for: of two matches the plainer one is meant.
        unmatched = len(entry.action - set(query_words) - entry.app)
        return score + whole + entry.prior - 0.15 * unmatched

    def _named(self, query_words: Sequence[str]) -> dict[str, App]:
        """Return the apps whose whole name is in the query."""
        query_set = set(query_words)
        found = {slug for word in query_words for slug in self._app_words.get(word, ())}
        return {
            slug: self.apps[slug] for slug in found if set(stemmed_words(self.apps[slug].name)) <= query_set
        }

    def _matches(self, word: str) -> dict[int, float]:
        """Return entries with the word or a synonym, each with its best score."""
        found: dict[int, float] = {}
        for other, factor in [
            (word, 1.0),
            *((synonym, _SYNONYM_FACTOR) for synonym in _STEMMED_SYNONYMS.get(word, ())),
        ]:
            self._add_scores(found, other, factor)

        similar: Iterable[str] = ()
        # A long word always, a short one only where nothing else was found: it is the beginning of
        # too many.
        if len(word) > 7:
            similar = self._same_root(word)
        elif not found and len(word) > 2:
            similar = self._similar(word)
        for other in similar:
            self._add_scores(found, other, _PREFIX_FACTOR)
        return found

    def _add_scores(self, found: dict[int, float], word: str, factor: float) -> None:
        posting = self._postings.get(word)
        if not posting:
            return
        # A word that few actions have says more.
        rarity = math.log(1 + len(self.entries) / len(posting))
        for number, weight in posting.items():
            value = factor * weight * rarity
            if value > found.get(number, 0.0):
                found[number] = value

    def _same_root(self, word: str) -> list[str]:
        """Return long words of the same root: `transcription` for `transcribe`."""
        at = bisect.bisect_left(self._vocabulary, word[:7])
        near = itertools.takewhile(partial(_begins_with, word[:7]), self._vocabulary[at : at + 50])
        return list(near) or self._similar(word)

    def _similar(self, word: str) -> list[str]:
        """Return words of the index with this prefix, else words with a similar spelling."""
        begin = [other for other in self._vocabulary if other.startswith(word)]
        return begin[:50] or difflib.get_close_matches(word, self._vocabulary, 3, 0.8)
