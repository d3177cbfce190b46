"""What a script may do is read right, however it is written; and whatever it is, reading it never fails."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.workflows.analysis_programs import HEADER, PROGRAMS, Program

from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.workflows.analysis import AnalysisResult, derive
from codewords_mcp.runtime.workflows.script import Script, parse_script


def script(code: str, *, env: tuple[str, ...] = (), tool: tuple[str, ...] = ()) -> Script:
    names = ", ".join(f'"{name}"' for name in ("PORT=8000", *env))
    return parse_script(HEADER.format(env=names, tool="".join(f"# {line}\n" for line in tool)) + code)


def read(program: Program) -> AnalysisResult:
    return derive(script(program.code, env=program.env, tool=program.tool))


@pytest.mark.requirement("manifest:derived")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.title)
def test_a_tricky_program_is_read_right(program: Program) -> None:
    found = read(program).manifest
    above = HEADER.count("\n") + len(program.tool)
    shown: dict[str, Any] = {name: value for name, value in found.model_dump().items() if value}
    if "secrets" in shown:
        shown["secrets"] = tuple(secret["name"] for secret in shown["secrets"] if not secret["optional"])
        shown = {name: value for name, value in shown.items() if value}
    for lines in ("open_lines", "service_lines"):
        if lines in shown:
            shown[lines] = tuple(line - above for line in shown[lines])
    assert shown == program.expected


SEED: dict[str, dict[str, Any]] = {
    "greeting": {},
    "linkedin_profile_enricher": {
        "models": ("openai",),
        "services": ("chrome_extension",),
        "pages": ("*",),
        "browsers": ("chrome_extension",),
    },
    "support_ticket_analyzer": {
        "models": ("openai",),
        "services": ("pipedream",),
        "actions": ("hubspot: update-ticket (writes)",),
        "connections": ("hubspot",),
    },
    "website_monitor": {
        "models": ("anthropic",),
        "services": ("firecrawl: scrape", "pipedream", "redis_coordinator"),
        "pages": ("*",),
        "actions": ("slack: send-message (writes)",),
        "connections": ("slack",),
        "secrets": ({"name": "SLACK_BOT_TOKEN", "hosts": None, "optional": False},),
    },
}


@pytest.mark.requirement("manifest:derived")
@pytest.mark.parametrize("name", SEED)
def test_the_seeds_programs_are_read_right(seed_examples: Path, name: str) -> None:
    found = derive(parse_script((seed_examples / f"{name}.py").read_text(encoding="utf-8")))
    assert {key: value for key, value in found.manifest.model_dump().items() if value} == SEED[name]


@pytest.mark.requirement("manifest:derived")
def test_every_template_is_read_right() -> None:
    found = {one.id: derive(parse_script(one.code)).manifest for one in templates()}
    asking = {name: manifest for name, manifest in found.items() if manifest.grants()}
    quiet = {one.id for one in templates() if not one.services}
    assert quiet & asking.keys() == {"web_page_facts", "for_each", "event_to_chat", "run_failed"}
    assert {name for name, manifest in asking.items() if manifest.hosts == ("*",)} == {
        "broken_links",
        "file_backup",
        "file_intake",
        "rss_digest",
        "rss_to_chat",
        "sheet_watch",
        "uptime_check",
        "web_page_facts",
    }
    assert asking["contact_sync"].hosts == ("api.hubapi.com",)
    assert asking["alert_router"].addresses == ("CHAT_WEBHOOK_URL",)
    # Which workflow it runs is only known when it runs.
    assert [name for name, manifest in found.items() if manifest.service_lines] == ["for_each"]
    assert found["for_each"].service_names == {"*"}


@pytest.mark.requirement("manifest:asked-not-guessed")
def test_what_cannot_be_read_is_said_with_its_line_and_how_to_declare_it() -> None:
    dynamic = script("import httpx\ndef f(url):\n    httpx.get(url)\n")
    [note] = derive(dynamic).notes
    assert (note.status, note.line) == ("note", dynamic.code.splitlines().index("    httpx.get(url)") + 1)
    assert "any host of the internet" in note.message
    assert "# hosts = [" in (note.fix or "")
    [note] = derive(script("import obscure\n")).notes
    assert "`obscure`" in note.message
    [note] = derive(
        script('import httpx\nhttpx.get("https://b.example")\n', tool=('egress = ["a.example"]',))
    ).notes
    assert (note.status, "b.example" in note.message) == ("warning", True)


@pytest.mark.requirement("manifest:secrets")
def test_a_secret_with_a_host_rule_brings_its_host_and_one_without_is_plain() -> None:
    asking = script("", env=("STRIPE_API_KEY", "OTHER", "MODE=fast"))
    found = derive(asking, rules={"STRIPE_API_KEY": ["api.stripe.com"]}).manifest
    assert found.hosts == ("api.stripe.com",)
    assert [(one.name, one.hosts) for one in found.secrets] == [
        ("MODE", None),
        ("OTHER", None),
        ("STRIPE_API_KEY", ("api.stripe.com",)),
    ]
    assert (
        "MODE, if it is set (plain: the code can read it), OTHER (plain: the code can read it)"
        in "\n".join(found.lines())
    )


@pytest.mark.requirement("manifest:asked-not-guessed")
@pytest.mark.slow
def test_code_that_cannot_be_followed_asks_for_everything() -> None:
    unread = dataclasses.replace(script("import httpx\n"), tree=None)
    assert derive(unread).manifest.hosts == ("*",)
    assert derive(unread).manifest.services == ("*",)
    calls = "\n".join(
        f"def f{n}(x):\n    return [f{m}(x) + f{n}(x) for f in (f{m},)]"
        for n, m in zip(range(1, 4000), range(3999), strict=True)
    )
    large = derive(script(f"import httpx\ndef f0(x):\n    return x\n{calls}\nhttpx.get(f3999('x'))\n"))
    assert large.manifest.hosts == ("*",)


_NAMES = st.sampled_from(
    ["httpx", "requests", "url", "client", "os", "f", "self", "x", "environ", "str", "URLS", "C"]
)
_TEXTS = st.sampled_from(
    [
        "https://a.example/",
        "https://{}",
        "%s%d",
        "",
        "://",
        "https://[",
        "http://\\x00",
        "host=",
        "é",
        "{a!r",
        "*.",
    ]
)


def _expressions() -> st.SearchStrategy[str]:
    atoms = st.one_of(_NAMES, _TEXTS.map(repr), st.integers(-3, 3).map(str), st.just("None"))
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda p: f"({p[0]} + {p[1]})"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]} % {p[1]})"),
            st.tuples(inner, _NAMES).map(lambda p: f"({p[0]}).{p[1]}"),
            st.tuples(
                inner,
                st.sampled_from(["get", "run", "format", "join", "items", "request", "connect", "replace"]),
                inner,
                inner,
            ).map(lambda p: f"({p[0]}).{p[1]}({p[2]}, url={p[3]})"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]})[{p[1]}]"),
            st.tuples(inner, inner).map(lambda p: f"({p[0]})({p[1]}, *{p[1]}, **{p[0]})"),
            st.lists(inner, max_size=3).map(lambda p: f"[{', '.join(p)}]"),
            st.tuples(inner, inner).map(lambda p: f"{{{p[0]}: {p[1]}, **{p[0]}}}"),
            st.tuples(inner, _NAMES, inner).map(lambda p: f"[{p[0]} for {p[1]} in {p[2]}]"),
            st.tuples(_NAMES, inner).map(lambda p: f"(lambda {p[0]}: {p[1]})"),
            st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
            st.tuples(_NAMES, inner).map(lambda p: f"({p[0]} := {p[1]})"),
            st.tuples(inner).map(
                lambda p: (
                    f"f'https://{{{p[0]!s}}}.example.com'" if "'" not in p[0] and "\\" not in p[0] else p[0]
                )
            ),
        ),
        max_leaves=8,
    )


def _statements() -> st.SearchStrategy[str]:
    expression = _expressions()
    return st.one_of(
        expression,
        st.tuples(_NAMES, expression).map(lambda p: f"{p[0]} = {p[1]}"),
        st.tuples(_NAMES, _NAMES, expression).map(lambda p: f"{p[0]}, *{p[1]} = {p[2]}"),
        st.tuples(_NAMES, expression).map(lambda p: f"{p[0]} += {p[1]}"),
        st.tuples(_NAMES, _NAMES, expression).map(lambda p: f"{p[0]}.{p[1]} = {p[2]}"),
        st.tuples(_NAMES, expression).map(lambda p: f"for {p[0]} in {p[1]}: httpx.get({p[0]})"),
        st.tuples(_NAMES, expression).map(lambda p: f"with {p[1]} as {p[0]}: {p[0]}.get({p[0]})"),
        st.tuples(_NAMES, _NAMES, expression).map(
            lambda p: f"def {p[0]}({p[1]}={p[2]}, /, *a, k: {p[0]} = 1, **b): return {p[2]}"
        ),
        st.tuples(_NAMES, _NAMES, expression).map(
            lambda p: (
                f"class {p[0]}({p[1]}):\n    x: str = {p[2]}\n    def f(self): self.x = {p[2]}; return self.x"
            )
        ),
        st.tuples(_NAMES, _NAMES).map(lambda p: f"import {p[0]} as {p[1]}"),
        _NAMES.map(lambda name: f"from {name} import *"),
        _NAMES.map(lambda name: f"global {name}"),
        st.tuples(expression, _NAMES).map(
            lambda p: f"match {p[0]}:\n    case [{p[1]}, *_]: pass\n    case _: pass"
        ),
    )


@pytest.mark.requirement("manifest:never-fails")
@settings(max_examples=150, deadline=None)
@given(st.lists(_statements(), max_size=8))
def test_whatever_parses_has_a_manifest(statements: list[str]) -> None:
    code = "\n".join(statements) + "\n"
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    with contextlib.suppress(SyntaxWarning):
        assert isinstance(derive(script(code)).manifest, Manifest)


@pytest.mark.requirement("manifest:never-fails")
@pytest.mark.parametrize(
    "code",
    [
        "import httpx\nhttpx.get(" + "+".join(["'a'"] * 2000) + ")\n",
        "import httpx\nx = 'a'\n" + "x = x + x\n" * 300 + "httpx.get(x)\n",
        "import httpx\n"
        + "".join(f"x{n + 1} = [x{n}, x{n}]\n" for n in range(60))
        + "for u in x60: httpx.get(u)\n",
        "import httpx\n"
        + "".join(f"x{n + 1} = f'{{x{n}}}{{x{n}}}'\n" for n in range(60))
        + "httpx.get(x60)\n",
        "import httpx\nhttpx.get(" + "f(" * 80 + "1" + ")" * 80 + ")\n",
        "x" + ".a" * 800 + "()\n",
        "\ndef f():\n    nonlocal_ = 1\nclass A:\n    class B(A): x = A.B.x\n    y = B.x\nA.B.x()\n",
    ],
    ids=[
        "long sum",
        "doubling",
        "nested lists",
        "nested texts",
        "nested calls",
        "long chain",
        "circular classes",
    ],
)
def test_what_grows_without_end_is_cut_off(code: str) -> None:
    assert isinstance(derive(script(code)).manifest, Manifest)


@pytest.mark.requirement("gateway:account")
@pytest.mark.parametrize(
    ("line", "items"),
    [
        ("client.files.list()", True),
        ("client.files.delete('f')", True),
        ("client.fine_tuning.jobs.list()", True),
        ("client.batches.create(input_file_id='f')", True),
        ("client.beta.vector_stores.files.list('v')", True),
        ("client.files.create(file=b'x', purpose='user_data')", False),
        ("client.responses.create(model='gpt-4o-mini', input='x')", False),
        ("{}.items()", False),
    ],
)
def test_use_of_the_account_at_a_provider_is_an_item_of_its_own(line: str, *, items: bool) -> None:
    code = f"from openai import OpenAI\nclient = OpenAI()\n{line}\n"
    found = derive(script(code)).manifest.models
    assert found == (("openai", "openai: account (files, batches, models)") if items else ("openai",))


@pytest.mark.requirement("gateway:account")
def test_a_header_names_the_account_at_a_provider() -> None:
    manifest = derive(script("print(1)\n", tool=('services = ["openai: account", "gemini"]',))).manifest
    assert manifest.models == ("gemini", "openai: account (files, batches, models)")
    assert manifest.workflows == ()
    anything = Manifest(services=("*",), models=("openai",))
    assert [grant.item for grant in manifest.widens(anything)] == ["openai: account (files, batches, models)"]
