"""Every program of the cookbook is deployed and run in a sandbox, with servers on loopback for what is outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from tests.docs.pages import ROOT, Block, blocks
from tests.integration.authoring.outside_services import FEED, ISSUE, PAGE, World
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import Answer, Asked, StandIn, serving
from tests.support.runtime import make_home

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders, loopback_providers
from codewords_testing.providers.scripted import chat_reply

PAGES = sorted(path for path in (ROOT / "docs" / "cookbook").glob("*.md") if path.name != "README.md")
MODEL_WORDS = {
    "ticket_sorting": {"team": "billing", "urgent": False},
    "invoice_fields": {"number": "2041", "date": "2026-05-03", "amount": 1450.0},
    "translate": "Bonjour",
}
"""The answer of the model where a program asks one."""
TOKEN = "token-of-the-cookbook-3f9a"


def _marked(page: Path, mark: str) -> Block:
    [block] = [block for block in blocks(page) if block.mark and block.mark[0] == mark]
    return block


class Outside(World):
    """A site, a feed, GitHub's search, an API that fails the first time, and one that wants a token."""

    failed = False

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/flaky":
            before, self.failed = self.failed, True
            return Answer(200, b"well") if before else Answer(503)
        if asked.path == "/private":
            let_in = asked.headers.get("authorization") == f"Bearer {TOKEN}"
            return Answer(200 if let_in else 401, b"let in" if let_in else b"who are you")
        return super().answer(asked)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    for stand_in in serving(StandIn()):
        made = Outside(stand_in)
        stand_in.answer = made.answer
        made.page("/", PAGE.format(extra=""))
        made.page("/feed", FEED, "application/rss+xml")
        issues = {"total_count": 1, "incomplete_results": False, "items": [ISSUE]}
        made.page("/search/issues", json.dumps(issues), "application/json")
        yield made


@pytest.fixture(scope="module")
def models() -> Iterator[LoopbackProviders]:
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="module")
def http(
    tmp_path_factory: pytest.TempPathFactory, world: World, models: LoopbackProviders
) -> Iterator[httpx.Client]:
    port = world.outside.rpartition(":")[2]
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("cookbook") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": [f"127.0.0.1:{port}", f"{HOST_ALIAS}:{port}"],
            "openai_base_url": models.url,
            "github_base_url": world.outside,
        }
    )
    with Door(settings) as opened, opened.client() as client:
        secrets = {"OPENAI_API_KEY": "sk-of-the-cookbook", "SHOP_TOKEN": TOKEN}
        for name, value in secrets.items():
            client.put(
                f"/secrets/{name}", json={"value": value, "plain": name == "SHOP_TOKEN"}
            ).raise_for_status()
        yield client


def _agrees(said: Any, shown: Any) -> bool:
    """Whether an answer is the one that a page shows; "…" stands for any text."""
    if isinstance(shown, dict) and isinstance(said, dict):
        pairs = cast("dict[str, Any]", shown)
        return said.keys() == pairs.keys() and all(_agrees(said[name], pairs[name]) for name in pairs)
    if shown == "…":
        return isinstance(said, str) and said != ""
    return said == shown


@pytest.mark.slow
@pytest.mark.requirement("docs:cookbook")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_program_of_the_cookbook_answers_as_its_page_says(
    page: Path, http: httpx.Client, world: World, models: LoopbackProviders
) -> None:
    # What is outside of the sandbox is asked by the sandbox itself, or by a service for it.
    there = {"https://pages.example": world.outside, "https://api.example": world.inside}
    given, answer = _marked(page, "input").text, _marked(page, "answer").text
    for name, real in there.items():
        given, answer = given.replace(name, real), answer.replace(name, real)
    if page.stem in MODEL_WORDS:
        said = MODEL_WORDS[page.stem]
        models.answer_next(chat_reply(said if isinstance(said, str) else json.dumps(said)))

    deployed = http.post("/deploy", json={"code": _marked(page, "file").text, "allow": True})
    assert deployed.status_code == 200, deployed.text
    reply = http.post(
        f"/run/{deployed.json()['service_id']}/", content=given, headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 200, reply.text
    assert _agrees(reply.json(), json.loads(answer)), reply.text


@pytest.mark.requirement("docs:cookbook")
def test_every_page_of_the_cookbook_is_listed_and_has_a_program_an_input_and_an_answer() -> None:
    listed = (ROOT / "docs" / "cookbook" / "README.md").read_text(encoding="utf-8")
    assert len(PAGES) >= 20
    for page in PAGES:
        assert f"({page.name})" in listed
        assert _marked(page, "file").mark == ("file", f"{page.stem}.py")
        assert _marked(page, "input").mark == ("input", page.stem)
        assert _marked(page, "answer").mark == ("answer", page.stem)
