"""A workflow's own users: codes and links by mail, each good once; sessions; nothing that tells who is known. And files."""

from __future__ import annotations

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from email import message_from_string, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.support.chromium import tab
from tests.support.http_runtime import Door
from tests.support.loopback_site import Answer, StandIn
from tests.support.runtime import workflow

from codewords_mcp.runtime.services import _logins as logins


def call(http: httpx.Client, path: str, **data: Any) -> Any:
    answer = http.post(f"/run/{path}", json=data)
    assert answer.status_code == 200, answer.text
    return answer.json()


def newest_mail(http: httpx.Client) -> EmailMessage:
    """The newest message of the outbox."""
    kept = call(http, "send_email/outbox", limit=1)["messages"][0]
    [whole] = call(http, "send_email/outbox", id=kept["id"])["messages"]
    return message_from_string(whole["message"], policy=policy.default)


def text_of(message: EmailMessage) -> str:
    body = message.get_body()
    assert body is not None
    return body.get_content()


def start(http: httpx.Client, email: str, **more: Any) -> tuple[str, str, str]:
    """(login id, code, link or "") of a sign-in."""
    begun = call(http, "user_login/start", email=email, title="The club", **more)
    text = text_of(newest_mail(http))
    code = re.search(r"\b\d{6}\b", text)
    link = re.search(r"http\S+/login/\S+", text)
    assert code
    return begun["login_id"], code[0], link[0] if link else ""


@pytest.fixture(autouse=True)
def sign_ins_of_others_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MAX_PER_APP", 10_000)


@pytest.mark.requirement("login:code")
def test_a_code_opens_a_session_once(http: httpx.Client) -> None:
    login, code, link = start(http, "Ann@Example.org")
    assert link == ""
    assert newest_mail(http)["To"] == "ann@example.org"
    signed_in = call(http, "user_login/verify", login_id=login, code=code)
    assert (signed_in["success"], signed_in["user"]["email"]) == (True, "ann@example.org")
    again = call(http, "user_login/verify", login_id=login, code=code)
    assert again == {"success": False, "message": "This code is wrong, was used, or has expired."}
    token = signed_in["session_token"]
    assert call(http, "user_login/me", session_token=token)["user"] == signed_in["user"]
    assert call(http, "user_login/logout", session_token=token)["ended"] == 1
    assert call(http, "user_login/me", session_token=token)["success"] is False
    assert call(http, "user_login/logout", session_token=token)["ended"] == 0


@pytest.mark.requirement("login:code")
def test_of_two_who_send_the_code_at_once_one_is_signed_in(http: httpx.Client) -> None:
    login, code, _ = start(http, "twice@example.org")
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(call, http, "user_login/verify", login_id=login, code=code) for _ in range(4)]
    assert sorted(one.result()["success"] for one in sent) == [False, False, False, True]


@pytest.mark.requirement("login:guessing")
def test_after_five_guesses_the_right_code_is_none(http: httpx.Client) -> None:
    login, code, _ = start(http, "guessed@example.org")
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(logins.MAX_TRIES):
        assert call(http, "user_login/verify", login_id=login, code=wrong)["success"] is False
    assert call(http, "user_login/verify", login_id=login, code=code)["success"] is False
    for nonsense in ("", "١٢٣٤٥٦", "0" * 20):
        assert http.post("/run/user_login/verify", json={"login_id": "x", "code": nonsense}).status_code in {200, 400}  # fmt: skip


@pytest.mark.requirement("login:guessing")
def test_a_code_that_is_too_old_is_none(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "CODE_TTL_S", 0)
    login, code, _ = start(http, "late@example.org")
    assert call(http, "user_login/verify", login_id=login, code=code)["success"] is False


@pytest.mark.requirement("login:guessing")
def test_an_address_gets_few_codes_at_a_time_whoever_it_is(http: httpx.Client) -> None:
    for _ in range(logins.MAX_PER_ADDRESS):
        start(http, "often@example.org")
    refused = http.post("/run/user_login/start", json={"email": "often@example.org"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_busy")


@pytest.mark.requirement("login:no-enumeration")
def test_who_is_not_allowed_gets_no_mail_and_the_same_answer(http: httpx.Client) -> None:
    def mailed() -> set[str]:
        messages = call(http, "send_email/outbox")["messages"]
        return {address for message in messages for address in message["to"]}

    allowed = ["member@example.org", "club.example"]
    answers = [
        call(http, "user_login/start", email=email, allowed=allowed)
        for email in ("stranger@example.org", "member@example.org", "any@club.example")
    ]
    shapes = {tuple(sorted((name, len(str(value))) for name, value in one.items())) for one in answers}
    assert len(shapes) == 1
    while not {"member@example.org", "any@club.example"} <= mailed():
        pass
    assert "stranger@example.org" not in mailed()
    guess = call(http, "user_login/verify", login_id=answers[0]["login_id"], code="000000")
    unknown = call(http, "user_login/verify", login_id="nobody", code="000000")
    assert guess == unknown


@pytest.mark.requirement("login:apart")
def test_each_app_has_its_own_users(door: Door, http: httpx.Client) -> None:
    login, code, _ = start(http, "both@example.org", app="one")
    elsewhere = call(http, "user_login/verify", login_id=login, code=code, app="two")
    assert elsewhere["success"] is False
    session = call(http, "user_login/verify", login_id=login, code=code, app="one")
    token = session["session_token"]
    assert call(http, "user_login/me", session_token=token, app="two")["success"] is False
    with door.client(door.make_key(owner="other")) as other:
        assert call(other, "user_login/me", session_token=token, app="one")["success"] is False
    login, code, _ = start(http, "both@example.org", app="two")
    there = call(http, "user_login/verify", login_id=login, code=code, app="two")
    assert there["user"]["id"] != session["user"]["id"]


@pytest.mark.requirement("login:apart")
def test_logout_everywhere_ends_all_sessions_of_a_user(http: httpx.Client) -> None:
    tokens: list[str] = []
    for _ in range(2):
        login, code, _ = start(http, "roaming@example.org")
        tokens.append(call(http, "user_login/verify", login_id=login, code=code)["session_token"])
    assert call(http, "user_login/logout", session_token=tokens[0], everywhere=True)["ended"] == 2
    assert call(http, "user_login/me", session_token=tokens[1])["success"] is False


@pytest.mark.requirement("login:secret")
def test_records_keep_neither_codes_nor_sessions(http: httpx.Client) -> None:
    login, code, _ = start(http, "private@example.org")
    answer = http.post("/run/user_login/verify", json={"login_id": login, "code": code})
    record = http.get(f"/request/{answer.headers['x-request-id']}").text
    assert answer.json()["session_token"] not in record


@pytest.mark.requirement("services:mail", "login:secret")
@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "a@example.org\r\nBcc: b@example.org"},
        {"email": "a@example.org, b@example.org"},
        {"email": "a@example.org", "title": "x\r\nBcc: b@example.org"},
        {"email": "a@example.org", "return_url": "javascript:alert(1)"},
        {"email": "a@example.org", "return_url": "https:///x"},
    ],
)
def test_nothing_of_a_sign_in_adds_a_header_or_leads_to_a_script(
    http: httpx.Client, wrong: dict[str, str]
) -> None:
    before = len(call(http, "send_email/outbox")["messages"])
    assert http.post("/run/user_login/start", json=wrong).status_code == 400
    assert len(call(http, "send_email/outbox")["messages"]) == before


@pytest.mark.requirement("login:link")
def test_a_link_is_spent_by_its_button_and_brings_a_ticket_that_is_good_once(
    door: Door, http: httpx.Client
) -> None:
    back = "https://club.example/in?from=mail&x='\"#top"
    login, code, link = start(http, "linked@example.org", return_url=back)
    with door.client(key=None) as browser:
        shown = browser.get(link)
        assert (shown.status_code, browser.get(link).status_code) == (200, 200)
        assert "The club" in shown.text
        assert "linked@example.org" not in shown.text
        foreign = browser.post(link, headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == 403
        assert browser.post(link).status_code == 403, "a form that does not say where it comes from"
        own_page = {"Origin": door.url, "Sec-Fetch-Site": "same-origin"}
        followed = browser.post(link, headers=own_page)
        assert followed.status_code == 200
        target = followed.headers["refresh"].removeprefix("0; url=")
        assert target.startswith("https://club.example/in?from=mail&x=%27%22")
        assert target.endswith("#top")
        assert browser.post(link, headers=own_page).status_code == 404
        assert "no longer works" in browser.get(link).text
    [ticket] = parse_qs(urlsplit(target).query)["login_ticket"]
    assert call(http, "user_login/verify", login_id=login, code=code)["success"] is False
    signed_in = call(http, "user_login/verify", ticket=ticket)
    assert signed_in["user"]["email"] == "linked@example.org"
    assert call(http, "user_login/verify", login_ticket=ticket)["success"] is False
    assert http.post("/run/user_login/verify", json={}).status_code == 400


@pytest.mark.slow
@pytest.mark.requirement("login:link")
@pytest.mark.needs("chromium")
def test_on_a_phone_the_page_fits_and_leads_on(
    door: Door, http: httpx.Client, site: StandIn, tmp_path: Path
) -> None:
    site.answer = lambda asked: Answer(
        200, f"<h1>Back with {asked.path}</h1>".encode(), {"Content-Type": "text/html"}
    )
    _, _, link = start(http, "phone@example.org", return_url=f"{site.url}/in")
    with tab(tmp_path, width=360, height=740, mobile=True) as page:
        page.open(link)
        assert page.value("document.documentElement.scrollWidth") <= 360, "nothing sticks out sideways"
        assert page.value("document.querySelector('button').getBoundingClientRect().height") >= 44
        page.value("document.querySelector('button').click()")
        page.wait_for("Page.loadEventFired")
        page.wait_for("Page.loadEventFired")
        assert "Back with /in?login_ticket=" in page.value("document.body.innerText")
        assert page.problems == []


CLUB = workflow(
    "import codewords_client\n"
    '@app.post("/{step}")\nasync def step(step: str, request: Request):\n'
    "    async with codewords_client.AsyncCodewordsClient() as client:\n"
    '        answer = await client.run("user_login", path=step, inputs=await request.json())\n'
    "        return answer.json()\n",
    title="Club",
).replace('"httpx==0.28.1"', '"httpx==0.28.1", "codewords-client==0.4.11"')


@pytest.mark.requirement("login:apart")
def test_a_workflow_signs_in_its_own_users_and_no_others(http: httpx.Client) -> None:
    made = http.post("/deploy", json={"code": CLUB, "name": "club", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    club = made.json()["service_id"]
    begun = call(http, f"{club}/start", email="member@club.example", title="The club", app="default")
    code = re.search(r"\b\d{6}\b", text_of(newest_mail(http)))
    assert code
    outside = call(http, "user_login/verify", login_id=begun["login_id"], code=code[0])
    assert outside["success"] is False
    session = call(http, f"{club}/verify", login_id=begun["login_id"], code=code[0])
    assert session["user"]["email"] == "member@club.example"
    assert call(http, f"{club}/me", session_token=session["session_token"])["success"] is True


@pytest.mark.requirement("services:files")
def test_a_file_is_stored_listed_read_linked_and_deleted(door: Door, http: httpx.Client) -> None:
    stored = call(http, "files/upload", filename="report.csv", content="name,score\nAda,7\n")
    assert (stored["content_type"], stored["size"]) == ("text/csv", 17)
    with door.client(key=None) as anybody:
        given = anybody.get(stored["download_uri"])
        assert given.text == "name,score\nAda,7\n"
        assert given.headers["content-disposition"].startswith("attachment")
    assert call(http, "files/list")["files"][0]["file_id"] == stored["file_id"]
    assert call(http, "files/read", file_id=stored["file_id"])["content"] == "name,score\nAda,7\n"
    linked = call(http, "files/link", id=stored["file_id"])["download_uri"]
    with door.client(door.make_key(owner="other")) as other:
        assert call(other, "files")["files"] == []
        assert other.post("/run/files/read", json={"file_id": stored["file_id"]}).status_code == 404
        assert other.post("/run/files/delete", json={"file_id": stored["file_id"]}).status_code == 404
    assert call(http, "files/delete", file_id=stored["file_id"])["success"] is True
    assert httpx.get(linked, trust_env=False).status_code == 404
    assert http.post("/run/files/delete", json={"file_id": stored["file_id"]}).status_code == 404


@pytest.mark.requirement("services:files")
def test_bytes_come_back_as_they_were(http: httpx.Client) -> None:
    data = bytes(range(256))
    stored = call(http, "files/upload", filename="x.bin", content_base64=base64.b64encode(data).decode())
    read = call(http, "files/read", file_id=stored["file_id"])
    assert base64.b64decode(read["content_base64"]) == data


@pytest.mark.requirement("services:files")
@pytest.mark.parametrize(
    "wrong",
    [
        {"filename": "../x", "content": "x"},
        {"filename": "x"},
        {"filename": "x", "content": "x", "content_base64": "eA=="},
        {"filename": "x", "content_base64": "%%%"},
        {"filename": "x", "content": "x", "content_type": "text/html\r\nX: y"},
    ],
)
def test_what_is_no_file_is_refused(http: httpx.Client, wrong: dict[str, str]) -> None:
    assert http.post("/run/files/upload", json=wrong).status_code == 400
