"""The blocks of a page's text with what tells its main part from the rest: shape, place, tags, names, neighbours.

A block is the text that an element holds itself, with that of the inline elements in it. `main_content.py` weighs the
features; `benchmarks/_fit_main_content.py` finds the weights.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from codewords_mcp.runtime.web.html_element import HtmlElement

INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn", "em", "font", "i",
     "img", "ins", "kbd", "label", "mark", "nobr", "picture", "q", "s", "samp", "small", "source", "span", "strike",
     "strong", "sub", "sup", "svg", "time", "tt", "u", "var", "wbr"}
)  # fmt: skip
UNREAD = frozenset(
    {"script", "style", "noscript", "template", "iframe", "svg", "canvas", "object", "embed", "head", "select", "option",
     "textarea", "input", "video", "audio", "map", "math"}
)  # fmt: skip
"""Elements whose text nobody reads on the page."""
_ABOVE = (
    "nav", "aside", "footer", "header", "form", "main", "article", "section", "table", "ul", "figure", "details", "dl",
    "blockquote", "button", "li", "tr", "address",
)  # fmt: skip
_ROLES = {
    "navigation": "nav", "banner": "header", "contentinfo": "footer", "complementary": "aside", "main": "main",
    "article": "article", "search": "form", "menu": "nav", "menubar": "nav", "dialog": "aside", "alertdialog": "aside",
    "alert": "aside", "tablist": "nav",
}  # fmt: skip
_NAMED = {
    "navigation": "nav navs navbar navigation menu menus mainmenu megamenu topbar toolbar tab tabs",
    "side": "sidebar side aside rail secondary widget widgets right",
    "footer": "foot footer bottom colophon copyright legal disclaimer",
    "header": "header masthead top banner hero logo branding",
    "share": "share shares sharing social addthis follow twitter facebook whatsapp like",
    "more": "related recommend recommended recommendation recommendations more readmore also popular trending latest recent"
    " similar suggested suggestions next prev previous outbrain taboola upsell crosssell carousel slider",
    "comments": "comment comments respond reply replies disqus discussion",
    "people": "post posts message thread topic forum answer question user member profile avatar reaction reactions",
    "advert": "ad ads advert adverts advertisement advertisements sponsor sponsored promo promos promotion adsense dfp gpt",
    "ask": "newsletter subscribe subscription signup signin login register cta download form contact donate",
    "consent": "cookie cookies consent gdpr privacy modal popup overlay dialog notice alert toast",
    "path": "breadcrumb breadcrumbs crumb crumbs path pagination pager pagenumbers paging",
    "meta": "meta byline author date time published tag tags taglist category categories taxonomy info details stats count"
    " views posted",
    "picture": "caption credit image img photo gallery media video thumb thumbnail",
    "contents": "toc tableofcontents contents outline onthispage",
    "hidden": "hidden hide sronly visuallyhidden screenreader skip skiplink print nojs collapse collapsed",
    "content": "content main article entry story text body prose markdown richtext copy description single pagecontent"
    " postcontent wysiwyg rte",
    "product": "product price spec specs specification specifications sku feature features faq accordion review rating"
    " testimonial testimonials plan pricing",
    "list": "list grid card cards item items result results feed archive collection listing teaser tile row",
    "filter": "filter filters facet facets sort sorting refine search searchform dropdown select options",
    "shop": "cart basket checkout wishlist account buy addtocart shop quantity compare",
}
_GROUPS: dict[str, frozenset[str]] = {}
for _group, _words in _NAMED.items():
    for _word in _words.split():
        _GROUPS[_word] = _GROUPS.get(_word, frozenset()) | {_group}
_NOTHING: frozenset[str] = frozenset()
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ENDED = re.compile(r"[.!?…:;\"”»\u3002\uff01\uff1f]$")
_LEVELS = (1, 2, 3, 5)
WHOLE = 0.8
_CONTENT = frozenset({"main", "article", "section"})
_SENTENCE = 60
"""Characters from which a paragraph with few links is counted as one of prose."""
Features = dict[str, float]


@dataclass(slots=True, eq=False)
class Part:
    """An element with sums of all text below it. `role`: by tag or role, or empty; `groups`: what its names speak of."""

    element: HtmlElement
    above: Part | None
    role: str
    groups: frozenset[str]
    hidden: bool
    linked: bool
    depth: int
    length: int = 0
    links: int = 0
    blocks: int = 0
    prose: int = 0


@dataclass(slots=True)
class TextBlock:
    """Text of one element. `links`: how many of its characters are links."""

    part: Part
    text: str = ""
    links: int = 0
    texts: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])

    @property
    def is_prose(self) -> bool:
        """True for a paragraph of some length with few links."""
        length = len(self.text)
        return self.part.element.tag == "p" and length > _SENTENCE and self.links < 0.3 * length


def blocks_of(body: HtmlElement) -> list[TextBlock]:
    """The blocks of a page with text, in its order."""
    found: list[TextBlock] = []
    parts = [_part(body, None, linked=False)]
    # Depth first without recursion: pages nest thousands of elements.
    stack = parts.copy()
    while stack:
        part = stack.pop()
        block = TextBlock(part)
        found.append(block)
        inner = [_part(element, part, linked=linked) for element, linked in _read(part.element, block)]
        parts += inner
        stack += reversed(inner)

    for block in found:
        _settle(block)
    for part in reversed(parts):
        if part.above is not None:
            part.above.length += part.length
            part.above.links += part.links
            part.above.blocks += part.blocks
            part.above.prose += part.prose
    return [block for block in found if block.text]


def _read(element: HtmlElement, block: TextBlock) -> Iterator[tuple[HtmlElement, bool]]:
    """Collect the element's own text; yield the elements that have blocks of their own, and whether a link holds them."""
    linked = block.part.linked
    block.texts.append((element.text or "", linked))
    stack: list[tuple[HtmlElement | str, bool]] = [(child, linked) for child in reversed(list(element))]
    while stack:
        child, within = stack.pop()
        if isinstance(child, str):
            block.texts.append((child, within))
            continue
        stack.append((child.tail or "", within))
        tag = child.tag
        if not isinstance(tag, str) or tag in UNREAD:
            continue
        if tag not in INLINE:
            yield child, within
            continue
        if tag == "br":
            block.texts.append((" ", False))
        inside = within or tag == "a"
        stack += [(below, inside) for below in reversed(list(child))]
        stack.append((child.text or "", inside))


def _settle(block: TextBlock) -> None:
    """Join the block's text, and count it in its part."""
    block.text = " ".join("".join(text for text, _ in block.texts).split())
    length = len(block.text)
    linked = sum(len(" ".join(text.split())) for text, linked in block.texts if linked)
    block.links = min(linked, length)
    if length:
        block.part.length, block.part.links, block.part.blocks = length, block.links, 1
        block.part.prose = int(block.is_prose)


def _part(element: HtmlElement, above: Part | None, *, linked: bool) -> Part:
    style = element.get("style", "").replace(" ", "")
    return Part(
        element,
        above,
        str(element.tag) if element.tag in _ABOVE else _ROLES.get(element.get("role", ""), ""),
        groups_of(f"{element.get('class', '')} {element.get('id', '')}"[:300]),
        "hidden" in element.attrib or element.get("aria-hidden") == "true" or "display:none" in style,
        linked,
        above.depth + 1 if above else 0,
    )


@lru_cache(4096)
def groups_of(names: str) -> frozenset[str]:
    """The groups that words of a class or id belong to, also two words as one: `skip-link`."""
    words = re.findall("[a-z]+", _HUMP.sub("-", names).lower())
    pairs = (first + second for first, second in itertools.pairwise(words))
    return frozenset(group for word in (*words, *pairs) for group in _GROUPS.get(word, _NOTHING))


def features_of(blocks: list[TextBlock]) -> list[Features]:
    """The features of each block by name; one that is absent is 0."""
    texts = Counter(block.text for block in blocks)
    alike = Counter(map(_kind, blocks))
    total = sum(len(block.text) for block in blocks)
    title = next((place for place, block in enumerate(blocks) if block.part.element.tag == "h1"), None)
    root = blocks[0].part
    while root.above is not None:
        root = root.above
    page = {
        "page links": root.links / total,
        "page prose": min(20, root.prose) / 20,
        "page length": math.log1p(total),
        "page blocks": math.log1p(len(blocks)),
    }

    rows: list[Features] = []
    before = 0
    for place, block in enumerate(blocks):
        row = page | _shape(block) | _surroundings(block.part, total)
        row["repeated"] = float(texts[block.text] > 1)
        row["alike"] = math.log1p(alike[_kind(block)])
        row["place"], row["rank"] = before / total, place / len(blocks)
        row["first tenth"], row["last tenth"] = float(before < 0.1 * total), float(before > 0.9 * total)
        row["no title"] = float(title is None)
        row["before title"] = float(title is not None and place < title)
        row["below title"] = float(title is not None and 0 < place - title < 4)
        for step in (-2, -1, 1, 2):
            row |= _neighbour(blocks, place, step)
        rows.append(row)
        before += len(block.text)
    return rows


def _kind(block: TextBlock) -> tuple[int, object, str]:
    element = block.part.element
    return id(block.part.above), element.tag, element.get("class", "")


def _shape(block: TextBlock) -> Features:
    """The block's text, and what element it is in."""
    text, length = block.text, len(block.text)
    words = text.split()
    return {
        "length": math.log1p(length),
        "length squared": math.log1p(length) ** 2 / 10,
        "links": block.links / length,
        "all links": float(block.links > 0.9 * length),
        "length without links": math.log1p(length - block.links),
        "ended": float(bool(_ENDED.search(text))),
        "marks": min(
            1.0, 3 * sum(character in ",.;!?\uff0c\u3002\u3001" for character in text) / (len(words) + 1)
        ),
        "capitals": sum(word[0].isupper() for word in words) / len(words),
        "digits": sum(character.isdigit() for character in text) / length,
        "copyright": float("©" in text),
        f"is {block.part.element.tag}": 1.0,
    }


def _surroundings(part: Part, total: int) -> Features:
    """The surroundings of a block: elements, names, and how much text and links each level holds."""
    row = {f"named {group}": 1.0 for group in part.groups}
    levels = [part]
    while (above := levels[-1].above) is not None and above.above is not None:
        levels.append(above)
    # What holds the whole page says nothing of its parts: some sites are one form, or hidden until a script has run.
    telling = [one for one in levels if one.length < WHOLE * total or one.role in _CONTENT]
    row |= {f"in {one.role}": 1.0 for one in telling if one.role}
    row["hidden"], row["depth"] = float(any(one.hidden for one in telling)), min(30, part.depth) / 10
    for level, one in enumerate(levels[1:]):
        near = "near" if level < 2 else "far"
        row |= {f"{near} {group}": 1.0 for group in one.groups}
    for level in _LEVELS:
        one = levels[min(level, len(levels) - 1)]
        row[f"up {level} links"] = one.links / max(1, one.length)
        row[f"up {level} length"] = math.log1p(one.length)
        row[f"up {level} share"] = one.length / total
        row[f"up {level} prose"] = min(5, one.prose) / 5
        row[f"up {level} block"] = math.log1p(one.length / max(1, one.blocks))
    return row


def _neighbour(blocks: list[TextBlock], place: int, step: int) -> Features:
    if not 0 <= place + step < len(blocks):
        return {f"next {step} none": 1.0}
    other = blocks[place + step]
    length = len(other.text)
    return {
        f"next {step} length": math.log1p(length),
        f"next {step} links": other.links / length,
        f"next {step} text": math.log1p(length - other.links),
        f"next {step} same": float(other.part.element.tag == blocks[place].part.element.tag),
    }
