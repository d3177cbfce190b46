"""Converts web pages to Markdown: the whole page, or its main part without navigation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urljoin

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.web.html_element import HtmlElement
from codewords_mcp.runtime.web.main_content import keep_main_content
from codewords_mcp.runtime.web.page_blocks import WHOLE

NOISE = (
    "script", "style", "noscript", "template", "iframe", "svg", "canvas", "object", "embed", "dialog", "[hidden]",
    "[aria-hidden=true]",
)  # fmt: skip
"""Never text of a page."""
_TAGS = frozenset({"nav", "aside", "footer", "form", "button", "select"})
_ROLES = frozenset(
    {"navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu"}
)


# Classes and ids of navigation, advertising and similar parts.
_NAMED = re.compile(
    r"(?:^|[\s_-])(?:nav(?:bar|igation)?|menu|sidebar|side-?bar|footer|(?:site|page|global|top)-?header|masthead|breadcrumbs?"
    r"|cookies?|consent|gdpr|banner|advert(?:isement)?s?|ads?|promo|newsletter|subscribe|share|sharing|social|related"
    r"|recommend(?:ed|ations)?|pagination|skip-?link|popup|modal)(?:$|[\s_-])",
    re.IGNORECASE,
)
_CONTENT = re.compile(r"(?:^|[\s_-])(?:content|main|article|entry|post|body)(?:$|[\s_-])", re.IGNORECASE)
_BLANK = re.compile(r"\n{3,}")
# Text that is decoded has no encoding: lxml refuses one that says otherwise.
_DECLARATION = re.compile(r"\A[\s\ufeff]*<\?xml[^>]{0,200}>", re.IGNORECASE)
# Bounded in each part, so that no page makes the search slow.
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
# Those that `lxml.html` makes whole, without addresses within styles: it copies a style once for each address in it.
_ADDRESSES = (
    "action", "archive", "background", "cite", "classid", "codebase", "data", "href", "longdesc", "profile", "src", "usemap",
    "dynsrc", "lowsrc", "formaction",
)  # fmt: skip
MAX_ATTRIBUTES = 500
"""Attributes of a tag: libxml2 takes quadratic time for them, 16 seconds for 40,000, when it makes a tree of a page."""
ENOUGH = 0.4
"""Of the text of what is left without furniture: a main part with less of it was found wrongly."""
LINKY, LINK_ROW = 0.42, 500
"""Of a part's text, in links: more is navigation. Characters that such a part has at most."""


@dataclass(frozen=True, slots=True)
class Markdown:
    """A page's text, and the metadata of its head."""

    text: str
    html: str
    title: str
    description: str
    language: str
    links: list[str]


def decode(body: bytes, content_type: str) -> str:
    """Decode a page: by its byte order mark, header, meta tag, else by its bytes. Never raises."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if body.startswith(mark):
            return body.decode(name, errors="replace")

    header = re.search(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", content_type, re.IGNORECASE)
    meta = _CHARSET.search(body[:4096])
    named = [header[1] if header else "", meta[1].decode("ascii") if meta else ""]
    for name in (*named, "utf-8"):
        try:
            return body.decode(
                # Browsers read these names as windows-1252 (WHATWG Encoding).
                {"iso-8859-1": "windows-1252", "latin-1": "windows-1252"}.get(name.lower(), name)
            )
        except (LookupError, UnicodeDecodeError):
            continue

    return body.decode("windows-1252", errors="replace")


def to_markdown(html: str, url: str, *, main: bool = True) -> Markdown:
    """The page as Markdown, with absolute links. Raises UpstreamFailed for a page that is unreadable or over MAX_ATTRIBUTES.

    Blocks for some milliseconds per 100 kB: call it in a thread.
    """
    # lxml has no types of its own.
    etree: Any = import_module("lxml.etree")
    parser: Any = import_module("lxml.html")

    try:
        # lxml ends at a null character.
        text = _DECLARATION.sub("", html.replace("\0", ""), count=1) or "<html></html>"
        etree.fromstring(text, etree.HTMLParser(target=_AttributeCounter()))
        tree: HtmlElement = parser.document_fromstring(text)
    except (etree.LxmlError, ValueError):
        raise UpstreamFailed(
            "The page cannot be read as HTML.", hint="See that the address is a web page's."
        ) from None

    head = _head(tree)
    _make_links_whole(tree, head["base"] or url)
    content_root = _main(tree) if main else tree
    content: str = etree.tostring(content_root, encoding="unicode", method="html", with_tail=False)
    targets = dict.fromkeys(map(str, content_root.xpath(".//a/@href")))
    links = [target for target in targets if target.startswith("http")]

    return Markdown(_converted(content), content, head["title"], head["description"], head["language"], links)


class _AttributeCounter:
    """Reads the tags of a page before a tree is made of them. Raises UpstreamFailed."""

    def start(self, _tag: str, attributes: Mapping[str, str]) -> None:
        """See lxml's parser targets."""
        if len(attributes) > MAX_ATTRIBUTES:
            raise UpstreamFailed(
                f"The page has a tag with more than {MAX_ATTRIBUTES} attributes.",
                hint="See that the address is a web page's.",
            )

    def close(self) -> None:
        """See lxml's parser targets."""


def _make_links_whole(tree: HtmlElement, base: str) -> None:
    """Join each address of the page with `base`; remove one that is none."""
    for element in tree.iter():
        # Comments have no attributes.
        if not isinstance(element.tag, str):
            continue
        for name in _ADDRESSES:
            if name in element.attrib:
                try:
                    element.attrib[name] = urljoin(base, element.attrib[name].strip())
                except ValueError:
                    del element.attrib[name]


def _converted(content: str) -> str:
    from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

    options = ConversionOptions(
        extract_metadata=False,
        exclude_selectors=list(NOISE),
        # It would remove whole pages that stand in a form or header.
        preprocessing=PreprocessingOptions(enabled=False),
    )
    text = convert(content, options).content or ""
    return _BLANK.sub("\n\n", text).strip() + "\n"


def _head(tree: HtmlElement) -> dict[str, str]:
    def first(path: str) -> str:
        found = tree.xpath(path)
        if found:
            return " ".join(str(found[0]).split())[:1000]
        return ""

    return {
        "title": first("//head//title/text()") or first("//title/text()"),
        "description": first("//meta[@name='description']/@content")
        or first("//meta[@property='og:description']/@content"),
        "language": first("/html/@lang")[:35],
        "base": first("//base/@href"),
    }


def _main(tree: HtmlElement) -> HtmlElement:
    """The element with the main part, without navigation and the like."""
    body = tree.find("body")
    # Not by its truth: an element without children is false in lxml.
    body = tree if body is None else body

    if keep_main_content(body):
        _flatten_layout(body)
        return body

    whole = _length(body)
    # A copy, since elements are removed on the way.
    for element in list(body.iter()):
        if element is not body and _is_furniture(element) and not _holds_page(element, whole):
            _drop(element)

    _drop_link_rows(body)
    whole = _length(body)
    for candidate in _candidates(body):
        # A mark can be wrong: a main part with little of the text is not one.
        if _length(candidate) >= ENOUGH * whole:
            return candidate

    return body


def _candidates(body: HtmlElement) -> Iterator[HtmlElement]:
    """Elements that a page marks as its main part."""
    for path in (".//main", ".//*[@role='main']", ".//article", ".//*[@itemprop='articleBody']"):
        found = body.xpath(path)
        if len(found) == 1:
            yield found[0]


def _is_furniture(element: HtmlElement) -> bool:
    tag = element.tag
    if not isinstance(tag, str) or tag in {"html", "body", "main", "article", "pre", "code", "table"}:
        return False
    if tag in _TAGS or element.get("role") in _ROLES:
        return True
    if tag == "header":
        # The header of an article has its title.
        return not any(above.tag in {"main", "article", "section"} for above in element.iterancestors())
    if tag in {"script", "style", "noscript", "template"}:
        return True

    names = f"{element.get('class', '')} {element.get('id', '')}"
    if len(names) > 1 and _NAMED.search(names) and not _CONTENT.search(names):
        # A wrapper of everything may have such a name, too.
        return element.find(".//main") is None and element.find(".//article") is None

    return False


def _holds_page(element: HtmlElement, whole: int) -> bool:
    """Whether a form or header is what a page stands in, as some systems make pages."""
    return element.tag in {"form", "header"} and _length(element) >= WHOLE * whole


def _drop(element: HtmlElement) -> None:
    """Remove an element but not the text after it."""
    if element.getparent() is not None:
        element.drop_tree()


def _drop_link_rows(body: HtmlElement) -> None:
    """Remove parts that are mostly links, unless the page is about its links; flatten layout
    tables.
    """
    # A dictionary keeps their order, and finds one without a look at all others.
    rows = dict.fromkeys(element for element in body.iter("div", "td", "center") if _is_link_row(element))
    outer = [element for element in rows if not any(above in rows for above in element.iterancestors())]
    # A page of links is about them.
    if sum(map(_length, outer)) <= (1 - ENOUGH) * _length(body):
        for element in outer:
            element.clear(keep_tail=True)
    _flatten_layout(body)


def _flatten_layout(body: HtmlElement) -> None:
    """Turn tables that only place things into plain blocks."""
    for table in [table for table in body.iter("table") if not table.xpath("./tr/th|./*/tr/th")]:
        _flatten(table)


def _is_link_row(element: HtmlElement) -> bool:
    links = element.findall(".//a")
    if len(links) < 2 or element.xpath(".//p|.//h1|.//h2|.//li|.//pre|.//td|.//img"):
        return False
    total = _length(element)
    return total < LINK_ROW and sum(map(_length, links)) >= LINKY * total


def _flatten(table: HtmlElement) -> None:
    """Turn the cells of a layout table into plain blocks: it is no table of Markdown."""
    if not any(
        data_cell.find(path) is not None
        for data_cell in table.iter("td")
        for path in (".//h1", ".//h2", ".//p", ".//div")
    ):
        return

    for element in [*table.iter("td", "tr", "tbody"), table]:
        if element is table or any(above is table for above in element.iterancestors("table")):
            element.tag = "div"
            element.attrib.clear()


def _length(element: HtmlElement) -> int:
    return sum(len(text.strip()) for text in element.itertext(with_tail=False))
