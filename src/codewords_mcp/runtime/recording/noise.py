"""Fields that differ between runs of one version on one recording, learned from such runs.

Of a noisy field its form still counts: a time stays written alike, an id as long, a number a number. Text of which nothing stays
alike cannot be compared, and is said to be so.
"""

from __future__ import annotations

import json
from collections import defaultdict

from codewords_mcp.runtime.recording.content import Value
from codewords_mcp.runtime.recording.differences import (
    ABSENT,
    ORDER,
    Difference,
    Side,
    canonical,
    differences,
)
from codewords_mcp.runtime.recording.matching import Corpus
from codewords_mcp.runtime.recording.text_samples import Judgement, judge_aligned
from codewords_mcp.runtime.recording.volatile import template

Scope = tuple[str, str]
"""(kind of request, route) of requests, ("answer", "") of the run's answer."""


class Noise:
    """The noisy fields of one recording, with samples of their values."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._samples: defaultdict[tuple[Scope, str], list[Side]] = defaultdict(list)
        self._names: dict[str, str] = {}
        self._unordered: defaultdict[Scope, set[str]] = defaultdict(set)

    @property
    def learned(self) -> bool:
        """Whether any field differs by itself."""
        return bool(self._samples)

    def learn(self, scope: Scope, before: Value, after: Value) -> None:
        """Learn from two runs of one version."""
        for one in self.between(scope, before, after):
            if one.general.endswith(ORDER):
                self._unordered[scope].add(one.general.removesuffix(ORDER).rstrip())
            self._samples[scope, one.general] += [one.before, one.after]

    def between(self, scope: Scope, before: Value, after: Value) -> list[Difference]:
        """All differences of two values, those of noisy fields included."""
        # Most are equal as they were written.
        if json.dumps(before) == json.dumps(after):
            return []
        unordered = frozenset(self._unordered[scope])
        return list(differences(self._stable(before), self._stable(after), unordered=unordered))

    def judge(self, scope: Scope, difference: Difference) -> Judgement:
        """The meaning of a difference from the version that was recorded."""
        samples = self._samples.get((scope, difference.general))
        if not samples:
            return "difference"
        after = difference.after
        if difference.general.endswith(ORDER) or canonical(after) in map(canonical, samples):
            return "noise"
        if after is ABSENT or after is None or isinstance(after, bool):
            return "difference"
        if isinstance(after, dict | list):
            return "unknown" if any(isinstance(one, dict | list) for one in samples) else "difference"
        if isinstance(after, str):
            return self._judge_text(after, [one for one in samples if isinstance(one, str)])
        return "noise" if type(after) in {type(one) for one in samples} else "difference"

    def _judge_text(self, after: str, samples: list[str]) -> Judgement:
        if not samples:
            return "difference"
        if self._is_data(after, samples):
            return "difference"
        if {_form(one) for one in samples} == {_form(after)}:
            return "noise"
        return judge_aligned(after, samples)

    def _is_data(self, after: str, samples: list[str]) -> bool:
        """Whether a made-up id became one that the run was given."""
        before = {text for one in samples for _, text in template(one)[1]}
        return any(
            kind != "time" and text not in before and self._corpus.has(text)
            for kind, text in template(after)[1]
        )

    def _stable(self, value: Value) -> Value:
        """The value with marks in the place of times and ids in names, if the run was not given them."""
        if isinstance(value, dict):
            return {self._stable_name(name): self._stable(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._stable(item) for item in value]
        return value

    def _stable_name(self, name: str) -> str:
        found = self._names.get(name)
        if found is None:
            form, tokens = template(name)
            known = any(self._corpus.has(text) for _, text in tokens)
            found = self._names[name] = name if known else form.replace("\0", "")
        return found


def _form(text: str) -> str:
    return template(text)[0]
