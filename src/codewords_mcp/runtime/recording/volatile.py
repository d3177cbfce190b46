"""Parts of a text that differ from run to run: times, ids, nonces.

`template` puts a mark of their form in their place, so that two texts which differ in such parts only have equal templates. A
form keeps how a time is written and how long an id is: `2026-05-01` and `01.05.2026` have different ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?"
_ZONE: Final = r"(?:Z|\ ?(?:GMT|UTC)|\ ?[+-][0-9]{2}:?[0-9]{2})?"
_CLOCK: Final = r"[0-2][0-9]:[0-5][0-9](?::[0-6][0-9](?:[.,][0-9]{1,9})?)?"

_PART: Final = rf"""
      (?P<time>
          [12][0-9]{{3}}-[01][0-9]-[0-3][0-9](?:[T ]{_CLOCK}{_ZONE})?
        | (?:{_DAY},?\ )?[0-3]?[0-9][\ -]{_MONTH}[\ -][12][0-9]{{3}}(?:(?:\ |,\ |\ at\ ){_CLOCK}{_ZONE})?
        | (?:{_DAY},?\ )?{_MONTH}\ [0-3]?[0-9],?\ [12][0-9]{{3}}(?:(?:\ |,\ |\ at\ ){_CLOCK}{_ZONE})?
        | [0-3]?[0-9][./][0-3]?[0-9][./](?:19|20)[0-9]{{2}}(?:,?\ {_CLOCK})?
        | (?:19|20)[0-9]{{2}}[01][0-9][0-3][0-9](?:[T_-]?[0-2][0-9][0-5][0-9](?:[0-6][0-9](?:\.?[0-9]{{3,6}})?)?Z?)?
        | {_CLOCK}{_ZONE}
      )
    | (?P<epoch>(?:1[4-9][0-9]{{8}}|2[0-9]{{9}})(?:[0-9]{{9}}|[0-9]{{6}}|[0-9]{{3}})?(?:\.[0-9]{{1,9}})?)
    | (?P<uuid>[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{12}})
    | (?P<jwt>(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)
    | (?P<hex>(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{{8,}}|(?=[0-9A-F]*[0-9])(?=[0-9A-F]*[A-F])[0-9A-F]{{8,}})
"""
_INNER: Final = re.compile(rf"(?<![0-9A-Za-z])(?:{_PART})(?![0-9A-Za-z])", re.VERBOSE | re.ASCII)
_TOKENS: Final = re.compile(
    rf"(?<![0-9A-Za-z])(?=[0-9A-Z]|[a-z_-]{{1,64}}[0-9A-Z])(?:{_PART}|(?P<word>[A-Za-z0-9_-]{{9,}}))(?![0-9A-Za-z])",
    re.VERBOSE | re.ASCII,
)
_VARIES: Final = re.compile(r"[0-9]|[a-z_-][A-Z]", re.ASCII)
"""Found in each text that has such a part. It is looked for first, since most texts have none."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}", re.ASCII)
_MONTH_WORD: Final = re.compile(rf"{_MONTH}", re.ASCII)
_DAY_WORD: Final = re.compile(rf"\b{_DAY}", re.ASCII)
_WORD_DAY: Final = re.compile(r"\b[0-9]{1,2}\b(?!:)(?=[ -]\x01m)|(?<=\x01m )[0-9]{1,2}\b")
MAX_TEXT: Final = 1 << 18
"""Characters of a text in which such parts are looked for. A longer one is compared as it is."""

Token = tuple[str, str]
"""(kind, text) of a part."""


def template(text: str) -> tuple[str, tuple[Token, ...]]:
    """The text with marks in the place of such parts, and the parts."""
    if len(text) < 5 or len(text) > MAX_TEXT or _VARIES.search(text) is None:
        return text, ()
    return _template(text)


@lru_cache(maxsize=4096)
def _template(text: str) -> tuple[str, tuple[Token, ...]]:
    if _BASE64.fullmatch(text) and _mixed(text):
        return f"\0nonce{len(text)}\0", (("nonce", text),)
    tokens: list[Token] = []

    def mark(found: re.Match[str]) -> str:
        kind, part = str(found.lastgroup), found[0]
        if kind == "word":
            if not _mixed(part):
                # A plain word may hold such a part between `_` or `-`, as `report_2026-05-01` does.
                return _INNER.sub(mark, part)
            kind = "nonce"
        tokens.append((kind, part))
        return f"\0{_form(kind, part)}\0"

    return _TOKENS.sub(mark, text), tuple(tokens)


def _form(kind: str, part: str) -> str:
    if kind == "time":
        plain = _DAY_WORD.sub("\x01d", _MONTH_WORD.sub("\x01m", part))
        # Days of a month are written with one digit or two.
        return re.sub(r"[0-9]", "9", _WORD_DAY.sub("9", plain))
    if kind == "epoch":
        whole, point, _ = part.partition(".")
        return f"epoch{len(whole)}{point}"
    if kind == "jwt":
        return kind
    return f"{kind}{len(part)}"


def _mixed(word: str) -> bool:
    """Whether a word is made by chance: letters of both cases with digits, or with many changes of case."""
    lower = any(map(str.islower, word))
    upper = any(map(str.isupper, word))
    if not (lower and upper):
        return False
    if any(map(str.isdigit, word)):
        return True
    changes = sum(one.islower() != two.islower() for one, two in pairwise(word))
    return changes >= 4
