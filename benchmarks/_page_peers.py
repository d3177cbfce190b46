"""Libraries that find the main text of a page, as peers: reads pages as lines of JSON, and writes what each found.

Runs in an environment of its own. A result is text, HTML or Markdown; the benchmark makes text of all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import markdownify
import trafilatura
from lxml.etree import LxmlError
from readability import Document
from readability.readability import Unparseable
from resiliparse.extract.html2text import extract_plain_text

TOOLS: dict[str, tuple[str, Callable[[str, str], str | None]]] = {
    "trafilatura": (
        "text",
        lambda html, url: trafilatura.extract(html, url=url, include_comments=False, include_tables=True),
    ),
    "readability-lxml": ("html", lambda html, url: Document(html, url=url).summary()),
    "resiliparse": (
        "text",
        lambda html, _url: extract_plain_text(html, main_content=True, alt_texts=False, links=False),
    ),
    "markdownify": ("markdown", lambda html, _url: markdownify.markdownify(html)),
}


def main() -> None:
    """Answer one page after another; a page that a library cannot read is an empty text."""
    for line in sys.stdin:
        page = json.loads(line)
        found: dict[str, tuple[str, str]] = {}
        for name, (form, extract) in TOOLS.items():
            try:
                found[name] = form, extract(page["html"], page["url"]) or ""
            except (Unparseable, LxmlError, LookupError, RuntimeError, TypeError, ValueError) as error:
                print(f"{name}: {type(error).__name__}", file=sys.stderr)
                found[name] = form, ""
        print(json.dumps(found), flush=True)


main()
