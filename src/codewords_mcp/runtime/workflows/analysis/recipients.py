"""People whom the questions of a script are sent to: `notify` of its calls of `approvals`."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from codewords_mcp.runtime.model.recipients import ANYONE, CHANNELS, recipient_item
from codewords_mcp.runtime.workflows.analysis.evaluate import Evaluator
from codewords_mcp.runtime.workflows.analysis.values import Collection, Text, Value, texts

FIELD = "notify"
_PHONE = frozenset("0123456789 ()+.-")
_LONGEST = 200


class Recipients:
    """The items of a manifest for `notify`, as far as calls show it."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self.items: set[str] = set()
        self.is_open = False
        """A call has data that cannot be read, which may contain `notify`."""

    def read(self, data: Iterable[Value]) -> None:
        """Read the data of a call of `approvals`."""
        for value in data:
            if not isinstance(value, Collection) or not isinstance(value.node, ast.Dict):
                self.is_open = True
                continue
            for key, item in zip(value.node.keys, value.node.values, strict=True):
                if not isinstance(key, ast.Constant):
                    self.is_open = True
                elif key.value == FIELD:
                    self._notify(self._evaluator.values(item, value.scope))

    def _notify(self, values: Iterable[Value]) -> None:
        for value in values:
            if not isinstance(value, Collection) or not isinstance(value.node, ast.Dict):
                self.items.add(ANYONE)
                continue
            for key, item in zip(value.node.keys, value.node.values, strict=True):
                if not isinstance(key, ast.Constant):
                    self.items.add(ANYONE)
                elif key.value in CHANNELS:
                    targets = self._targets(self._evaluator.values(item, value.scope))
                    self.items |= {recipient_item(str(key.value), target) for target in targets}

    def _targets(self, values: Iterable[Value]) -> list[str]:
        found: list[Text] = []
        for value in values:
            if isinstance(value, Collection) and isinstance(value.node, ast.List | ast.Tuple):
                for element in value.node.elts:
                    found += texts(self._evaluator.values(element, value.scope)) or [Text(())]
            else:
                found += texts([value])
        return [_target(one) for one in found]

    def of(self, tree: ast.AST) -> set[str]:
        """All items. Where data could not be read, anyone, if the script has the word at all."""
        if self.is_open and not self.items and _has_word(tree):
            return {ANYONE}
        return self.items


def _target(found: Text) -> str:
    constant = found.constant or ""
    is_one_word = " " not in constant or all(letter in _PHONE for letter in constant)
    # Shown to a person who consents, so only the form of an address gets through, not free text.
    if 0 < len(constant) <= _LONGEST and constant.isprintable() and is_one_word:
        return constant
    return ANYONE


def _has_word(tree: ast.AST) -> bool:
    return any(
        (isinstance(node, ast.Constant) and node.value == FIELD)
        or (isinstance(node, ast.keyword) and node.arg == FIELD)
        for node in ast.walk(tree)
    )
