"""Selection of templates that match a description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from codewords_mcp.runtime.authoring.service_words import all_words, key_words, template_meanings
from codewords_mcp.runtime.model.authoring import Template

_WORD_WEIGHT, _PHRASE_WEIGHT = 1.2, 2.0
"""Weights of a word and of a phrase that means a template. Each outweighs any word that merely occurs in one."""
_CUTOFF_RATIO = 4
"""Matches that score this many times less than the best one are dropped."""


def nearest_template(templates: Sequence[Template], description: str) -> Template:
    """The template that shares most keywords with the description. The simplest if none does."""
    # The templates are in order of simplicity, and `max` takes the first of equal ones.
    return max(templates, key=_fit(templates, description))


def matching_templates(templates: Sequence[Template], query: str) -> list[Template]:
    """Templates that match a query, the best first, without those that match far less."""
    fit = _fit(templates, query)
    found = sorted(filter(fit, templates), key=fit, reverse=True)
    return [template for template in found if fit(template) * _CUTOFF_RATIO >= fit(found[0])]


def _fit(templates: Sequence[Template], description: str) -> Callable[[Template], float]:
    """A function that scores a template by the keywords it shares with the description."""
    described = _scores({item.id: f"{item.description} {item.category}" for item in templates}, description)
    named = _scores({item.id: f"{item.id.replace('_', ' ')} {item.title}" for item in templates}, description)
    meant = _meant(description)

    def fit(template: Template) -> float:
        return described[template.id] + named[template.id] + meant.get(template.id, 0)

    return fit


def _meant(description: str) -> dict[str, float]:
    """Scores by the words and phrases that mean a template; a word of several templates counts less."""
    meanings, found = template_meanings(), all_words(description)
    spread = Counter(word for meaning in meanings.values() for word in meaning.words)
    return {
        name: sum(_WORD_WEIGHT / spread[word] ** 0.5 for word in meaning.words_in(found))
        + _PHRASE_WEIGHT * meaning.phrases_in(found)
        for name, meaning in meanings.items()
    }


def _scores(texts: dict[str, str], description: str) -> dict[str, float]:
    """Scores of texts by the keywords shared with the description. A word that fewer texts have
    counts more.
    """
    words = {name: key_words(text) for name, text in texts.items()}
    spread = Counter(word for found in words.values() for word in found)
    description_words = key_words(description)
    return {
        # Inverse document frequency: "workflow" is in every text and says nothing.
        name: sum(1 / spread[word] for word in description_words & found)
        for name, found in words.items()
    }
