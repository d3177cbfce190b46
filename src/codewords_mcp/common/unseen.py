"""Characters that a reader does not see, or does not see as they are: the one definition for pages, terminals and chats."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import Final

UNSEEN: Final = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff"
)
"""Inside of a character class: controls but tab and newline, marks of direction, characters without width, fillers that are
letters, variation selectors, tags and halves of surrogate pairs. Source: Default_Ignorable_Code_Point of Unicode 15."""
_UNSEEN = re.compile(f"[{UNSEEN}]")
_CATEGORIES: Final = ("C", "Zl", "Zp")
"""Controls, formats, surrogates, private use and unassigned; line and paragraph separators."""
_SPELLED_SPACES = re.compile(" +$| {81,}")
"""Spaces that nobody counts: at the end of a line, and so many that what follows is out of sight."""
_MARK = re.compile(r"⟨U\+(10[0-9A-F]{4}|[0-9A-F]{4,5})(?: x(\d{1,7}))?⟩")
_WORD = re.compile(r"\w*[^\W\x00-\x7f]\w*")
_UNLIKE_LATIN: Final = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")
"""Beginnings of names of letters that nobody takes for another Latin letter."""
_LIKE_LATIN: Final = frozenset(
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03b1\u03b3\u03b5\u03b7"
    "\u03b9\u03ba\u03bd\u03bf\u03c1\u03c2\u03c4\u03c5\u03c7\u03c9\u0405\u0406\u0408\u0410\u0412\u0415\u041a\u041c"
    "\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0430\u0432\u0433\u0435\u043a\u043c\u043d\u043e\u043f\u0440\u0441"
    "\u0442\u0443\u0445\u0455\u0456\u0458\u0475\u04ae\u04af\u04bb\u04cf\u0501\u050c\u051a\u051b\u051c\u051d\u0570"
    "\u0575\u0578\u057d\u0581\u0585"
)
"""Letters of other alphabets that look like Latin ones. Source: confusables.txt of Unicode's UTS 39, the common ones."""


def is_unseen(character: str) -> bool:
    """Whether the character shows nothing, or turns or breaks what stands beside it. A tab and a newline do not count."""
    if character in "\t\n":
        return False
    return bool(_UNSEEN.match(character)) or unicodedata.category(character).startswith(_CATEGORIES)


def spelled(line: str) -> str:
    """A line of code with nothing out of sight: `⟨U+200B⟩` for what is not seen, is no plain space or poses as another letter.

    Different lines are spelled differently: an opening mark is spelled itself. A run of one character is spelled once, as
    `⟨U+0009 x3⟩`.
    """
    if not line.isascii():
        line = _WORD.sub(lambda found: _spelled_word(found[0]), line.replace("⟨", _mark("⟨")))
    if line.isascii() and line.isprintable() and not line.endswith(" ") and " " * 81 not in line:
        return line
    runs = ((character, sum(1 for _ in run)) for character, run in groupby(line))
    shown = "".join(_mark(*run) if _is_spelled(run[0]) else run[0] * run[1] for run in runs)
    return _SPELLED_SPACES.sub(lambda found: _mark(" ", len(found[0])), shown)


def spelled_unseen(code: str) -> str:
    """A program with `⟨U+200B⟩` for what is not seen; all else stays, so that a piece of it can be quoted for an edit."""
    if code.isascii() and "\r" not in code and code.replace("\n", "").replace("\t", "").isprintable():
        return code
    lines = code.replace("\r\n", "\n").replace("⟨U+", _mark("⟨") + "U+")
    return "".join(_mark(character) if is_unseen(character) else character for character in lines)


def unspelled(text: str) -> str:
    """The line that was spelled."""
    return _MARK.sub(lambda found: chr(int(found[1], 16)) * int(found[2] or 1), text)


def _is_spelled(character: str) -> bool:
    return character != " " and (character.isspace() or is_unseen(character))


def _spelled_word(word: str) -> str:
    if not _poses(word):
        return word
    return "".join(c if c.isascii() else _mark(c) for c in word)


def _poses(word: str) -> bool:
    """Whether a word that has other letters than ASCII can be taken for another one, as a name in code.

    Python compares names in the form NFKC, so a fullwidth `eval` runs `eval`. Words of one other alphabet are usual in comments.
    """
    others = [c for c in word if not c.isascii() and f"a{c}".isidentifier()]
    if any(unicodedata.normalize("NFKC", c) != c for c in others):
        return True
    if any(not unicodedata.name(c, "").startswith(_UNLIKE_LATIN) for c in others):
        return any(c.isascii() and c.isalpha() for c in word) or all(c in _LIKE_LATIN for c in others)
    # The letters of phonetics, as U+0261 for g.
    return any("\u0250" <= c <= "\u02ff" or "\u1d00" <= c <= "\u1dff" for c in others)


def _mark(character: str, times: int = 1) -> str:
    if times > 1:
        return f"⟨U+{ord(character):04X} x{times}⟩"
    return f"⟨U+{ord(character):04X}⟩"
