"""Questions that are sent by mail: a link for each option, which asks once more, and counts once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage, Message

import httpx
import pytest
from tests.integration.approvals.helpers import asking, deploy_over, start_asking
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.mail_server import MailServer
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),  # on loopback it may
]
ANN, BEN = "ann@example.org", "ben@example.org"
_ASKS_ANN = """
async def to_ann():
    from codewords_client import AsyncCodewordsClient
    async with AsyncCodewordsClient() as client:
        await client.run("approvals", {"title": "To Ann?", "notify": {"email": "ann@example.org"}})

"""
FIELDS = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "minLength": 2, "title": "Why?"},
        "days": {"type": "integer", "default": 3},
        "rush": {"type": "boolean"},
        "team": {"enum": ["sales", "support"]},
    },
    "required": ["reason"],
}


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[Door]:
    home = make_home(tmp_path_factory.mktemp("mailed") / "home")
    settings = Settings.model_validate({"home": home, "port": 0, "api_key": ADMIN_KEY, "waiting_grace": 0.1})
    with Door(settings) as opened:
        with opened.client() as http:
            url = f"smtp://house%40example.org:p%40ss@{mail.at}"
            assert http.put("/secrets/SMTP_URL", json={"value": url}).status_code in {200, 201, 204}
        yield opened


@pytest.fixture(scope="module")
def service(door: Door) -> str:
    return deploy_over(door, asking(notifies=True))


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture
def stranger(door: Door) -> Iterator[httpx.Client]:
    """Somebody who has no key and is not signed in."""
    with httpx.Client(
        base_url=door.url, headers={"Origin": door.url, "Sec-Fetch-Site": "same-origin"}
    ) as client:
        yield client


def mails(mail: MailServer, title: str, count: int) -> list[EmailMessage]:
    """The mails about a question, as soon as there are so many."""

    def found() -> list[EmailMessage]:
        return [one for one in (mail.read(at) for at in range(len(mail.taken))) if one["Subject"] == title]

    until(lambda: len(found()) >= count, f"{count} mails")
    return found()


def part(message: EmailMessage, kind: str) -> str:
    body: Message | None = message.get_body((kind,))
    assert isinstance(body, EmailMessage)
    return str(body.get_content())


def links(message: EmailMessage) -> list[str]:
    """The paths of the answers, in the order of the options."""
    return re.findall(r'href="https?://[^/"]+(/answer/[^"]+)"', part(message, "html"))


@pytest.mark.requirement("approvals:notify", "approvals:link")
def test_a_mail_has_a_link_for_each_option_that_asks_once_more_and_counts_once(
    mail: MailServer, http: httpx.Client, stranger: httpx.Client, service: str
) -> None:
    details = "Invoice 7 <b>of</b> Example Ltd"
    run_id = start_asking(
        http,
        service,
        title="Pay 7?",
        details=details,
        options=["pay", "reject"],
        notify={"email": [ANN, BEN]},
    )
    sent = {str(one["To"]): one for one in mails(mail, "Pay 7?", 2)}
    assert set(sent) == {ANN, BEN}
    assert "Invoice 7 &lt;b&gt;of&lt;/b&gt; Example Ltd" in part(sent[ANN], "html")
    assert details in part(sent[ANN], "plain")
    (pay, reject), (bens_pay, _) = links(sent[ANN]), links(sent[BEN])
    assert len({pay, reject, bens_pay}) == 3

    # Mail scanners open every link.
    for link in (pay, reject, bens_pay):
        shown = stranger.get(link)
        assert (shown.status_code, "Pay 7?" in shown.text, "&lt;b&gt;of" in shown.text) == (200, True, True)
    assert http.get(f"/runs/{run_id}/approvals").json()["items"][0]["status"] == "open"

    assert stranger.post(pay, data={"answer": "reject"}).status_code == 400
    assert (
        stranger.post(pay, data={"answer": "pay"}, headers={"Origin": "http://evil.example"}).status_code
        == 403
    )
    done = stranger.post(pay, data={"answer": "pay"})
    assert (done.status_code, "Answered: pay" in done.text) == (200, True), done.text
    for link in (pay, reject, bens_pay):
        late = stranger.get(link)
        assert (late.status_code, f"{ANN} has answered this question already" in late.text) == (409, True)
        assert stranger.post(link, data={"answer": "pay"}).status_code == 409

    run = http.get(f"/result/{run_id}?timeout=60").json()
    assert run["status"] == "succeeded"
    (kept,) = http.get(f"/runs/{run_id}/approvals").json()["items"]
    assert (kept["answer"], kept["answered_by"]) == ("pay", ANN)
    assert kept["answered_from"].startswith(f"by e-mail to {ANN} (")
    assert {(one["channel"], one["target"], one["sent_at"] is not None) for one in kept["notified"]} == {
        ("email", ANN, True),
        ("email", BEN, True),
    }


@pytest.mark.requirement("approvals:link")
def test_the_form_of_a_link_has_the_fields_and_says_what_is_wrong(
    mail: MailServer, http: httpx.Client, stranger: httpx.Client, service: str
) -> None:
    run_id = start_asking(http, service, title="Wait?", fields=FIELDS, notify={"email": ANN})
    (message,) = mails(mail, "Wait?", 1)
    approve = links(message)[0]
    assert 'name="field-1"' in stranger.get(approve).text
    short = stranger.post(approve, data={"answer": "approve", "field-0": "x", "field-1": "3"})
    assert (short.status_code, "too short" in short.text, 'value="x"' in short.text) == (400, True, True)
    data = {"answer": "approve", "field-0": "It is late", "field-1": "5", "field-2": "1", "field-3": "1"}
    assert stranger.post(approve, data=data).status_code == 200
    http.get(f"/result/{run_id}?timeout=60")
    (kept,) = http.get(f"/runs/{run_id}/approvals").json()["items"]
    assert kept["answered_fields"] == {"reason": "It is late", "days": 5, "rush": True, "team": "support"}


@pytest.mark.requirement("approvals:link", "approvals:late")
def test_a_link_that_is_forged_or_too_late_answers_nothing(
    mail: MailServer, http: httpx.Client, stranger: httpx.Client, service: str
) -> None:
    first = start_asking(http, service, title="First?", notify={"email": ANN})
    other = start_asking(http, service, title="Other?", timeout=3, notify={"email": ANN})
    (link, no), (of_other, _) = links(mails(mail, "First?", 1)[0]), links(mails(mail, "Other?", 1)[0])
    head, signature = link.rsplit(".", 1)
    message_of_other = of_other.removeprefix("/answer/").split(".")[0]
    forged = [
        f"{head}.{'A' * 32}",
        f"{no.rsplit('.', 1)[0]}.{signature}",
        f"/answer/{message_of_other}.0.{signature}",
        link.replace(".0.", ".any."),
        link.replace(".0.", ".7."),
        f"{link}x",
        "/answer/ask_1",
    ]
    for one in forged:
        for reply in (stranger.get(one), stranger.post(one, data={"answer": "approve"})):
            assert (reply.status_code, "No question has this link" in reply.text) == (404, True), one

    http.get(f"/result/{other}?timeout=60")
    late = stranger.post(of_other, data={"answer": "approve"})
    assert (late.status_code, "The deadline of this question was" in late.text) == (409, True)
    assert http.post(f"/runs/{first}/cancel").status_code == 200
    ended = stranger.post(link, data={"answer": "approve"})
    assert (ended.status_code, "has ended" in ended.text) == (409, True)


@pytest.mark.requirement("approvals:notify")
def test_a_channel_that_is_not_connected_is_refused_in_a_sentence(http: httpx.Client, service: str) -> None:
    for notify, words in (
        ({"slack": "C0123"}, "SLACK_BOT_TOKEN"),
        ({"whatsapp": "+351 912 345 678"}, "WHATSAPP_ACCESS_TOKEN"),
        ({"email": "no address"}, "notify"),
        ({"email": [f"a{n}@example.org" for n in range(11)]}, "10 people"),
    ):
        run_id = start_asking(http, service, title="Refused?", notify=notify)
        run = http.get(f"/result/{run_id}?timeout=60").json()
        status, text = run["responseJson"]["replies"][0][0]
        assert (status >= 400, words in text) == (True, True), text
        assert not http.get(f"/runs/{run_id}/approvals").json()["items"]


@pytest.mark.requirement("approvals:recipients")
def test_a_run_asks_only_people_whom_its_manifest_names(
    mail: MailServer, door: Door, http: httpx.Client
) -> None:
    code = asking(title="Named").replace('@app.post("/")', _ASKS_ANN + '@app.post("/")')
    named = deploy_over(door, code, "Named")
    manifest = http.get(f"/workflows/{named}").json()
    assert f"{ANN} by e-mail" in " ".join(manifest["capabilities"]), manifest["capabilities"]
    run_id = start_asking(http, named, title="To Ben?", notify={"email": BEN})
    run = http.get(f"/result/{run_id}?timeout=60").json()
    status, text = run["responseJson"]["replies"][0][0]
    assert (status, "does not list this recipient" in text) == (403, True)
    allowed = start_asking(http, named, title="To Ann?", notify={"email": ANN})
    assert mails(mail, "To Ann?", 1)
    http.post(f"/runs/{allowed}/cancel")
