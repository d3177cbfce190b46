"""Messages of alerts: by a signed webhook, mail and Slack, each at least once, few at a time, none at night."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.integration.alerts.helpers import FAILS, alert_of, scheduled, tick
from tests.support.mail_server import MailServer
from tests.support.runtime import ADMIN, deploy, finished, make_home, open_runtime, request
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until, until_async

from codewords_mcp.errors import InvalidInput, MissingCredential
from codewords_mcp.runtime.alerts.quiet_hours import end_of_quiet
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.alert import AlertSettings
from codewords_mcp.runtime.store import alert_causes, alert_messages
from codewords_mcp.runtime.store.clock import to_micros
from codewords_mcp.runtime.triggers.webhook_signatures import standard
from codewords_testing.services import loopback_services, slack

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),  # on loopback it may
]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(ThreadingHTTPServer):
    """Takes webhooks. `answers` are the statuses of the next answers, 200 after them; None never answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}/alerts"
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int | None] = []
        self.released = threading.Event()

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.taken]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.taken.append((headers, body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status is None:
            self.server.released.wait(60)
            status = 503
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


@contextmanager
def receiving() -> Generator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            receiver.shutdown()
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def sending(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Runtime]:
    """A runtime that may reach the receiver."""
    async with open_runtime(make_home(tmp_path / "home"), egress_allow_private=(receiver.host,)) as opened:
        await opened.secrets.set(ADMIN, "ALERT_WEBHOOK_SECRET", SECRET)
        yield opened


@pytest.mark.requirement("alerts:webhook")
async def test_a_webhook_gets_a_failure_and_its_end_signed_and_again_after_a_fault(
    sending: Runtime, receiver: Receiver
) -> None:
    receiver.answers = [500]
    await sending.alerts.change_settings(ADMIN, {"webhook": receiver.url})
    fails = await deploy(sending, FAILS)
    run = await tick(sending, await scheduled(sending, fails))
    await until_async(lambda: len(receiver.taken) >= 2)

    (first, body), (second, again) = receiver.taken[:2]
    assert first["webhook-id"] == second["webhook-id"]
    for headers, content in ((first, body), (second, again)):
        standard(SECRET, headers, content, datetime.now(UTC).timestamp())
    document = json.loads(body)
    assert (document["type"], document["data"]["run_id"]) == ("alert.opened", run.id)
    assert document["data"]["url"].endswith(f"/console/runs/{run.id}")

    alert = await alert_of(sending, "run_failed")
    await until_async(lambda: _is_notified(sending, alert.id))
    await finished(sending, await sending.runs.start(request(fails, {"status": 200})))
    await until_async(lambda: receiver.documents()[-1]["type"] == "alert.resolved")


@pytest.mark.requirement("alerts:mail")
async def test_mail_and_slack_get_what_failed_and_its_address(sending: Runtime, mail: MailServer) -> None:
    await sending.secrets.set(ADMIN, "SMTP_URL", f"smtp://house%40example.org:p%40ss@{mail.at}")
    await sending.alerts.change_settings(ADMIN, {"email": ("ann@example.org", "ben@example.org")})
    assert [result.problem for result in await sending.alerts.send_test(ADMIN)] == [""]
    fails = await deploy(sending, FAILS)
    run = await tick(sending, await scheduled(sending, fails))
    await until_async(lambda: len(mail.taken) >= 2)
    message: EmailMessage = mail.last()
    assert "failed" in message["Subject"]
    assert f"/console/runs/{run.id}" in message.get_content()
    assert message["X-Codewords-Alert"].startswith("am_")
    assert mail.taken[-1].rcpt_tos == ["ann@example.org", "ben@example.org"]


@pytest.mark.requirement("alerts:slack")
async def test_slack_gets_one_message_of_what_failed_with_the_address_of_the_run(tmp_path: Path) -> None:
    with loopback_services() as upstream:
        async with open_runtime(make_home(tmp_path / "home"), **upstream.settings()) as runtime:
            await runtime.secrets.set(ADMIN, "SLACK_BOT_TOKEN", slack.BOT_TOKEN)
            await runtime.alerts.change_settings(ADMIN, {"slack": "C1"})
            assert [result.problem for result in await runtime.alerts.send_test(ADMIN)] == [""]
            fails = await deploy(runtime, FAILS)
            run = await tick(runtime, await scheduled(runtime, fails))

            def messages() -> list[dict[str, Any]]:
                return [sent.json() for sent in upstream.requests if sent.path.endswith("/chat.postMessage")]

            await until_async(lambda: len(messages()) >= 2)
            test, told = messages()[:2]
            assert (test["channel"], told["channel"]) == ("C1", "C1")
            assert "failed: " in told["text"]
            assert f"/console/runs/{run.id}" in told["text"]

            await runtime.secrets.set(ADMIN, "SLACK_BOT_TOKEN", "xoxb-of-somebody-else")
            [refused] = await runtime.alerts.send_test(ADMIN)
            assert refused.problem
            assert "xoxb" not in refused.problem


@pytest.mark.requirement("alerts:grouped")
async def test_an_alert_is_sent_once_in_its_interval_however_often_it_happens(
    sending: Runtime, receiver: Receiver
) -> None:
    await sending.alerts.change_settings(ADMIN, {"webhook": receiver.url})
    database = sending._container.database  # pyright: ignore[reportPrivateUsage]

    def flood(connection: Connection) -> None:
        for number in range(2_000):
            detail = {"owner": "local", "app": "stripe"}
            alert_causes.note(connection, f"flood {number}", "connection_lost", detail)

    await database.write(flood)
    sending._container.alerts.watcher.wake()  # pyright: ignore[reportPrivateUsage]
    await alert_of(sending, "connection_lost", count=2_000)
    await until_async(lambda: receiver.taken)
    await database.write(flood)
    sending._container.alerts.watcher.wake()  # pyright: ignore[reportPrivateUsage]
    alert = await alert_of(sending, "connection_lost", count=4_000)
    await until_async(lambda: _is_notified(sending, alert.id))
    assert len(receiver.taken) == 1

    await sending.alerts.acknowledge(ADMIN, alert.id)
    assert await database.read(alert_messages.next_due) is None


@pytest.mark.requirement("alerts:at-least-once")
def test_a_message_whose_runtime_is_killed_while_it_is_sent_is_sent_again_with_its_id(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with receiving() as receiver:
        receiver.answers = [None]
        with start_runtime(home, CODEWORDS_EGRESS_ALLOW_PRIVATE=json.dumps([receiver.host])) as served:
            served.call("PUT", "/secrets/ALERT_WEBHOOK_SECRET", {"value": SECRET})
            served.call("PUT", "/alerts/settings", {"webhook": receiver.url})
            fails = served.deploy(FAILS, "Fails")
            soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
            body = {"service_id": fails, "at": soon, "input": {"status": 500}}
            served.call("POST", "/schedules", body)
            until(lambda: receiver.taken)
            served.kill()

        with start_runtime(home, CODEWORDS_EGRESS_ALLOW_PRIVATE=json.dumps([receiver.host])):
            until(lambda: [d for d in receiver.documents()[1:] if d["data"]["kind"] == "run_failed"])
        ids = {
            headers["webhook-id"]
            for headers, body in receiver.taken
            if json.loads(body)["data"]["kind"] == "run_failed"
        }
        assert len(ids) == 1


@pytest.mark.requirement("alerts:settings")
async def test_settings_that_cannot_work_are_refused_with_what_is_missing(sending: Runtime) -> None:
    for changes in (
        {"webhook": "ftp://example.org"},
        {"email": ("nobody",)},
        {"quiet_from": "22:00"},
        {"timezone": "Mars/Olympus"},
    ):
        with pytest.raises(InvalidInput):
            await sending.alerts.change_settings(ADMIN, changes)
    for changes in (
        {"email": ("ann@example.org",)},
        {"slack": "C1"},
        {"webhook": "https://example.org", "webhook_secret": "NONE"},
    ):
        with pytest.raises(MissingCredential):
            await sending.alerts.change_settings(ADMIN, changes)
    with pytest.raises(InvalidInput):
        await sending.alerts.send_test(ADMIN)
    assert (await sending.alerts.settings(ADMIN)).settings == AlertSettings()


@pytest.mark.requirement("alerts:quiet")
@pytest.mark.parametrize(
    ("at", "end"),
    [
        ("2026-06-01T21:59+02:00", None),
        ("2026-06-01T22:00+02:00", "2026-06-02T07:00+02:00"),
        ("2026-06-02T06:59+02:00", "2026-06-02T07:00+02:00"),
        ("2026-10-24T23:00+02:00", "2026-10-25T07:00+01:00"),
    ],
    ids=["before", "evening", "morning", "longer-night"],
)
def test_messages_wait_for_the_end_of_the_quiet_hours(at: str, end: str | None) -> None:
    settings = AlertSettings(quiet_from="22:00", quiet_until="07:00", timezone="Europe/Berlin")
    moment = to_micros(datetime.fromisoformat(at))
    assert end_of_quiet(settings, moment) == (
        moment if end is None else to_micros(datetime.fromisoformat(end))
    )


async def _is_notified(runtime: Runtime, alert_id: str) -> bool:
    found = await runtime.alerts.list(ADMIN, unresolved=False)
    return any(alert.id == alert_id and alert.notified_at is not None for alert in found)
