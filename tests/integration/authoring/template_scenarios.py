"""What each template does once it is deployed."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from tests.integration.authoring.outside_services import PAGE, SECRET, SHOP, World
from tests.integration.mcp_broker.helpers import ServedMcp
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY
from tests.support.waiting import until

from codewords_mcp.runtime.authoring.templates import templates
from codewords_testing.apps import LoopbackApps
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.scripted import chat_reply
from codewords_testing.services import LoopbackServices


@dataclass
class Stage:
    """One template, deployed. `upstream`, `apps` and `notes` stand in for services, apps and an MCP server."""

    http: httpx.Client
    models: LoopbackProviders
    world: World
    service: str
    upstream: LoopbackServices
    apps: LoopbackApps
    notes: ServedMcp

    def run(self, given: Any = None, *said: Any, path: str = "", status: int = 200, **more: Any) -> Any:
        """Its answer; `said` is what models say meanwhile, in order."""
        self.models.answer_next(
            *(chat_reply(one if isinstance(one, str) else json.dumps(one)) for one in said)
        )
        method = more.pop("method", "POST")
        reply = self.http.request(method, f"/run/{self.service}/{path}", json=given, **more)
        assert reply.status_code == status, reply.text
        return reply.json()

    def mails(self) -> list[dict[str, Any]]:
        """What was mailed, the newest first."""
        return self.http.post("/run/send_email/outbox", json={}).json()["messages"]


def greeting(on: Stage) -> None:
    assert on.run({"name": "Ada"}) == {"message": "Hello Ada!"}


def parallel_steps(on: Stage) -> None:
    told = on.run({"texts": ["the tide goes out", "the tide comes in"], "top": 2})
    assert (told["words"], told["most_frequent"]) == (8, {"the": 2, "tide": 2})


def streamed_answer(on: Stage) -> None:
    reply = on.http.post(f"/run/{on.service}/", json={"text": "one word", "pause": 0})
    assert reply.text.startswith('data: {"index": 0, "word": "one"}\n\n')


def csv_statistics(on: Stage) -> None:
    told = on.run({"csv_text": "city,people\nLima,3\nOslo,1\n"})
    assert told["columns"][1]["numbers"]["mean"] == 2.0


def web_page_facts(on: Stage) -> None:
    told = on.run({"url": f"{on.world.inside}/"})
    assert (told["title"], told["links"][1]) == ("Harbour", f"{on.world.inside}/more")


def data_cleaning(on: Stage) -> None:
    rows = [
        {"email": " ADA@x.org ", "since": "10.12.1815", "name": None},
        {"email": "ada@x.org", "since": "?", "name": "Ada"},
    ]
    told = on.run({"rows": rows, "key": "email", "emails": ["email"], "dates": ["since"]})
    assert told["rows"] == [{"email": "ada@x.org", "since": "1815-12-10", "name": "Ada"}]
    assert (told["merged_rows"], told["problems"][0]["row"], told["problems"][0]["column"]) == (1, 2, "since")


def convert_table(on: Stage) -> None:
    told = on.run({"text": "a,b\n1,x|y\n", "source": "csv", "target": "markdown"})
    assert told["text"] == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"
    back = on.run({"text": '[{"a": 1, "b": null}]', "source": "json", "target": "csv"})
    assert back["text"] == "a,b\n1,\n"
    assert "not json" in on.run({"text": "{", "source": "json", "target": "csv"}, status=422)["detail"]


def compare_tables(on: Stage) -> None:
    told = on.run(
        {
            "before": [{"id": 1, "p": 1}, {"id": 2}],
            "after": [{"id": "1", "p": 2}, {"id": 3}],
            "key": "id",
            "ignore": ["id"],
        }
    )
    assert (told["added"], told["removed"], told["same"]) == ([{"id": 3}], [{"id": 2}], 0)
    assert told["changed"] == [{"key": "1", "before": {"p": 1}, "after": {"p": 2}}]
    twice = on.run({"before": [], "after": [{"id": 1}, {"id": 1}], "key": "id"}, status=422)
    assert "Row 2 of `after`" in twice["detail"]


def anomaly_check(on: Stage) -> None:
    told = on.run({"values": [10, 11, 10, 12, 95, 10], "labels": ["a", "b", "c", "d", "e", "f"]})
    assert [one["label"] for one in told["anomalies"]] == ["e"]
    assert on.run({"values": [1, 1, 1, 1, 1]})["anomalies"] == []
    assert [one["position"] for one in on.run({"values": [1, 1, 1, 1, 9]})["anomalies"]] == [4]


def extract_fields(on: Stage) -> None:
    asked = {"documents": ["Invoice 17 of Acme"], "fields": {"number": "its number", "total": "the amount"}}
    assert on.run(asked, {"number": "17", "total": None})["rows"] == [{"number": "17", "total": None}]


def sheet_watch(on: Stage) -> None:
    asked = {"csv_url": f"{on.world.inside}/sheet", "key": "id", "email": "you@example.org"}
    assert on.run(asked)["first_run"] is True
    on.world.page("/sheet", "id,price\n1,12\n3,1\n", "text/csv")
    told = on.run(asked)
    assert (told["added"], told["removed"]) == ([{"id": "3", "price": "1"}], [{"id": "2", "price": "5"}])
    assert told["changed"] == [{"id": "1", "price": "12"}]
    assert on.mails()[0]["subject"] == "The sheet has changed"
    assert "no column sku" in on.run(asked | {"key": "sku"}, status=422)["detail"]


def invoice(on: Stage) -> None:
    lines = [
        {"text": "Work <b>", "quantity": "3", "price": "33.335", "tax_percent": "20"},
        {"text": "Book", "quantity": 1, "price": "10"},
    ]
    order = {
        "number": "7",
        "seller": "Ada",
        "buyer": "Bob",
        "issued": "2026-01-31",
        "lines": lines,
        "email": "bob@example.org",
    }
    told = on.run(order)
    assert (told["net"], told["tax"], told["gross"], told["due"]) == (
        "110.01",
        {"20": "20.00", "0": "0.00"},
        "130.01",
        "2026-03-02",
    )
    assert "Work &lt;b&gt;" in httpx.get(told["page"]).text
    assert on.mails()[0]["subject"] == "Invoice 7"


def meeting_notes(on: Stage) -> None:
    notes = {
        "title": "Launch",
        "summary": "We ship.",
        "decisions": ["Friday"],
        "actions": [{"task": "write", "owner": "Bob", "due": "open"}],
        "open_questions": [],
    }
    told = on.run(
        {"transcript": "Ada: we ship on Friday. Bob: I write.", "emails": ["a@example.org", "b@example.org"]},
        notes,
    )
    assert told == notes | {"mailed": False}
    assert on.mails()[0]["to"] == ["a@example.org", "b@example.org"]


def repurpose_content(on: Stage) -> None:
    pieces = {"thread": ["word " * 80], "linkedin": "l", "newsletter": "n", "titles": ["t"]}
    told = on.run({"url": f"{on.world.outside}/"}, pieces)
    assert len(told["thread"][0]) <= 280
    assert "opens at six" in str(on.models.requests[-1].json)
    on.run({}, status=422)


def translate_texts(on: Stage) -> None:
    told = on.run(
        {"texts": ["Hi {name}", "Bye", "Yes"], "language": "French"}, {"translations": ["Salut", "Adieu"]}
    )
    assert told == {"texts": ["Salut", "Adieu", None], "suspicious": [0]}


def page_summary(on: Stage) -> None:
    told = on.run({"url": f"{on.world.outside}/"}, {"summary": "s", "key_points": ["k"], "audience": "a"})
    assert (told["title"], told["key_points"]) == ("Harbour", ["k"])
    gone = on.run({"url": f"{on.world.outside}/gone"}, status=502)
    assert "404" in str(gone)


def page_change_monitor(on: Stage) -> None:
    on.world.page("/watched", PAGE.format(extra="Rain today."))
    asked = {"url": f"{on.world.outside}/watched", "email": "you@example.org"}
    assert on.run(asked) == {"first_run": True, "changed": False, "diff": [], "mailed": False}
    on.world.page("/watched", PAGE.format(extra="Sun today."))
    assert set(on.run(asked)["diff"]) == {"-Rain today.", "+Sun today."}
    assert on.mails()[0]["subject"] == "Changed: Harbour"
    assert on.run(asked)["changed"] is False


def price_monitor(on: Stage) -> None:
    asked = {"url": f"{on.world.outside}/shop", "below": 50, "email": "you@example.org"}
    assert on.run(asked) == {"price": 59.9, "currency": "EUR", "before": None, "lowest": 59.9, "told": False}
    on.world.page("/shop", SHOP % "1.049,00")
    assert on.run(asked)["price"] == 1049.0
    on.world.page("/shop", SHOP % "49")
    told = on.run(asked)
    assert (told["before"], told["lowest"], told["told"]) == (1049.0, 49.0, False), "no mail server is set"
    assert on.mails()[0]["subject"] == "The price has fallen"
    assert "no price" in on.run({"url": f"{on.world.outside}/"}, status=422)["detail"]


def uptime_check(on: Stage) -> None:
    asked = {
        "urls": [f"{on.world.inside}/", f"{on.world.inside}/nothing"],
        "contains": "harbour",
        "email": "you@example.org",
    }
    told = on.run(asked)
    assert [(one["up"], one["status"], one["changed"]) for one in told["sites"]] == [
        (True, 200, False),
        (False, 404, True),
    ]
    assert on.mails()[0]["subject"] == "1 sites changed"
    assert [one["changed"] for one in on.run(asked)["sites"]] == [False, False]


def broken_links(on: Stage) -> None:
    # links that the service made whole have its address, which a sandbox does not reach: they are dead from there
    on.world.page(
        "/linked",
        PAGE.format(extra=f"<a href='{on.world.inside}/'>here</a> <a href='{on.world.inside}/lost'>lost</a>"),
    )
    told = on.run({"url": f"{on.world.outside}/linked"})
    found = {one["url"]: one["status"] for one in told["broken"]}
    assert found[f"{on.world.inside}/lost"] == 404
    assert f"{on.world.inside}/" not in found


def page_archive(on: Stage) -> None:
    told = on.run({"urls": [f"{on.world.outside}/", f"{on.world.outside}/nothing"]})
    assert (told["pages"], told["failed"]) == (1, [f"{on.world.outside}/nothing"])
    with zipfile.ZipFile(io.BytesIO(httpx.get(told["file"]).content)) as file:
        assert file.namelist() == ["001-harbour.md", "index.md"]
        assert b"opens at six" in file.read("001-harbour.md")


def rss_digest(on: Stage) -> None:
    feeds = [f"{on.world.inside}/feed", f"{on.world.inside}/atom", f"{on.world.inside}/nothing"]
    told = on.run({"feeds": feeds, "email": "you@example.org"})
    assert [one["title"] for one in told["entries"]] == ["Second & last", "First", "Atom"]
    assert (told["failed"], told["mailed"]) == ([feeds[2]], False), "no mail server is set"
    assert on.run({"feeds": feeds[:2], "email": "you@example.org"})["entries"] == []


def rss_to_chat(on: Stage) -> None:
    told = on.run({"feed": f"{on.world.inside}/feed", "most": 1})
    assert ([one["title"] for one in told["posted"]], told["waiting"]) == (["First"], 1)
    assert on.world.posted[-1] == (
        "/hook",
        {"text": "First\nhttps://news.example/1", "content": "First\nhttps://news.example/1"},
    )
    assert [one["title"] for one in on.run({"feed": f"{on.world.inside}/feed"})["posted"]] == [
        "Second & last"
    ]


def ticket_triage(on: Stage) -> None:
    found = {"topic": "bug", "urgency": "low", "mood": "calm", "summary": "s", "answer": "a"}
    told = on.run({"subject": "Outage!", "body": "All is down"}, found)
    assert (told["team"], told["urgency"]) == ("engineering", "high")


def review_insights(on: Stage) -> None:
    items = [
        {"mood": "positive", "topics": ["coffee", "service"]},
        {"mood": "negative", "topics": ["Service"]},
    ]
    told = on.run({"texts": ["Great coffee", "Slow", "Hm"]}, {"items": items})
    assert told["topics"][0] == {"topic": "service", "count": 2, "negative": 1, "quote": "Great coffee"}
    assert told["unread"] == 1


def answer_from_documents(on: Stage) -> None:
    quotes = [
        {"document": "returns", "text": "within  30 days"},
        {"document": "returns", "text": "within 60 days"},
    ]
    asked = {
        "question": "How long may I return things?",
        "documents": {"returns": "Goods may be returned within 30 days."},
    }
    told = on.run(asked, {"answer": "30 days", "quotes": quotes})
    assert ([one["text"] for one in told["quotes"]], len(told["unproven"])) == (["within  30 days"], 1)


def person_finder(on: Stage) -> None:
    fits = {
        "people": [
            {"login": "ada", "score": 120, "why": "writes parsers"},
            {"login": "nobody", "score": 1, "why": ""},
        ]
    }
    told = on.run({"looking_for": "a developer in Lisbon"}, {"query": "location:Lisbon"}, fits)
    assert told["query"] == "location:Lisbon"
    assert [(one["name"], one["score"], one["location"]) for one in told["people"]] == [
        ("Ada", 100, "Lisbon")
    ]


def company_profile(on: Stage) -> None:
    facts = {"name": "Harbour", "what": "w", "industry": "i", "customers": "c", "country": ""}
    told = on.run({"domains": [f"{on.world.outside}/", f"{on.world.outside}/nothing"]}, facts)["companies"]
    assert (told[0]["facts"], told[0]["emails"]) == (facts, ["desk@harbour.example"])
    assert (told[1]["facts"], told[1]["problem"]) == (None, "its page answers 502")


def lead_scoring(on: Stage) -> None:
    told = on.run(
        {
            "leads": [
                {"email": "b@gmail.com", "employees": "many"},
                {"email": "a@acme.com", "employees": 600, "replied": True},
            ]
        }
    )
    assert [(one["score"], one["hot"]) for one in told["leads"]] == [(80, True), (-10, False)]
    assert "+40 replied is True" in told["leads"][0]["reasons"]


def contact_sync(on: Stage) -> None:
    (template,) = [one for one in templates() if one.id == "contact_sync"]
    code = template.code.replace("https://api.hubapi.com", on.world.inside)
    on.http.post("/deploy", json={"code": code, "service_id": on.service, "allow": True}).raise_for_status()
    contacts = [{"email": "Ada@x.org", "firstname": "Ada"}, {"firstname": "Nobody"}]
    told = on.run({"contacts": contacts})
    assert (told["sent"], told["unchanged"], len(told["refused"])) == (1, 0, 1)
    path, body = on.world.posted[-1]
    assert path == "/crm/v3/objects/contacts/batch/upsert"
    assert body["inputs"] == [
        {"id": "ada@x.org", "idProperty": "email", "properties": {"email": "ada@x.org", "firstname": "Ada"}}
    ]
    again = on.run({"contacts": contacts})
    assert (again["sent"], again["unchanged"]) == (0, 1)


def research_agent(on: Stage) -> None:
    notes = [{"facts": ["It opens at six."], "follow": [1, 99]}, {"facts": ["Every day."], "follow": []}]
    answer = {"answer": "At six [1].", "confidence": 90, "missing": ""}
    told = on.run({"question": "When does it open?", "urls": [f"{on.world.outside}/"]}, *notes, answer)
    assert [one["url"] for one in told["sources"]] == [f"{on.world.outside}/", f"{on.world.outside}/more"]
    assert told["answer"] == "At six [1]."


def github_issue_digest(on: Stage) -> None:
    told = on.run({"query": "repo:ada/engine is:open", "email": "you@example.org"})
    assert (told["new"][0]["author"], told["mailed"]) == ("bob", False)
    assert on.run({"query": "repo:ada/engine is:open", "email": "you@example.org"})["new"] == []


def repository_report(on: Stage) -> None:
    told = on.run(
        {"repository": "https://github.com/ada/engine"}, {"what": "w", "for_whom": "f", "how_to_start": "h"}
    )
    assert told["warnings"][0] == "It is archived."
    assert len(told["warnings"]) == 3
    on.run({"repository": "not a repository"}, status=422)


def approvals(on: Stage) -> None:
    assert on.run({"title": "Pen", "amount": 2, "automatic_below": 100})["status"] == "approved"
    asked = {"title": "Laptop", "amount": 1450, "automatic_below": 100}
    path = f"/run_async/{on.service}/"
    run_id = on.http.post(path, json=asked).json()["request_id"]
    until(lambda: on.http.get(f"/runs/{run_id}/approvals").json()["items"], "the question")
    (question,) = on.http.get(f"/runs/{run_id}/approvals").json()["items"]
    assert (question["options"], question["details"]) == (["approve", "decline"], "Amount: 1450.00")
    url = str(on.http.base_url).rstrip("/")
    own = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": url}
    with sign_in(url, ADMIN_KEY) as person:
        answer = {"answer": "decline", "fields": {"comment": "too dear"}}
        person.post(f"{url}/questions/{question['id']}", json=answer, headers=own).raise_for_status()
    made = on.http.get(f"/result/{run_id}?timeout=60").json()["responseJson"]
    assert (made["status"], made["comment"], made["decided_by"]) == ("declined", "too dear", "local")

    late = on.http.post(path, json=asked | {"deadline": "1s"}).json()["request_id"]
    made = on.http.get(f"/result/{late}?timeout=60").json()["responseJson"]
    assert (made["status"], made["comment"], made["decided_by"]) == (
        "declined",
        "nobody answered in time",
        None,
    )


def webhook_inbox(on: Stage) -> None:
    raw = b'{"event": "paid"}'
    signed = {"X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()}
    url = f"/run/{on.service}/"
    assert on.http.post(url, content=raw, headers={"X-Hub-Signature-256": "sha256=00"}).status_code == 401
    assert on.http.post(url, content=raw, headers=signed).json()["taken"] is True
    assert on.http.post(url, content=raw, headers=signed).json()["taken"] is False
    assert [one["body"] for one in on.run(path="events", method="GET")["events"]] == [{"event": "paid"}]


def chat_bot(on: Stage) -> None:
    assert on.run({"session": "ada", "message": "I am Ada."}, "Hello Ada!") == {
        "reply": "Hello Ada!",
        "turns": 2,
    }
    on.run({"session": "ada", "message": "Who am I?"}, "You are Ada.")
    assert "I am Ada." in str(on.models.requests[-1].json)
    assert on.run({"session": "ada"}, path="forget") == {"forgotten": True}
    on.run({"session": "ada", "message": "Who am I?"}, "I do not know.")
    assert "I am Ada." not in str(on.models.requests[-1].json)


def daily_report(on: Stage) -> None:
    told = on.run({"numbers": {"orders": 4}, "email": "you@example.org"})
    assert told["moves"] == [{"name": "orders", "value": 4, "before": None, "percent": None, "week_mean": 4}]
    planned = on.run({"numbers": {"orders": 4}, "email": "you@example.org", "cron": "0 7 * * 1"}, path="plan")
    listed = on.http.get("/schedules").json()["items"]
    assert [one["id"] for one in listed] == [planned["schedule_id"]]


def file_backup(on: Stage) -> None:
    asked = {"url": f"{on.world.inside}/export", "name": "export"}
    assert on.run(asked)["changed"] is True
    assert on.run(asked)["changed"] is False
    on.world.page("/export", '{"a": 2}', "application/json")
    told = on.run(asked | {"keep": 1})
    assert (told["changed"], len(told["copies"])) == (True, 1)
    assert "nothing was kept" in on.run(asked | {"at_least": 1000}, status=502)["detail"]


def alert_router(on: Stage) -> None:
    alert = {"source": "db", "title": "Down", "severity": "critical", "email": "you@example.org"}
    assert on.run(alert) == {"told": True, "mailed": False, "count": 1}
    assert on.run(alert) == {"told": False, "mailed": False, "count": 2}
    assert "critical" in on.world.posted[-1][1]["text"]


PLAYS: dict[str, Callable[[Stage], None]] = {
    play.__name__: play
    for play in (
        greeting, parallel_steps, streamed_answer, csv_statistics, web_page_facts, data_cleaning, convert_table, compare_tables,
        anomaly_check, extract_fields, sheet_watch, invoice, meeting_notes, repurpose_content, translate_texts, page_summary,
        page_change_monitor, price_monitor, uptime_check, broken_links, page_archive, rss_digest, rss_to_chat, ticket_triage,
        review_insights, answer_from_documents, person_finder, company_profile, lead_scoring, contact_sync, research_agent,
        github_issue_digest, repository_report, approvals, webhook_inbox, chat_bot, daily_report, file_backup, alert_router,
    )
}  # fmt: skip
