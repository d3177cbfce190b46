"""Pages to Markdown: what is kept, what goes, and pages that are broken."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.web.markdown import MAX_ATTRIBUTES, decode, to_markdown
from codewords_testing.web_pages import SamplePage, pages

PAGES = [page for page in pages() if not page.name.startswith("report")]
URL = "https://site.example/folder/page.html"


@pytest.mark.requirement("services:markdown")
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_what_a_reader_wants_is_kept_with_its_shape_and_most_furniture_goes(page: SamplePage) -> None:
    found = to_markdown(page.html, URL).text
    for piece in (*page.expected, *page.shape):
        assert piece in found
    left = [piece for piece in page.furniture if piece in found]
    assert len(left) <= 1, found
    assert "script text" not in found


@pytest.mark.requirement("services:markdown")
def test_the_whole_page_can_be_had_too() -> None:
    page = PAGES[0]
    found = to_markdown(page.html, URL, main=False)
    for piece in (*page.expected, "Careers and press", "Readers also liked"):
        assert piece in found.text
    assert found.title == "Article"
    assert found.language == "en"


@pytest.mark.requirement("services:markdown")
def test_links_and_pictures_are_made_whole() -> None:
    html = "<base href='https://base.example/x/'><body><main><p>See <a href='../y'>this</a> and <a href='javascript:alert(1)'>that</a>.</p><img src='/p.png' alt='A pier'></main>"
    found = to_markdown(html, URL)
    assert "[this](https://base.example/y)" in found.text
    assert "![A pier](https://base.example/p.png)" in found.text
    assert found.links == ["https://base.example/y"]


@pytest.mark.requirement("services:markdown")
def test_a_page_of_links_is_not_taken_for_navigation() -> None:
    html = "<body><div>" + "".join(f"<a href='/{n}'>Story {n}</a> " for n in range(20)) + "</div></body>"
    assert "[Story 19](https://site.example/19)" in to_markdown(html, URL).text


@pytest.mark.requirement("services:markdown")
@pytest.mark.parametrize("html", ["", "   ", "plain words", "<p>never closed <b>bold", "<html><body></body></html>", "\0<p>x", "<" * 3000, "<div>" * 3000 + "deep"])  # fmt: skip
def test_broken_pages_do_not_break_it(html: str) -> None:
    try:
        found = to_markdown(html, URL).text
    except UpstreamFailed:
        return
    for word in ("plain words", "never closed"):
        assert (word in found) == (word in html)


@pytest.mark.requirement("services:markdown")
@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("Grüße".encode(), "text/html", "Grüße"),
        ("Grüße".encode("latin-1"), "text/html; charset=ISO-8859-1", "Grüße"),
        ("“Grüße”".encode("cp1252"), "text/html; charset=iso-8859-1", "“Grüße”"),
        (b"<meta charset='shift_jis'>" + "灯台".encode("shift_jis"), "text/html", "灯台"),
        ("Grüße".encode("cp1252"), "text/html; charset=utf-8", "Grüße"),
        ("灯台".encode("utf-16"), "text/html", "灯台"),
        ("Grüße".encode("utf-8-sig"), "text/html; charset=latin-1", "Grüße"),
        ("Grüße".encode(), "text/html; charset=no-such", "Grüße"),
        (b"\xff\x81\x00", "text/html", "ÿ"),
    ],
)
def test_a_page_is_read_in_the_charset_that_it_is_in(body: bytes, content_type: str, text: str) -> None:
    assert text in decode(body, content_type)


def _seconds(shape: Callable[[int], str], count: int) -> float:
    """The processor time of one page's conversion: the best of three."""
    html = "<html><body>" + shape(count)
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        to_markdown(html, URL)
        best = min(best, time.thread_time() - began)
    return best


GROWING: dict[str, Callable[[int], str]] = {
    "addresses of a style": lambda count: "<p style='" + "a:url(x);" * 4 * count + "'>x",
    "a wide table": lambda count: (
        "<table><tr>" + "<th>x" * count + "</tr>" + "<tr><td>x" * count + "</table>"
    ),
    "rows of links": lambda count: "<div><a href=x>aaaaa</a><a href=y>bbbbb</a></div>" * count,
    "forms": lambda count: "<form><main>x</main>" * count,
}


@pytest.mark.requirement("services:markdown")
@pytest.mark.parametrize("shape", GROWING)
def test_the_work_for_a_page_grows_as_the_page_does(shape: str) -> None:
    """Eight times the page is eight times the work; where each part were compared with all others, it would be 64 times."""
    small, large = _seconds(GROWING[shape], 250), _seconds(GROWING[shape], 2000)
    assert large < 24 * small


@pytest.mark.requirement("services:markdown")
@pytest.mark.parametrize("count", [500, 40_000])
def test_a_page_with_a_tag_of_absurdly_many_attributes_is_refused(count: int) -> None:
    html = (
        "<body><p>Words.</p><p " + " ".join(f'a{number}=">"' for number in range(count)) + ">More words.</p>"
    )
    if count <= MAX_ATTRIBUTES:
        assert "More words." in to_markdown(html, URL).text
    else:
        with pytest.raises(UpstreamFailed, match="more than 500 attributes"):
            to_markdown(html, URL)
