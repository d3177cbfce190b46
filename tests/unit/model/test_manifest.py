"""What a manifest says to a person, and which of two asks for more; and the questions that deploys wait for."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.databases import open_database

from codewords_mcp.errors import ConsentNeeded, Forbidden, InvalidInput, NotFound
from codewords_mcp.runtime.auth.consents import Consents
from codewords_mcp.runtime.auth.one_time_links import Links
from codewords_mcp.runtime.model.call_questions import of_call
from codewords_mcp.runtime.model.code_difference import code_difference
from codewords_mcp.runtime.model.grants import WIDTH, Grant, describe_grants, tabulate_grants
from codewords_mcp.runtime.model.manifest import NOTHING, Manifest, StoredSecret
from codewords_mcp.runtime.model.questions import Question, of_deploy
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.secrets import MasterKey, Vault
from codewords_mcp.runtime.store.database import Database


def secret(name: str, *hosts: str) -> StoredSecret:
    return StoredSecret(name=name, hosts=hosts or None)


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
    asked = "\n".join(describe_grants(FULL.grants()))
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
        ({"services": ("github",)}, {"services": ("github: readme", "github: user")}, []),
        ({"services": ("github: readme",)}, {"services": ("github: readme",)}, []),
        ({"services": ("github: readme",)}, {"services": ("github: user",)}, [("service", "github: user")]),
        ({"services": ("github: readme",)}, {"services": ("github",)}, [("service", "github")]),
        ({"services": ("github: readme",)}, {"services": ("reddit: readme",)}, [("service", "reddit: readme")]),
        ({"services": ("github: readme",)}, {"services": ("*",)}, [("service", "*")]),
        ({"services": ("*",)}, {"services": ("github: readme", "github")}, []),
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


def ask(*hosts: str, live: int | None = None, owner: str = "ann") -> Question:
    service = None if live is None else "flow_0a1b2c3d"
    return of_deploy(owner, "Flow", service, live, [Grant("host", host) for host in hosts])


@pytest.fixture
def database(tmp_path: Path) -> Generator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def questions(database: Database, *, unattended: bool = False) -> Consents:
    """As a process of its own has them."""
    links = Links("consent", database, Vault(MasterKey(b"k" * 32, "file")))
    return Consents(links, lambda token: f"http://127.0.0.1:1/consents/{token}", unattended=unattended)


async def needed(consents: Consents, what: Question, consent: Consent = Consent()) -> ConsentNeeded:  # noqa: B008
    with pytest.raises(ConsentNeeded) as caught:
        await consents.settle(what, consent)
    return caught.value


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_nothing_is_asked_where_nothing_is_wanted_and_everything_may_be_allowed(
    database: Database,
) -> None:
    consents = questions(database)
    assert await consents.settle(ask(), Consent()) is None
    assert await consents.settle(ask("a.example"), Consent(allow=True)) is None
    assert (await needed(consents, ask("a.example"))).confirm, "an agreement is to one deploy, and asked anew"


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent", "manifest:consent-anywhere")
async def test_a_token_confirms_exactly_its_own_difference_once(database: Database) -> None:
    consents, others = questions(database), questions(database)
    question = await needed(consents, ask("a.example"))
    assert question.asks == ["hosts        a.example"]
    assert question.url.endswith(f"/consents/{question.confirm}")
    # asked twice, wherever, is one question
    assert (await needed(others, ask("a.example"))).confirm == question.confirm
    yes = Consent(confirm=question.confirm, by_person=True)
    for other in (
        ask("a.example", "b.example"),
        ask("b.example"),
        ask("a.example", live=3),
        ask("a.example", owner="bob"),
    ):
        assert (await needed(consents, other, yes)).confirm != question.confirm
    await others.settle(ask("a.example"), yes)
    assert (await needed(consents, ask("a.example"), yes)).confirm != question.confirm


@pytest.mark.anyio
@pytest.mark.requirement("manifest:difference")
async def test_a_difference_that_no_page_can_show_whole_is_not_asked(database: Database) -> None:
    consents, grants = questions(database), [Grant("host", "a.example")]

    def asked(code: str) -> Question:
        return of_deploy("ann", "Flow", "flow_0a1b2c3d", 1, grants, difference=code_difference("", code))

    # Each letter is spelled out, so that a program of a legal size is too large to be shown.
    large = asked("\u200b\u200c" * 250_000)
    for ask_it in (lambda: consents.settle(large, Consent()), lambda: consents.open(large)):
        with pytest.raises(InvalidInput, match="no page can show it whole"):
            await ask_it()
    assert await consents.settle(large, Consent(allow=True)) is None, "nobody is asked"

    token = (await needed(consents, asked("x\n" * 500_000))).confirm
    assert (await consents.peek("ann", token)).diff.count("+x") == 500_000


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_one_yes_is_good_for_one_of_the_deploys_that_want_it_at_once(database: Database) -> None:
    consents = [questions(database) for _ in range(4)]
    token = (await needed(consents[0], ask("a.example"))).confirm
    await consents[1].answer("ann", token, agreed=True)
    done: list[int] = []

    async def settle(number: int) -> None:
        try:
            await consents[number].settle(ask("a.example"), Consent(confirm=token))
            done.append(number)
        except ConsentNeeded:
            pass

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(settle, number)
    assert len(done) == 1


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_a_token_alone_is_no_yes_while_a_person_can_be_asked(database: Database) -> None:
    consents = questions(database)
    token = (await needed(consents, ask("a.example"))).confirm
    assert (await needed(consents, ask("a.example"), Consent(confirm=token))).confirm == token
    await consents.answer("ann", token, agreed=True)
    await consents.settle(ask("a.example"), Consent())  # the page's answer holds without the token too


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_where_the_operator_says_that_nobody_is_there_a_second_call_confirms(
    database: Database,
) -> None:
    consents = questions(database, unattended=True)
    token = (await needed(consents, ask("a.example"))).confirm
    assert (await needed(consents, ask("a.example"))).confirm == token, "the same question"
    other = await needed(consents, ask("a.example", "b.example"), Consent(confirm=token))
    assert other.confirm not in {None, token}, "a token is for its own difference"
    assert await consents.settle(ask("a.example"), Consent(confirm=token)) is None


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_the_first_answer_counts_and_a_no_is_told(database: Database) -> None:
    consents = questions(database)
    token = (await needed(consents, ask("a.example"))).confirm
    assert (
        await consents.peek("ann", token)
    ).wording.title == "Deploy the new workflow “Flow”, which may do this?"
    await consents.answer("ann", token, agreed=False)
    await consents.answer("ann", token, agreed=True)
    with pytest.raises(NotFound):
        await consents.peek("ann", token)
    with pytest.raises(Forbidden, match="declined"):
        await consents.settle(ask("a.example"), Consent(confirm=token))
    assert (await needed(consents, ask("a.example"))).confirm != token
    await consents.answer("ann", "no such", agreed=True)


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent", "manifest:consent-anywhere")
async def test_waiting_ends_with_the_answer_here_or_elsewhere(database: Database) -> None:
    consents = questions(database)
    assert await consents.wait("ann", "no such", 30) is None
    for answering in (consents, questions(database)):
        token = (await needed(consents, ask("a.example"))).confirm
        assert await consents.wait("ann", token, 0.01) is None
        async with anyio.create_task_group() as group:
            group.start_soon(lambda one=answering, t=token: one.answer("ann", t, agreed=True))
            assert await consents.wait("ann", token, 30) == "agreed"
        await consents.settle(ask("a.example"), Consent())


@pytest.mark.requirement("manifest:lines")
def test_a_question_shows_each_thing_whole_and_the_fields_of_a_call_on_one_line() -> None:
    grants = Manifest(
        secrets=(secret("HELD", "a.example", "b.example", "c.example"), secret("PLAIN"))
    ).grants()
    [(kind, items)] = of_deploy("ann", "Flow", None, None, grants).rows
    assert (kind, len(items)) == ("secrets", 2)
    asked = of_call("ann", "slack/send", {"text\nDo you agree?": "a\n\u202eb", "long": "x" * 700}, "apn_1")
    assert asked.lines == [
        "action: slack/send",
        "“text Do you agree?”: “a b”",
        f"long: “{'x' * 600}… (100 more characters)”",
        "account: apn_1",
    ]
    assert asked.digest != of_call("ann", "slack/send", {}, "apn_1").digest


@pytest.mark.anyio
@pytest.mark.requirement("manifest:consent")
async def test_a_version_of_before_there_were_manifests_is_said_to_be_one(database: Database) -> None:
    old = of_deploy("ann", "Flow", "flow_0a1b2c3d", 4, [Grant("host", "a.example")], unknown_before=True)
    message = (await needed(questions(database), old)).message
    assert "without a manifest" in message
    assert "Version 4 goes on serving" in message


@pytest.mark.requirement("manifest:operations", "authority:asks-credentials")
def test_a_question_says_of_each_operation_whether_it_changes_something_and_with_whose_credential() -> None:
    manifest = Manifest(
        services=(
            "firecrawl: map",
            "firecrawl: scrape",
            "github: readme",
            "pipedream",
            "slack_trigger",
            "slack_trigger: send_message",
            "user_login: me",
        )
    )
    [(kind, items)] = tabulate_grants(manifest.grants())
    assert (kind, items) == (
        "services",
        [
            "firecrawl: map (with your FIRECRAWL_API_KEY)",
            "firecrawl: scrape (may write, with your FIRECRAWL_API_KEY)",
            "github: readme (with your GITHUB_TOKEN)",
            "pipedream (with the accounts that you connected)",
            "slack_trigger: any operation (writes, with your SLACK_BOT_TOKEN)",
            "slack_trigger: send_message (writes, with your SLACK_BOT_TOKEN)",
            "user_login: me (with your SMTP_URL, if it is set)",
        ],
    )
    assert Manifest(services=("github: readme", "send_email: send")).lines() == [
        "services     github: readme, send_email: send (writes)"
    ]


@pytest.mark.requirement("chrome:agreed")
def test_acting_in_a_persons_own_chrome_is_agreed_to_as_such() -> None:
    now = Manifest(services=("chrome_extension",), browsers=("chrome_extension",))
    assert (
        "your Chrome  chrome_extension acts in your own Chrome, signed in as you, where it is paired"
        in now.lines()
    )
    assert now.widens(Manifest(services=("chrome_extension",))) == [Grant("browser", "chrome_extension")]
    assert now.widens(Manifest(services=("*",))) == [Grant("browser", "chrome_extension")], (
        "any service is not this"
    )
    assert now.widens(now) == []
    assert Manifest(services=("chrome_extension",)).outdated
    assert not now.outdated
    assert not Manifest(services=("firecrawl", "*")).outdated
