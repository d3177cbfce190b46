"""The main part of pages that mark nothing: found by the shape of text, its place, and what is around it."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.web.markdown import to_markdown
from codewords_mcp.runtime.web.page_blocks import groups_of
from codewords_testing.web_pages import pages

pytestmark = [pytest.mark.requirement("services:markdown")]
URL = "https://site.example/folder/page.html"
SENTENCES = [
    f"The harbour master counted {number} boats on the quay, and wrote down what each of them had brought, where from, and for whom."
    for number in range(20, 60)
]
MENU = "".join(
    f"<li><a href='/section/{name}'>{name}</a></li>"
    for name in ["News", "Sport", "Money", "Travel", "Health", "Science", "Arts", "Video"]
)
MORE = "".join(
    f"<div class='c9'><a href='/story/{number}'><h3>Another story number {number}</h3></a><span>{number} May</span></div>"
    for number in range(12)
)
TABLE = (
    "<table><tr><th>Boat</th><th>Freight</th></tr>"
    + "".join(f"<tr><td>No. {n}</td><td>{n} t</td></tr>" for n in range(6))
    + "</table>"
)


def page(article: str, *, around: str = "<div class='x1'>{}</div>") -> str:
    """A page without marks and telling names: a menu, the article, other stories, and a foot."""
    foot = "<div class='f2'><a href='/terms'>Terms</a><a href='/jobs'>Jobs</a><span>© 2026 The Paper</span></div>"
    inner = f"<div class='a1'><ul>{MENU}</ul></div><div class='b7'>{article}</div><div class='r3'>{MORE}</div><ul>{MENU}</ul>{foot}"
    return f"<html><head><title>Boats</title></head><body>{around.format(inner)}</body></html>"


ARTICLE = "<h1>The boats are back</h1>" + "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)


def test_of_a_page_without_marks_the_text_is_kept_and_what_is_around_it_goes() -> None:
    found = to_markdown(page(ARTICLE), URL).text
    assert found.startswith("# The boats are back")
    for sentence in SENTENCES:
        assert sentence in found
    for furniture in ("Travel", "Another story number 7", "Jobs", "The Paper"):
        assert furniture not in found


@pytest.mark.parametrize(
    "around",
    [
        "<form id='aspnetForm' action='/page'>{}</form>",
        "<header>{}</header>",
        "<div aria-hidden='true'>{}</div>",
        "<div style='display: none'>{}</div>",
        "<div hidden>{}</div>",
    ],
)
def test_a_page_is_not_lost_for_what_it_stands_in_as_a_whole(around: str) -> None:
    found = to_markdown(page(ARTICLE, around=around), URL).text
    assert SENTENCES[0] in found
    assert SENTENCES[-1] in found
    assert "Another story number 7" not in found


def test_each_section_of_a_long_page_has_its_title_also_the_last_one() -> None:
    for sample in pages():
        if len(sample.html) > 100_000:
            found = to_markdown(sample.html, URL).text
            assert [piece for piece in sample.expected if piece not in found] == []


@pytest.mark.parametrize("around", ["<form action='/page'>{}</form>", "<header>{}</header>"])
def test_a_small_page_is_not_lost_for_its_form_or_header_either(around: str) -> None:
    inside = "<nav><a href='/n'>Menu</a></nav><h1>The boats are back</h1><p>Three of them.</p><form>Your mail</form>"
    found = to_markdown(f"<html><body>{around.format(inside)}</body></html>", URL).text
    assert found == "# The boats are back\n\nThree of them.\n"


def test_of_a_whole_page_forms_and_headers_stay_too() -> None:
    html = "<body><header><p>Above</p></header><form><p>In a form</p></form><nav><a href='/n'>Menu</a></nav></body>"
    found = to_markdown(html, URL, main=False).text
    for piece in ("Above", "In a form", "[Menu](https://site.example/n)"):
        assert piece in found


def test_code_a_table_and_a_picture_in_the_text_stay_with_it() -> None:
    middle = "<pre>count(boats)</pre>" + TABLE + "<figure><img src='/quay.png' alt='The quay'></figure>"
    half = len(SENTENCES) // 2
    before, after = (
        "".join(f"<p>{one}</p>" for one in part) for part in (SENTENCES[:half], SENTENCES[half:])
    )
    logo = f"<div class='l0'><div><img src='/logo.png' alt='The Paper'></div><ul>{MENU}</ul></div>"
    found = to_markdown(page(before + middle + after, around=logo + "<div>{}</div>"), URL).text
    for piece in ("count(boats)", "| Boat", "No. 0", "No. 5", "![The quay](https://site.example/quay.png)"):
        assert piece in found
    assert "logo.png" not in found


def test_text_beside_kept_blocks_goes_without_them() -> None:
    article = ARTICLE.replace("<h1>", "<div>Ad<a href='/buy'>buy</a><h1>").replace("</h1>", "</h1>x</div>")
    found = to_markdown(page(article), URL).text
    assert "# The boats are back" in found
    assert "https://site.example/buy" not in found


@pytest.mark.parametrize(
    "declaration", ["<?xml version='1.0' encoding='utf-8'?>", "\n<?XML version='1.0' encoding='latin-1'?>"]
)
def test_a_page_that_says_its_encoding_as_xml_does_is_read(declaration: str) -> None:
    assert "Some text" in to_markdown(f"{declaration}<html><body><p>Some text</p></body></html>", URL).text


def test_a_page_with_thousands_of_blocks_in_hundreds_of_levels_is_read() -> None:
    deep = (
        "<div class='d'>" * 200
        + "".join(f"<div>{n} <a href='/{n}'>more</a></div>" for n in range(3000))
        + "</div>" * 200
    )
    assert SENTENCES[3] in to_markdown(page(ARTICLE + deep), URL).text


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("main-nav", {"navigation"}),
        ("skip-link", {"hidden"}),
        ("siteFooter", {"footer"}),
        ("RelatedArticles", {"more"}),
        ("css-1x9", set[str]()),
        ("", set[str]()),
    ],
)
def test_names_of_classes_are_read_by_their_words(names: str, groups: set[str]) -> None:
    assert groups <= groups_of(names)
    assert bool(groups) == bool(groups_of(names))
