"""Fields that differ between runs of one version on one recording, learned from such runs.

Of a noisy field its form still counts: a time stays written alike, an id as long, a number a number. Text of which nothing stays
alike cannot be compared, and is said to be so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Final

from codewords_mcp.runtime.recording.content import Value
from codewords_mcp.runtime.recording.differences import (
    ABSENT,
    ORDER,
    Difference,
    Side,
    canonical,
    differences,
)
from codewords_mcp.runtime.recording.exchanges import REDACTED
from codewords_mcp.runtime.recording.matching import Corpus
from codewords_mcp.runtime.recording.relative_times import moves_alike
from codewords_mcp.runtime.recording.text_samples import Judgement, judge_aligned
from codewords_mcp.runtime.recording.volatile import template

Scope = tuple[str, str]
"""(kind of request, route) of requests, ("answer", "") of the run's answer."""


MAX_SAMPLES: Final = 100
"""Values of one field whose form is compared. A list of many rows has as many of each run."""
_Sample = tuple[Side, float]
"""(value, seconds since 1970 when its run began)."""


class Noise:
    """The noisy fields of one recording, with samples of their values. `longest` is the length of its run in seconds."""

    def __init__(self, corpus: Corpus, longest: float = 0.0) -> None:
        self._corpus = corpus
        self._longest = longest
        self._samples: defaultdict[tuple[Scope, str], list[_Sample]] = defaultdict(list)
        self._known: defaultdict[tuple[Scope, str], set[str]] = defaultdict(set)
        self._names: dict[str, str] = {}
        self._unordered: defaultdict[Scope, set[str]] = defaultdict(set)

    @property
    def learned(self) -> bool:
        """Whether any field differs by itself."""
        return bool(self._samples)

    def learn(self, scope: Scope, before: Value, after: Value, clocks: tuple[float, float]) -> None:
        """Learn from two runs of one version, which began at these times."""
        for one in self.between(scope, before, after):
            if one.general.endswith(ORDER):
                self._unordered[scope].add(one.general.removesuffix(ORDER).rstrip())
            self._add(scope, one.general, one.before, clocks[0])
            self._add(scope, one.general, one.after, clocks[1])

    def _add(self, scope: Scope, general: str, value: Side, clock: float) -> None:
        if value == REDACTED:
            # Of another home: what it was is not known.
            return
        self._known[scope, general].add(canonical(value))
        samples = self._samples[scope, general]
        if len(samples) < MAX_SAMPLES:
            samples.append((value, clock))

    def between(self, scope: Scope, before: Value, after: Value) -> list[Difference]:
        """All differences of two values, those of noisy fields included."""
        # Most are equal as they were written.
        if json.dumps(before) == json.dumps(after):
            return []
        unordered = frozenset(self._unordered[scope])
        return list(differences(self._stable(before), self._stable(after), unordered=unordered))

    def judge(self, scope: Scope, difference: Difference, clock: float) -> Judgement:
        """The meaning of a difference from the version that was recorded, in a run that began at `clock`."""
        samples = self._samples.get((scope, difference.general))
        if not samples:
            return "difference"
        after = difference.after
        if difference.general.endswith(ORDER) or canonical(after) in self._known[scope, difference.general]:
            return "noise"
        values = [one for one, _ in samples]
        # These have no form that could be compared: only having been seen makes them noise.
        if after is ABSENT or after is None or isinstance(after, bool):
            return "difference"
        if isinstance(after, dict | list):
            if any(isinstance(one, dict | list) for one in values):
                return "unknown"
            return "difference"
        if isinstance(after, str):
            return self._judge_text(after, clock, [(one, at) for one, at in samples if isinstance(one, str)])
        if type(after) not in {type(one) for one in values}:
            return "difference"
        numbers = [(repr(one), at) for one, at in samples if type(one) is type(after)]
        if self._keeps_distance(repr(after), clock, numbers):
            return "noise"
        return "difference"

    def _judge_text(self, after: str, clock: float, samples: list[tuple[str, float]]) -> Judgement:
        if not samples:
            return "difference"
        texts = [text for text, _ in samples]
        if self._is_data(after, texts) or not self._keeps_distance(after, clock, samples):
            return "difference"
        if {_form(one) for one in texts} == {_form(after)}:
            return "noise"
        return judge_aligned(after, texts)

    def _keeps_distance(self, after: str, clock: float, samples: list[tuple[str, float]]) -> bool:
        """Whether the times in a text are as far from the clock as they were."""
        form, tokens = template(after)
        rows = [(template(text), at) for text, at in samples]
        alike = [(known, at) for (known_form, known), at in rows if known_form == form]
        return all(
            moves_alike(token, clock, [(known[place], at) for known, at in alike], longest=self._longest)
            for place, token in enumerate(tokens)
        )

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
