"""What a manifest says to a person, and which of two asks for more; and the questions that deploys wait for."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotAgreed, NotFound
from codewords_mcp.runtime.consents import Ask, Consents
from codewords_mcp.runtime.manifest import NOTHING, WIDTH, Grant, HeldSecret, Manifest, described
from codewords_mcp.runtime.models import Caller, Consent
from codewords_mcp.runtime.runs.permits import Permits


def secret(name: str, *hosts: str) -> HeldSecret:
    return HeldSecret(name=name, hosts=hosts or None)


FULL = Manifest(
    hosts=tuple(f"host{n:03}.example.com" for n in range(200)),
    addresses=("DATABASE_URL",),
    models=("anthropic", "openai"),
    services=("*",),
    workflows=("report_0a1b2c3d",),
    service_lines=(4, 9),
    schedules=("0 9 * * *",),
    actions=("slack: send-message (writes)",),
    connections=("slack",),
    secrets=(secret("PLAIN"), secret("HELD", "api.example.com", "b.example.com")),
)


@pytest.mark.requirement("manifest:lines")
def test_any_manifest_is_at_most_ten_bounded_lines_and_what_is_asked_is_whole() -> None:
    lines = FULL.lines()
    assert len(lines) == 10
    assert all(len(line) <= WIDTH + 40 for line in lines)
    assert "and 191 more" in lines[0]
    assert Manifest().lines() == [NOTHING]
    asked = "\n".join(described(FULL.grants()))
    assert all(host in asked for host in FULL.hosts)
    assert "PLAIN (plain: the code can read it)" in asked
    assert "HELD (never seen by the code: put in for api.example.com and b.example.com only)" in asked
    assert Manifest(hosts=("*",), open_lines=(67,)).lines() == [
        "hosts        any host of the internet; address made while it runs, line 67"
    ]


@pytest.mark.requirement("manifest:widens")
@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        ({"hosts": ("*.example.com",)}, {"hosts": ("a.example.com", "*.b.example.com")}, []),
        ({"hosts": ("a.example.com",)}, {"hosts": ("*.example.com",)}, [("host", "*.example.com")]),
        ({"hosts": ("*.example.com",)}, {"hosts": ("example.com",)}, [("host", "example.com")]),
        ({"hosts": ("*",)}, {"hosts": ("x.example",), "addresses": ("DSN",)}, []),
        ({"hosts": ("x.example",)}, {"hosts": ("*",)}, [("host", "*")]),
        ({"services": ("*",)}, {"workflows": ("a_1",), "models": ("openai",), "schedules": ("* * * * *",)}, []),
        ({"models": ("openai",)}, {"models": ("openai", "anthropic")}, [("model", "anthropic")]),
        ({"schedules": ("0 9 * * *",)}, {"schedules": ("0 7 * * *",)}, []),
        ({"actions": ("slack: list (reads)",)}, {"actions": ("slack: send (writes)",)}, [("action", "slack: send (writes)")]),
        ({"actions": ("slack: any action (writes)",)}, {"actions": ("slack: send (writes)",)}, []),
        ({"secrets": (secret("A"),)}, {"secrets": (secret("A", "x.example"),)}, []),
        (
            {"secrets": (secret("A", "x.example"),)},
            {"secrets": (secret("A"),)},
            [("secret", "A (plain: the code can read it)")],
        ),
        ({"secrets": (secret("A"),)}, {"secrets": (secret("A"), secret("B"))}, [("secret", "B (plain: the code can read it)")]),
    ],
)  # fmt: skip
def test_only_what_goes_beyond_the_version_before_is_asked(
    before: dict[str, object], after: dict[str, object], asked: list[tuple[str, str]]
) -> None:
    found = Manifest.model_validate(after).widens(Manifest.model_validate(before))
    assert found == [Grant(*one) for one in asked]


_WORDS = st.lists(st.sampled_from(["a", "b", "*", "*.b.example", "c.b.example"]), unique=True).map(tuple)


@pytest.mark.requirement("manifest:widens")
@given(_WORDS, _WORDS, _WORDS)
def test_a_manifest_never_asks_for_more_than_itself_and_all_of_it_beyond_nothing(
    hosts: tuple[str, ...], models: tuple[str, ...], services: tuple[str, ...]
) -> None:
    manifest = Manifest(hosts=hosts, models=models, services=services)
    assert manifest.widens(manifest) == []
    assert manifest.widens(Manifest()) == manifest.grants()


def ask(*hosts: str, live: int | None = None, owner: str = "ann") -> Ask:
    service = None if live is None else "flow_0a1b2c3d"
    return Ask(owner, "Flow", service, live, tuple(Grant("host", host) for host in hosts))


def questions(*, unattended: bool = False) -> Consents:
    return Consents(lambda token: f"http://127.0.0.1:1/consents/{token}", unattended=unattended)


def needed(consents: Consents, what: Ask, consent: Consent = Consent()) -> ConsentNeeded:  # noqa: B008
    with pytest.raises(ConsentNeeded) as caught:
        consents.settle(what, consent)
    return caught.value


@pytest.mark.requirement("manifest:consent")
def test_nothing_is_asked_where_nothing_is_wanted_and_everything_may_be_allowed() -> None:
    consents = questions()
    consents.settle(ask(), Consent())
    consents.settle(ask("a.example"), Consent(allow=True))


@pytest.mark.requirement("manifest:consent")
def test_a_token_confirms_exactly_its_own_difference_once() -> None:
    consents = questions()
    question = needed(consents, ask("a.example"))
    assert question.asks == ["hosts        a.example"]
    assert question.url.endswith(f"/consents/{question.confirm}")
    assert needed(consents, ask("a.example")).confirm == question.confirm  # asked twice is one question
    yes = Consent(confirm=question.confirm, by_person=True)
    for other in (
        ask("a.example", "b.example"),
        ask("b.example"),
        ask("a.example", live=3),
        ask("a.example", owner="bob"),
    ):
        assert needed(consents, other, yes).confirm != question.confirm
    consents.settle(ask("a.example"), yes)
    assert needed(consents, ask("a.example"), yes).confirm != question.confirm


@pytest.mark.requirement("manifest:consent")
def test_a_token_alone_is_no_yes_while_a_person_can_be_asked() -> None:
    consents = questions()
    token = needed(consents, ask("a.example")).confirm
    assert needed(consents, ask("a.example"), Consent(confirm=token)).confirm == token
    consents.answer(token, agreed=True)
    consents.settle(ask("a.example"), Consent())  # the page's answer holds without the token too


@pytest.mark.requirement("manifest:consent")
def test_where_the_operator_says_that_nobody_is_there_a_second_call_confirms() -> None:
    consents = questions(unattended=True)
    token = needed(consents, ask("a.example")).confirm
    needed(consents, ask("a.example"))
    needed(consents, ask("a.example", "b.example"), Consent(confirm=token))
    consents.settle(ask("a.example"), Consent(confirm=token))


@pytest.mark.requirement("manifest:consent")
def test_the_first_answer_counts_and_a_no_is_told() -> None:
    consents = questions()
    token = needed(consents, ask("a.example")).confirm
    assert consents.peek(token).wording.title == "May the workflow Flow do this?"
    consents.answer(token, agreed=False)
    consents.answer(token, agreed=True)
    with pytest.raises(NotFound):
        consents.peek(token)
    with pytest.raises(Forbidden, match="declined"):
        consents.settle(ask("a.example"), Consent(confirm=token))
    assert needed(consents, ask("a.example")).confirm != token
    consents.answer("no such", agreed=True)


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_waiting_ends_with_the_answer() -> None:
    consents = questions()
    token = needed(consents, ask("a.example")).confirm
    assert await consents.wait(token, 0.01) is None
    assert await consents.wait("no such", 30) is None
    async with anyio.create_task_group() as group:

        async def answer() -> None:
            consents.answer(token, agreed=True)

        group.start_soon(answer)
        assert await consents.wait(token, 30) == "agreed"


@pytest.mark.requirement("manifest:consent")
def test_a_version_of_before_there_were_manifests_is_said_to_be_one() -> None:
    old = Ask("ann", "Flow", "flow_0a1b2c3d", 4, (Grant("host", "a.example"),), unknown_before=True)
    message = needed(questions(), old).message
    assert "without a manifest" in message
    assert "Version 4 goes on serving" in message


@pytest.mark.requirement("manifest:services")
def test_a_run_calls_what_its_manifest_lists_and_itself() -> None:
    permits = Permits()
    refused: list[tuple[str, str]] = []
    permits.on_refused = lambda run_id, why: refused.append((run_id, why))
    permits.begin(
        "r1", "flow_1", Manifest(services=("firecrawl",), models=("openai",), schedules=("0 9 * * *",))
    )
    permits.begin("r2", "old_1", None)
    run = Caller("ann", "run", run_id="r1")
    for name in ("firecrawl", "openai", "schedule_runs", "flow_1"):
        permits.require(run, name)
    permits.require(Caller("ann", "run", run_id="r2"), "anything")  # a version of before
    permits.require(Caller("ann", "user"), "anything")
    for name in ("anthropic", "other_1", "<b>"):
        with pytest.raises(NotAgreed, match=r"add .* to `services` under \[tool.codewords\]") as caught:
            permits.require(run, name)
        assert "<b>" not in str(caught.value)
    assert [run_id for run_id, _ in refused] == ["r1"] * 3
    permits.end("r1")
    with pytest.raises(NotAgreed):  # an instance's key may still act for it while other runs go on
        permits.require(run, "anthropic")
