"""Selection of library services that match a description.

Only listed words count. Counting all words of a service's summary selected unrelated services.
"""

from __future__ import annotations

from collections.abc import Iterable

from codewords_mcp.runtime.authoring.service_words import all_words, key_words, service_meanings, stem
from codewords_mcp.runtime.model.service import ServiceInfo

MAX_SERVICES = 3
_SURE, _HINT, _SHARED = 3, 1, 2
"""Scores of a word that means a service and of one that hints at it. Number of words that a service
of another package has to share.
"""
_NAMED_MODELS = ("anthropic", "gemini")
"""Providers that a description may name. The default provider is then not meant, unless it is named too."""
_DEFAULT_MODEL = {stem(word) for word in ("openai", "gpt", "chatgpt")}
_RIVALS = {"hunter": "send_email", "github": "searchapi", "reddit": "searchapi", "pipedream": "searchapi"}
"""Pairs of services with the same hints: service → the one that it displaces."""


def choose_services(services: Iterable[ServiceInfo], description: str) -> list[ServiceInfo]:
    """Available services that match the description, the best first."""
    there = [service for service in services if not service.unavailable]
    words = all_words(description)
    scores = {service.name: _score(service, description, words) for service in there}

    # Somebody who names Claude doesn't want OpenAI, though "summarise" suggests it.
    if any(scores.get(name) for name in _NAMED_MODELS) and not words & _DEFAULT_MODEL:
        scores["openai"] = 0
    for name, rival in _RIVALS.items():
        # Only a rival that isn't named for certain by a word of its own gives way.
        if scores.get(name, 0) >= _SURE > scores.get(rival, 0) - _SURE:
            scores[rival] = 0

    chosen = sorted(there, key=lambda service: -scores[service.name])
    return [service for service in chosen[:MAX_SERVICES] if scores[service.name]]


def _score(service: ServiceInfo, description: str, words: set[str]) -> int:
    meanings = service_meanings().get(service.name)
    # services of other packages have no word list here
    if meanings is None:
        shared = key_words(f"{service.name.replace('_', ' ')} {service.title} {service.summary}")
        found = key_words(description)
        if len(shared & found) >= _SHARED or key_words(service.name.replace("_", " ")) <= found:
            return _SURE
        return 0

    sure, hints = meanings
    return _SURE * (len(sure.words_in(words)) + sure.phrases_in(words)) + _HINT * (
        len(hints.words_in(words)) + hints.phrases_in(words)
    )
