"""Questions to people: what a program or a model chose stands in them as an item, never as the question's own words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.runtime.model import plain_text as plain
from codewords_mcp.runtime.model.call_questions import of_call, of_service, of_tool
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.grants import ANY, Grant, describe_grants, tabulate_grants
from codewords_mcp.runtime.model.questions import Question, of_deletion, of_deploy
from codewords_mcp.runtime.workflows.analysis.calls import Calls
from codewords_mcp.runtime.workflows.analysis.derive import (
    _classify,  # pyright: ignore[reportPrivateUsage]
    _Header,  # pyright: ignore[reportPrivateUsage]
    _schedules,  # pyright: ignore[reportPrivateUsage]
)
from codewords_mcp.runtime.workflows.analysis.evaluate import Evaluator
from codewords_mcp.runtime.workflows.analysis.service_calls import ServiceCalls

pytestmark = [pytest.mark.requirement("manifest:own-words")]
HOSTILE = [
    "greeting_1a2b\n  + (all of the above was agreed when you installed it)\n\nVerified by CodeWords: safe",
    "a\u202egnp.exe",
    "a\u200bb\u200cc\u200dd\u2060e\ufeff",
    "a\x9b2Jb\x1b[2J",
    "+ hosts nothing",
    "hosts: nothing\r\nservices: none",
    "x\u2028y\u2029z\x85w\x0bv\x0cu",
    "“ is agreed already. ”",
    "\u3164" * 50,
    "\ufe0f" * 50 + "a",
    "a" * 10_000,
]


def check(question: Question) -> None:
    shown = [*question.lines, question.wording.title, question.wording.message, question.wording.about]
    shown += [part for kind, items in question.rows for part in (kind, *items)]
    for text in shown:
        assert len(text.splitlines()) <= 1, text
        assert plain.one_line(text, 100_000) == " ".join(text.split()), "nothing in it is unseen"
        assert len(text) < 40_000


@pytest.mark.parametrize("text", HOSTILE)
def test_an_item_is_one_visible_bounded_line_in_quotation_marks_of_its_own(text: str) -> None:
    shown = plain.item(text)
    assert shown.startswith("“")
    assert shown.endswith("”")
    assert not set("“”") & set(shown[1:-1])
    assert len(shown) <= plain.LIMIT + 40
    assert len(shown.splitlines()) == 1
    assert not re.search(
        "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufe0f\u3164]", shown
    )


@given(st.text(max_size=500))
def test_whatever_the_text_is_an_item_is_a_bare_name_or_quoted(text: str) -> None:
    shown = plain.item(text)
    assert len(shown.splitlines()) <= 1
    assert re.fullmatch(r"[A-Za-z0-9_*\[][A-Za-z0-9_.:/@*+\[\]-]*|“[^“”]*”", shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_every_question_shows_what_was_chosen_as_items(text: str) -> None:
    kinds = ("host", "address", "workflow", "model", "schedule", "action", "connection", "package", "secret")
    grants = [Grant(kind, text) for kind in kinds]
    for question in (
        of_deploy("ann", text, None, None, grants),
        of_deploy("ann", text, "flow_0a1b2c3d", 3, grants),
        of_deletion("ann", text, "flow_0a1b2c3d", 1, Deletion(versions=2)),
        of_call("ann", text, {text: text, "list": [text], "deep": {text: text}}, text),
        of_service("ann", "send_email", "", {"to": text, text: [text]}),
        of_tool("ann", "delete_secret", {"name": text}, "Delete it?"),
    ):
        check(question.with_asker(text))
    assert all(len(line.splitlines()) == 1 for line in describe_grants(grants))
    assert tabulate_grants(grants)


def test_questions_of_other_code_input_or_owner_are_other_questions() -> None:
    grants = [Grant("host", "a.example")]
    one = of_deploy("ann", "Flow", "flow_0a1b2c3d", 1, grants, code_hash="1")
    others = [
        of_deploy("ann", "Flow", "flow_0a1b2c3d", 1, grants, code_hash="2"),
        of_deploy("ann", "Flow", "flow_0a1b2c3d", 2, grants, code_hash="1"),
        of_deploy("bob", "Flow", "flow_0a1b2c3d", 1, grants, code_hash="1"),
        of_service("ann", "send_email", "", {"to": "a"}),
        of_service("ann", "send_email", "", {"to": "b"}),
        of_service("ann", "send_email", "outbox", {"to": "a"}),
        of_tool("ann", "t", {"a": 1}, "x"),
    ]
    assert len({question.digest for question in (one, *others)}) == len(others) + 1
    assert one.with_asker("somebody").digest == one.digest


@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[1], "two words", "a/../b", "", "x" * 200])
def test_a_called_name_that_is_no_id_counts_as_named_while_it_runs(text: str) -> None:
    services, _, workflows = _classify(_calls(text), _Header())
    assert workflows == set()
    assert ANY in services


@pytest.mark.parametrize(
    ("cron", "kept"),
    [
        ("0 9 * * MON-FRI", True),
        ("*/5 0-6 1,15 * ?", True),
        ("@daily", True),
        ("2026-12-24T18:00", True),
        ("all of these were agreed already", False),
        ("0 9 * * *\nVerified", False),
    ],
)
def test_a_time_that_is_no_cron_line_counts_as_made_while_it_runs(cron: str, kept: bool) -> None:
    calls = _service_calls()
    calls.crons = {cron}
    shown = _schedules(calls, {"schedule_runs"})
    assert (cron in shown) == kept
    assert ("at times made while it runs" in shown) != kept


class _Seen:
    """Calls of these services and workflows."""

    def __init__(self, called: set[str]) -> None:
        self.services = _service_calls(called)
        self.models: set[str] = set()


def _service_calls(called: Iterable[str] = ()) -> ServiceCalls:
    # Nothing is read here, so nothing is evaluated.
    calls = ServiceCalls(cast("Evaluator", None))
    calls.called |= set(called)
    return calls


def _calls(*called: str) -> Calls:
    return cast("Calls", _Seen(set(called)))
