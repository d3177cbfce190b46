"""A home with stand-ins, in which the wishes of `wish_plays.py` are carried out and counted."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mcp_types import ElicitResult
from tests.integration.authoring.outside_services import FEED, PAGE, SHOP, World
from tests.integration.authoring.wish_plays import WISHES, Chat
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import StandIn, serving
from tests.support.mcp_clients import over_http
from tests.support.runtime import make_home

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.settings import Settings
from codewords_testing.apps import loopback_apps
from codewords_testing.providers import loopback_providers

_COMMAND = re.compile(r"`codewords [^`]*`")
_BESIDE_A_PAGE = ("codewords open", "codewords secrets set")
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_ACCESS_TOKEN")


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost of a wish: calls of tools, tokens of their answers, and commands that the answers name."""

    calls: int
    tokens: int
    problem: str = ""
    commands: list[str] = field(default_factory=list[str])


async def carry_out_all(folder: Path) -> dict[str, Spent]:
    """Carry out every wish, each in a chat of its own. A person agrees to each question."""

    with ExitStack() as stack:
        stack.enter_context(_without_keys())
        stand_in = stack.enter_context(_site())
        world = _world(stand_in)
        models = stack.enter_context(loopback_providers())
        apps = stack.enter_context(loopback_apps("token-of-the-tests"))
        apps.sheets["sheet-of-the-tests"] = [["Name", "Amount"]]
        port = world.outside.rpartition(":")[2]
        settings: dict[str, Any] = {
            "egress_allow_private": [f"127.0.0.1:{port}", f"{HOST_ALIAS}:{port}"],
            "openai_base_url": models.url,
            "integration_base_urls": apps.bases,
        }
        home = {"home": make_home(folder / "home"), "port": 0, "api_key": ADMIN_KEY}
        spent: dict[str, Spent] = {}
        with Door(Settings.model_validate(settings | home)) as door:
            for name, play in WISHES.items():
                address = f"{door.url}/mcp"
                asked: list[Chat] = []
                callback = partial(_person, asked)
                async with over_http(
                    address, ADMIN_KEY, "2026-07-28", elicitation_callback=callback
                ) as client:
                    chat = Chat(client, door, world, models)
                    asked.append(chat)
                    spent[name] = _spent(chat, await _problem(play, chat))
        return spent


async def _person(chats: list[Chat], _: Any, params: Any) -> ElicitResult:
    """Agree to what a tool asks, or do it on its page."""
    await chats[0].answer(str(params.message))
    return ElicitResult(action="accept", content={})


@contextmanager
def _site() -> Generator[StandIn]:
    yield from serving(StandIn())


async def _problem(play: Callable[[Chat], Awaitable[None]], chat: Chat) -> str:
    """Carry a wish out. Returns why it failed, "" if it did not."""
    try:
        await play(chat)
    except AssertionError as error:
        return str(error)[:600] or "an assertion"
    return ""


def _world(stand_in: StandIn) -> World:
    world = World(stand_in)
    stand_in.answer = world.answer
    world.page("/", PAGE.format(extra=""))
    world.page("/feed", FEED, "application/rss+xml")
    world.page("/shop", SHOP % "59.90")
    return world


def _spent(chat: Chat, problem: str) -> Spent:
    text = "\n".join(chat.texts)
    commands = [one for one in _COMMAND.findall(text) if not any(page in one for page in _BESIDE_A_PAGE)]
    return Spent(len(chat.calls), sum(map(estimate, chat.texts)), problem, commands)


def estimate(text: str) -> int:
    """Tokens of a text, as benchmarks/tool_tokens.py estimates them: never fewer than there are."""
    path = Path(__file__).parents[3] / "benchmarks" / "tool_tokens.py"
    spec = importlib.util.spec_from_file_location("tool_tokens", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return int(module.estimate(text))


@contextmanager
def _without_keys() -> Generator[None]:
    """Without keys of the environment, which come back afterwards."""
    held = {name: os.environ.pop(name) for name in _KEYS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)
