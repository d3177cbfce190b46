"""Strings and classes of the console that nothing uses any more."""

from __future__ import annotations

import re

import pytest
from tests.unit.console.modules import CONSOLE, code_of, modules

pytestmark = pytest.mark.requirement("console:unused")

_LITERAL = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`', re.DOTALL)
_GROUP = re.compile(r"^export const (\w+) = \{(.*?)^\};", re.DOTALL | re.MULTILINE)
_EXPORT = re.compile(r"^export (?:const|function|async function|class) (\w+)", re.MULTILINE)
_KEY = re.compile(r"[{\[(]|[}\])]|(\w+):")
_CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
_MADE = re.compile(r"\bclass(?:Name)?=\$\{`([a-z-]+-)\$\{")
"""Beginnings of classes whose ends are made, such as `of-${colour}`."""


def _keys_of(body: str) -> list[str]:
    """The names of an object's own values, without those of objects in it."""
    depth, keys = 0, list[str]()
    for found in _KEY.finditer(_LITERAL.sub('""', body)):
        if found[1]:
            keys += [found[1]] if depth == 0 else []
        else:
            depth += 1 if found[0] in "{[(" else -1
    return keys


def test_each_sentence_is_shown_somewhere() -> None:
    codes = {path: code_of(path) for path in modules()}
    used = set(re.findall(r"\.(\w+)", "\n".join(codes.values())))
    groups = [
        (path.name, group[1], _keys_of(group[2]))
        for path, code in codes.items()
        if path.name.startswith("strings")
        for group in _GROUP.finditer(code)
    ]
    assert len(groups) > 20
    assert [(*where, key) for *where, keys in groups for key in keys if key not in used] == []


@pytest.mark.slow
def test_each_export_is_imported_somewhere_or_used_beside_it() -> None:
    codes = {path: code_of(path) for path in modules()}
    everything = "\n".join(codes.values())
    unused = [
        (path.name, name)
        for path, code in codes.items()
        for name in _EXPORT.findall(code)
        if len(re.findall(rf"\b{name}\b", everything)) < 2
    ]
    assert unused == []


def test_each_class_of_the_styles_is_given_to_something() -> None:
    # The editor's own classes are in its bundle.
    scripts = "\n".join(
        path.read_text(encoding="utf-8") for path in [*CONSOLE.rglob("*.js"), *CONSOLE.rglob("*.html")]
    )
    scripts += "\n".join(path.read_text(encoding="utf-8") for path in CONSOLE.glob("*.py"))
    words = set(re.findall(r"[\w-]+", scripts))
    made = tuple(_MADE.findall(scripts))
    assert made
    unused = [
        (path.name, name)
        for path in CONSOLE.rglob("*.css")
        for name in sorted(
            set(
                _CLASS.findall(
                    re.sub(r"\{[^{}]*\}|/\*.*?\*/", "{}", path.read_text(encoding="utf-8"), flags=re.DOTALL)
                )
            )
        )
        if name not in words and not name.startswith(made)
    ]
    assert unused == []
