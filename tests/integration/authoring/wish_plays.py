"""Eighteen wishes of people in a chat, each carried out by fixed calls of tools: what a model would call, without a model.

A play calls tools only. What a person does happens outside of them, as a person does it: they agree to questions, type secrets on
their page, and answer approvals. Nothing needs a terminal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from mcp import Client
from tests.integration.authoring.outside_services import World
from tests.support.http_runtime import Door
from tests.support.mcp_clients import text_of
from tests.support.runtime import ADMIN, ALLOWED, workflow
from tests.support.waiting import until_async

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.authoring.templates import template_code
from codewords_mcp.runtime.model.run_wait import PersonAnswer
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.scripted import chat_reply

T = TypeVar("T")


@dataclass
class Chat:
    """A chat with the tools. `calls` are the tools that were called, `texts` what they answered."""

    client: Client
    door: Door
    world: World
    models: LoopbackProviders
    calls: list[str] = field(default_factory=list[str])
    texts: list[str] = field(default_factory=list[str])
    typed: dict[str, str] = field(default_factory=dict[str, str])
    """Secrets that the person types as soon as a page asks for them."""

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool. Returns its structured result."""
        result = await self.client.call_tool(tool, arguments)
        self.calls.append(tool)
        self.texts.append(text_of(result))
        assert not result.is_error, text_of(result)
        return result.structured_content or {}

    async def person(self, make: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
        """Do something as the person, outside of the chat."""
        return await asyncio.to_thread(self.door.ask, make)

    async def deployed(self, name: str, source: str) -> str:
        """Return the id of a workflow that was there before the chat began."""
        made = await self.person(
            lambda runtime: runtime.workflows.deploy(ADMIN, code=source, name=name, consent=ALLOWED)
        )
        return made.service_id

    async def run(self, workflow_id: str, data: Any = None, **more: Any) -> Any:
        """Run a workflow. Returns its answer."""
        done = await self.call("run_workflow", workflow_id=workflow_id, input=data, **more)
        assert done["status"] == "succeeded", self.texts[-1]
        return done["result"]

    async def from_template(self, wish: str, template_id: str, **more: Any) -> str:
        """Find a template by the wish, and deploy it. Returns the workflow's id."""
        found = await self.call("list_templates", query=wish)
        assert template_id in [one["id"] for one in found["templates"][:3]], self.texts[-1]
        return (await self.call("deploy_workflow", template_id=template_id, **more))["workflow_id"]

    async def type_secret(self, name: str, value: str) -> None:
        """Ask for a secret by the tool; the person types it on the page."""
        self.typed[name] = value
        done = await self.call("set_secret", name=name)
        assert done["status"] == "stored", self.texts[-1]

    async def answer(self, message: str) -> None:
        """Do what a question of a tool asks of the person: type a secret, or agree."""
        for name, value in self.typed.items():
            if name in message:
                await self.person(partial(_store, name=name, value=value))


async def _store(runtime: Runtime, name: str, value: str) -> None:
    await runtime.secrets.set(ADMIN, name, value)


def code(body: str, title: str, *, env: tuple[str, ...] = (), header: str = "") -> str:
    """A workflow as a model writes it."""
    text = workflow(body, title=title, env=env)
    return text.replace("# ///\nfrom", f"# [tool.codewords]\n# {header}\n# ///\nfrom") if header else text


async def watch_sites(chat: Chat) -> None:
    await chat.call(
        "generate_workflow",
        description="Check URLs at 8 each morning, post to a webhook which are down",
        brief=True,
    )
    body = f"""
import httpx
from pydantic import BaseModel

HOOK = "{chat.world.inside}/hook"

class Sites(BaseModel):
    urls: list[str]

@app.post("/")
async def check(sites: Sites):
    async with httpx.AsyncClient(timeout=10) as http:
        down = [url for url in sites.urls if (await http.get(url)).is_error]
        if down:
            await http.post(HOOK, json={{"down": down}})
    return {{"down": down}}
"""
    sites = {"urls": [f"{chat.world.inside}/", f"{chat.world.inside}/nothing"]}
    live = await chat.call("deploy_workflow", code=code(body, "Site watch"))
    assert await chat.run(live["workflow_id"], sites) == {"down": sites["urls"][1:]}
    times = {"cron": "0 8 * * *", "timezone": "Europe/Berlin", "input": sites}
    added = await chat.call("add_trigger", workflow_id=live["workflow_id"], kind="schedule", options=times)
    assert "T08:00:00" in added["next"]


async def sum_expenses(chat: Chat) -> None:
    live = await chat.from_template("a csv of what we spent, summed up per column", "csv_statistics")
    told = await chat.run(live, {"csv_text": "month,spent\n2026-01,3\n2026-02,1\n"})
    assert told["columns"][1]["numbers"]["mean"] == 2.0


async def sort_tickets(chat: Chat) -> None:
    await chat.type_secret("OPENAI_API_KEY", "sk-of-the-tests-000000")
    live = await chat.from_template("sort support tickets with AI into JSON", "ticket_triage")
    found = {"topic": "bug", "urgency": "low", "mood": "calm", "summary": "s", "answer": "a"}
    chat.models.answer_next(chat_reply(json.dumps(found)))
    told = await chat.run(live, {"subject": "Outage!", "body": "All is down"})
    assert (told["team"], told["urgency"]) == ("engineering", "high")


async def watch_price(chat: Chat) -> None:
    live = await chat.from_template(
        "tell me when a product gets cheaper, remember the price", "price_monitor"
    )
    asked = {"url": f"{chat.world.outside}/shop", "below": 50}
    assert (await chat.run(live, asked))["price"] == 59.9
    added = await chat.call(
        "add_trigger", workflow_id=live, kind="schedule", options={"cron": "0 * * * *", "input": asked}
    )
    assert added["state"] == "active"


async def fan_out(chat: Chat) -> None:
    other = await chat.deployed("Their workflow", template_code("greeting"))
    live = await chat.from_template(
        "run my other workflow for each item of a list, five at a time", "for_each"
    )
    items = [{"name": f"P{n}"} for n in range(12)]
    told = await chat.run(live, {"workflow": other, "items": items})
    assert told["failed"] == 0


async def signed_webhook(chat: Chat) -> None:
    await chat.type_secret("CHAT_WEBHOOK_URL", f"{chat.world.inside}/hook")
    await chat.type_secret("GITHUB_SIGNING", "a-secret-of-the-tests")
    live = await chat.from_template("post each event that comes to our Slack channel", "event_to_chat")
    options = {"secret": "GITHUB_SIGNING"}
    hook = await chat.call("add_trigger", workflow_id=live, kind="hub", options=options)
    told = await chat.run(live, {"title": "pushed"}, test_trigger=hook["trigger_id"])
    assert "pushed" in told["text"]


async def append_to_sheet(chat: Chat) -> None:
    await chat.call("connect_integration", app="google_sheets")
    await chat.person(lambda runtime: runtime.secrets.set(ADMIN, "GOOGLE_ACCESS_TOKEN", "token-of-the-tests"))
    live = await chat.from_template("append a row to a Google Sheet", "sheet_row")
    told = await chat.run(live, {"sheet": "sheet-of-the-tests", "row": ["Ada", 1]})
    assert told["added"]


async def long_job(chat: Chat) -> None:
    await chat.call(
        "generate_workflow", description="A job of three minutes that shows its progress", brief=True
    )
    body = """
import asyncio

@app.post("/")
async def work():
    for step in range(180):
        print(f"STEPLOG START step {step + 1} of 180", flush=True)
        await asyncio.sleep(1)
"""
    live = await chat.call("deploy_workflow", code=code(body, "Three minutes"))
    begun = await chat.call("run_workflow", workflow_id=live["workflow_id"], wait_seconds=1)
    assert begun["status"] in {"pending", "queued", "running"}, chat.texts[-1]
    seen = await chat.call("get_run", run_id=begun["run_id"], wait_seconds=2)
    assert "of 180" in chat.texts[-1], chat.texts[-1]
    assert seen["status"] == "running", chat.texts[-1]
    ended = await chat.call("cancel_run", run_id=begun["run_id"])
    assert ended["status"] == "cancelled", chat.texts[-1]


async def unseen_secret(chat: Chat) -> None:
    await chat.type_secret("SHOP_TOKEN", "a-token-nobody-sees-0001")
    body = """
import os

@app.post("/")
async def show():
    return {"token": os.environ["SHOP_TOKEN"], "length": len(os.environ["SHOP_TOKEN"])}
"""
    live = await chat.call("deploy_workflow", code=code(body, "Uses a token", env=("SHOP_TOKEN",)))
    told = await chat.run(live["workflow_id"])
    assert (told["length"], "nobody-sees" in json.dumps(told)) == (24, False)
    assert "nobody-sees" not in "".join(chat.texts)


async def repair(chat: Chat) -> None:
    body = """
@app.post("/")
async def total(request: Request):
    order = await request.json()
    return {"total": order["price"] * order["count"]}
"""
    broken = await chat.deployed("Totals", code(body, "Totals"))
    failed = await chat.call("run_workflow", workflow_id=broken, input={"price": 3})
    assert failed["diagnosis"]["error"] == "KeyError: 'count'"
    edits = [{"old": 'order["count"]', "new": 'order.get("count", 1)'}]
    edited = await chat.call("edit_workflow", workflow_id=broken, edits=edits)
    await chat.call("deploy_workflow", draft_id=edited["draft"]["draft_id"])
    assert await chat.run(broken, {"price": 3}) == {"total": 3}


async def roll_back(chat: Chat) -> None:
    versions = [code(f'@app.post("/")\nasync def say():\n    return {n}\n', "Says a number") for n in (1, 2)]
    service = await chat.deployed("Says a number", versions[0])
    await chat.person(lambda runtime: runtime.workflows.deploy(ADMIN, code=versions[1], service_id=service))
    seen = await chat.call("get_workflow", workflow_id=service)
    assert [one["version"] for one in seen["versions"]] == [2, 1]
    assert seen["versions"][1]["created_at"][:10] in chat.texts[-1], "yesterday's is found by its date"
    await chat.call("rollback_workflow", workflow_id=service, version=1)
    assert await chat.run(service) == 1


async def rendered_table(chat: Chat) -> None:
    table = "<table><tr><th>City</th></tr><tr><td>Oslo</td></tr></table>"
    script = f"<script>document.body.innerHTML = {table!r}</script>"
    chat.world.page("/late", f"<html><head><title>Late</title></head><body>{script}</body></html>")
    live = await chat.from_template("read a table that a page builds with JavaScript", "rendered_page")
    assert (await chat.run(live, {"url": f"{chat.world.outside}/late"}))["tables"] == [[{"City": "Oslo"}]]


async def own_tool(chat: Chat) -> None:
    live = await chat.deployed("Greets by tool", template_code("greeting"))
    await chat.call("add_trigger", workflow_id=live, kind="tool", options={"name": "greet_somebody"})
    told = await chat.call("greet_somebody", name="Ada")
    assert told["result"] == {"message": "Hello Ada!"}


async def make_invoice(chat: Chat) -> None:
    live = await chat.from_template("make an invoice from what a customer ordered", "invoice")
    lines = [{"text": "Work", "quantity": 2, "price": "10", "tax_percent": "20"}]
    order = {"number": "7", "seller": "Ada", "buyer": "Bob", "issued": "2026-01-31", "lines": lines}
    assert (await chat.run(live, order))["gross"] == "24.00"


async def mail_digest(chat: Chat) -> None:
    live = await chat.from_template("mail me a digest of RSS feeds each morning", "rss_digest")
    told = await chat.run(live, {"feeds": [f"{chat.world.inside}/feed"], "email": "you@example.org"})
    assert (len(told["entries"]), told["mailed"]) == (2, False), "no mail server is set, and it says so"
    assert "SMTP_URL" in "".join(chat.texts)
    times = {
        "cron": "0 7 * * *",
        "input": {"feeds": [f"{chat.world.inside}/feed"], "email": "you@example.org"},
    }
    await chat.call("add_trigger", workflow_id=live, kind="schedule", options=times)


async def port_script(chat: Chat) -> None:
    script = template_code("greeting")
    live = await chat.call("deploy_workflow", code=script, name="Ported")
    assert await chat.run(live["workflow_id"], {"name": "Ada"}) == {"message": "Hello Ada!"}


async def approve_first(chat: Chat) -> None:
    live = await chat.from_template("a person has to approve before it is sent", "approvals")
    begun = await chat.call(
        "run_workflow", workflow_id=live, input={"title": "Offer", "amount": 900}, wait_seconds=5
    )
    assert "wait" in chat.texts[-1]

    async def asked() -> list[Any]:
        return await chat.person(lambda runtime: runtime.approvals.of_run(ADMIN, begun["run_id"]))

    (question,) = await until_async(asked, "the question")
    await chat.person(
        lambda runtime: runtime.approvals.answer(
            ADMIN, question.id, PersonAnswer("approve", {"comment": "good"}, "console")
        )
    )

    async def result() -> Any:
        # A run that waits for a person is told at once, so also one that is about to go on.
        return (await chat.call("get_run", run_id=begun["run_id"], wait_seconds=20)).get("result")

    done = await until_async(result, "the result")
    assert (done["status"], done["comment"]) == ("approved", "good")


async def keep_state(chat: Chat) -> None:
    live = await chat.from_template("tick off my habits and see my streak", "habit_tracker")
    for day in ("2026-05-01", "2026-05-02"):
        told = await chat.run(live, {"name": "running", "day": day})
    assert (told["days"], told["streak"]) == (2, 2)


WISHES: dict[str, Callable[[Chat], Awaitable[None]]] = {
    play.__name__: play
    for play in (
        watch_sites, sum_expenses, sort_tickets, watch_price, fan_out, signed_webhook, append_to_sheet, long_job, unseen_secret,
        repair, roll_back, rendered_table, own_tool, make_invoice, mail_digest, port_script, approve_first, keep_state,
    )
}  # fmt: skip
"""The wishes by name, in the order in which they were first tried."""
