"""Forty web pages with what a reader wants of each and what is only furniture, generated: ten kinds in four dresses."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = [
    "river",
    "harbour",
    "lantern",
    "copper",
    "meadow",
    "engine",
    "window",
    "carpet",
    "signal",
    "garden",
    "mountain",
    "letter",
    "winter",
    "paper",
    "bridge",
    "orchard",
    "compass",
    "kettle",
    "market",
    "thunder",
    "velvet",
    "anchor",
    "pepper",
    "castle",
    "feather",
]


@dataclass(frozen=True)
class SamplePage:
    """`wanted` are texts that must come through, `furniture` texts that must not; `shape` pieces of Markdown."""

    name: str
    html: str
    expected: tuple[str, ...]
    furniture: tuple[str, ...]
    shape: tuple[str, ...]


def sentence(seed: int, words: int = 14) -> str:
    """A sentence of its own for each seed."""
    chosen = [WORDS[(seed * 7 + index * (seed % 5 + 3)) % len(WORDS)] for index in range(words)]
    return f"{' '.join(chosen).capitalize()}, number {seed}."


def _prose(seed: int, paragraphs: int) -> tuple[str, list[str]]:
    texts = [f"{sentence(seed * 100 + n)} {sentence(seed * 100 + n + 50)}" for n in range(paragraphs)]
    return "".join(f"<p>{text}</p>" for text in texts), [texts[0][:60], texts[-1][:60]]


def article() -> tuple[str, list[str], list[str]]:
    body, expected = _prose(1, 8)
    html = f"<h1>Harbour lights return</h1><p class='byline'>By the desk</p>{body}<h2>What comes next</h2><p>{sentence(199)}</p><blockquote><p>We waited long for this evening.</p></blockquote>"
    return (
        html,
        [*expected, "We waited long", sentence(199)[:40]],
        ["# Harbour lights return", "## What comes next", "> We waited long"],
    )


def reference() -> tuple[str, list[str], list[str]]:
    body, expected = _prose(2, 3)
    code = '<pre><code class="language-python">def connect(host, port=5432):\n    """Open."""\n    return Socket(host, port)\n</code></pre>'
    html = f"<h1>connect()</h1>{body}{code}<h2>Parameters</h2><table><thead><tr><th>Name</th><th>Meaning</th></tr></thead><tbody><tr><td><code>host</code></td><td>Where the server is</td></tr><tr><td><code>port</code></td><td>Which door to use</td></tr></tbody></table>"
    return (
        html,
        [*expected, "return Socket(host, port)", "Which door to use"],
        ["```python", "| Name", "## Parameters"],
    )


def pricing() -> tuple[str, list[str], list[str]]:
    rows = "".join(
        f"<div class='plan'><h3>{name}</h3><p class='price'>${price} a month</p><ul><li>{users} users</li><li>{sentence(price, 6)}</li></ul></div>"
        for name, price, users in (("Starter", 9, 3), ("Team", 29, 20), ("Company", 99, 500))
    )
    return (
        f"<h1>Plans and prices</h1><p>{sentence(300)}</p><section class='plans'>{rows}</section>",
        ["$9 a month", "$99 a month", "500 users", "Starter", sentence(300)[:40]],
        ["### Team", "3 users"],
    )


def forum() -> tuple[str, list[str], list[str]]:
    posts = "".join(
        f"<div class='post'><span class='author'>user{n}</span><div class='body'><p>{sentence(400 + n)}</p><p>{sentence(450 + n)}</p></div></div>"
        for n in range(6)
    )
    return (
        f"<h1>Pump loses pressure overnight</h1>{posts}",
        [sentence(400)[:40], sentence(455)[:40], sentence(403)[:40]],
        ["# Pump loses pressure"],
    )


def recipe() -> tuple[str, list[str], list[str]]:
    steps = "".join(f"<li>{sentence(500 + n, 9)}</li>" for n in range(5))
    html = f"<h1>Barley soup</h1><p>{sentence(590)}</p><h2>Ingredients</h2><ul><li>200 g barley</li><li>Vegetables<ul><li>2 carrots</li><li>1 leek</li></ul></li></ul><h2>Method</h2><ol>{steps}</ol>"
    return (
        html,
        ["200 g barley", "1 leek", sentence(504, 9)[:30], sentence(590)[:40]],
        ["## Ingredients", "1. ", "- 200 g barley"],
    )


def changelog() -> tuple[str, list[str], list[str]]:
    entries = "".join(
        f"<h2 id='v{n}'>Version {n}.0</h2><ul><li>{sentence(600 + n, 10)}</li><li>Fixed <a href='/issues/{n}'>#{n}</a>: {sentence(650 + n, 8)}</li></ul>"
        for n in range(9, 3, -1)
    )
    return (
        f"<h1>Release notes</h1>{entries}",
        ["Version 9.0", "Version 4.0", sentence(604, 10)[:30], sentence(659, 8)[:30]],
        ["## Version 7.0", "[#5]("],
    )


def questions() -> tuple[str, list[str], list[str]]:
    items = "".join(f"<dt>May I return item {n}?</dt><dd>{sentence(700 + n)}</dd>" for n in range(5))
    return (
        f"<h1>Questions</h1><p>{sentence(790)}</p><dl>{items}</dl>",
        ["May I return item 4?", sentence(700)[:40], sentence(790)[:40]],
        ["# Questions"],
    )


def foreign() -> tuple[str, list[str], list[str]]:
    text = "港の灯台は百年以上前に建てられ、今も毎晩船を導いています。訪れる人は階段を上り、海を見渡すことができます。"
    german = (
        "Die Fähre legt täglich um acht Uhr ab; Fahrgäste wählen Plätze am Fenster, weil die Küste schön ist."
    )
    return (
        f"<h1>灯台の歴史</h1><p>{text}</p><p>{text}</p><h2>Überfahrt</h2><p>{german}</p><p>{german} Noch einmal.</p>",
        [text[:20], "Fahrgäste wählen Plätze"],
        ["# 灯台の歴史", "## Überfahrt"],
    )


def report() -> tuple[str, list[str], list[str]]:
    parts: list[str] = []
    for n in range(60):
        body, _ = _prose(1000 + n, 9)
        parts.append(f"<h2>Chapter {n}</h2>{body}")
    return (
        "<h1>The long report</h1>" + "".join(parts),
        ["Chapter 0", "Chapter 59", sentence(100000)[:40], sentence(105908)[:40]],
        ["## Chapter 31"],
    )


def notice() -> tuple[str, list[str], list[str]]:
    return (
        "<h1>Closed on Monday</h1><p>The library is closed on Monday for repairs. Books may be returned through the slot.</p>",
        ["closed on Monday for repairs", "through the slot"],
        ["# Closed on Monday"],
    )


CONTENTS = (article, reference, pricing, forum, recipe, changelog, questions, foreign, report, notice)
_HEAD = "<meta charset=utf-8><title>{title}</title><style>.x{{color:red}}</style><script>var tracking = 'script text';</script>"
FURNITURE = (
    "Skip to navigation",
    "Careers and press",
    "All rights reserved",
    "We value your privacy",
    "Readers also liked",
    "script text",
)


def semantic(content: str, title: str) -> str:
    """A page with the landmarks of HTML."""
    return f"""<!doctype html><html lang=en><head>{_HEAD.format(title=title)}</head><body>
<header><a href="/">Site</a><nav><ul><li><a href="#m">Skip to navigation</a></li><li><a href="/a">About</a></li></ul></nav></header>
<main id=m><article>{content}</article></main>
<aside><h2>Readers also liked</h2><ul><li><a href="/1">One more</a></li></ul></aside>
<div class="cookie-banner" role="dialog">We value your privacy <button>Accept</button></div>
<footer><p>Careers and press</p><small>All rights reserved</small></footer></body></html>"""


def classes(content: str, title: str) -> str:
    """A page of divs that only their classes and ids explain."""
    return f"""<html><head>{_HEAD.format(title=title)}</head><body><div id="wrapper">
<div class="site-header"><div class="navbar"><a href="#c">Skip to navigation</a> <a href="/a">About</a></div></div>
<div id="content" class="page-content"><div class="entry">{content}</div></div>
<div class="sidebar"><h3>Readers also liked</h3><ul><li><a href="/1">One more</a></li></ul></div>
<div id="cookie-consent">We value your privacy <a href="/p">Policy</a></div>
<div class="site-footer"><a href="/c">Careers and press</a> <span>All rights reserved</span></div></div></body></html>"""


def bare(content: str, title: str) -> str:
    """A page that explains nothing, with tags left open, in a table as pages once were."""
    return f"""<html><head>{_HEAD.format(title=title)}</head><body bgcolor=white><table width=100%><tr><td colspan=2>
<a href="/n">Skip to navigation</a> | <a href="/a">About</a> | <a href="/b">Contact</a><tr><td valign=top width=20%>
<b>Readers also liked</b><br><a href="/1">One more</a><br><a href="/2">Another</a><td>
<div>{content}</div>
<tr><td colspan=2><a href="/p">We value your privacy</a> | <a href="/c">Careers and press</a> | <font size=1>All rights reserved</font></table></body></html>"""


def hashed(content: str, title: str) -> str:
    """A page of divs whose classes a build tool made."""
    return f"""<!doctype html><html><head>{_HEAD.format(title=title)}</head><body><div id="__root"><div class="css-1a9k">
<div class="css-77x"><a href="/n">Skip to navigation</a><a href="/a">About</a><a href="/s">Sign in</a></div>
<div class="css-k21"><div class="css-p0q"><div>{content}</div></div>
<div class="css-zz8"><div>Readers also liked</div><div><a href="/1">One more</a></div><div><a href="/2">Another</a></div></div></div>
<div class="css-9ff"><span>We value your privacy</span><button>Accept</button></div>
<div class="css-f00"><a href="/c">Careers and press</a><a href="/t">Terms</a><span>All rights reserved</span></div></div></div></body></html>"""


def pages() -> list[SamplePage]:
    """All forty."""
    found: list[SamplePage] = []
    for dress in (semantic, classes, hashed, bare):
        for make in CONTENTS:
            content, expected, shape = make()
            html = dress(content, make.__name__.capitalize())
            found.append(
                SamplePage(
                    f"{make.__name__}, {dress.__name__}", html, tuple(expected), FURNITURE, tuple(shape)
                )
            )
    return found
