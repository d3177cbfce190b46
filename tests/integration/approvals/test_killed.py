"""kill -9 and an orderly end of the runtime while runs wait for a person."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.approvals.helpers import ask, asking
from tests.support.background_runs import with_options
from tests.support.mail_server import MailServer
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

pytestmark = pytest.mark.slow


def is_asking(runtime: ServedRuntime, run_id: str) -> bool:
    return bool(runtime.call("GET", f"/runs/{run_id}/approvals")["items"])


@pytest.mark.requirement("approvals:suspend", "approvals:default")
@pytest.mark.parametrize(("grace", "killed"), [("0", True), ("600", True), ("600", False)])
def test_a_run_that_waits_goes_on_after_the_runtime_was_started_again(
    tmp_path: Path, grace: str, killed: bool
) -> None:
    """With a grace of 600 seconds the program is in its sandbox when the runtime is killed, or told to end."""
    home = make_home(tmp_path / "home")
    upload = ["POST", "/run/files/upload", {"filename": "once.txt", "content": "text"}]
    listed: list[Any] = ["POST", "/run/files/list", {}]
    script = asking().replace('["approvals", "wait"]', '["approvals", "wait", "files"]')

    with start_runtime(home, CODEWORDS_WAITING_GRACE=grace) as runtime:
        service = runtime.deploy(script, "Asking")
        steps: list[Any] = [[upload], [ask(timeout=4, default="reject")], [listed]]
        run_id = runtime.call("POST", f"/run_async/{service}/", {"steps": steps})["request_id"]
        until(lambda: is_asking(runtime, run_id), "the question")
        if grace == "0":
            until(lambda: runtime.call("GET", f"/request/{run_id}")["waitsFor"] == "answer", "the suspension")
        if killed:
            runtime.kill()

    with start_runtime(home, CODEWORDS_WAITING_GRACE=grace) as runtime:
        run = runtime.call("GET", f"/result/{run_id}?timeout=60")
        assert run["status"] == "succeeded", run["error"]
        assert [one["outcome"] for one in run["attempts"]] == ["suspended", "succeeded"]
        replies = run["responseJson"]["replies"]
        assert json.loads(replies[1][0][1])["answer"] == "reject"
        (kept,) = runtime.call("GET", f"/runs/{run_id}/approvals")["items"]
        assert (kept["status"], kept["answered_by"], kept["answered_from"]) == (
            "answered",
            None,
            "the deadline",
        )
        files = json.loads(replies[2][0][1])["files"]
        assert [file["filename"] for file in files] == ["once.txt"]


@pytest.mark.requirement("approvals:notify", "approvals:link")
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_mail_that_was_being_sent_at_the_kill_is_sent_again_as_the_same_and_its_link_works(
    tmp_path: Path,
) -> None:
    """The mail server has taken the mail, and the runtime is killed before it hears so."""
    home, mail, killed = make_home(tmp_path / "home"), MailServer(), threading.Event()

    async def kill() -> None:
        if not killed.is_set():
            runtime.kill()
            killed.set()

    mail.on_taken = kill
    mail.start()
    try:
        with start_runtime(home, CODEWORDS_WAITING_GRACE="0") as runtime:
            runtime.call(
                "PUT", "/secrets/SMTP_URL", {"value": f"smtp://house%40example.org:p%40ss@{mail.at}"}
            )
            service = runtime.deploy(asking(notifies=True), "Asking")
            steps = [[ask("By mail?", notify={"email": "ann@example.org"})]]
            run_id = runtime.call("POST", f"/run_async/{service}/", {"steps": steps})["request_id"]
            assert killed.wait(60)

        with start_runtime(home, CODEWORDS_WAITING_GRACE="0") as runtime:
            until(
                lambda: runtime.call("GET", f"/runs/{run_id}/approvals")["items"][0]["notified"][0]["sent_at"]
            )
            first, second = mail.read(0), mail.read(1)
            assert (len(mail.taken), first["Message-ID"]) == (2, second["Message-ID"])
            body = first.get_body(("html",))
            assert body is not None
            found = re.search(r'href="https?://[^/"]+(/answer/[^"]+)"', body.get_content())
            assert found is not None
            own = {"Origin": runtime.url, "Sec-Fetch-Site": "same-origin"}
            done = httpx.post(runtime.url + found[1], data={"answer": "approve"}, headers=own)
            assert done.status_code == 200, done.text
            assert runtime.call("GET", f"/result/{run_id}?timeout=60")["status"] == "succeeded"
    finally:
        mail.stop()


_SLOW_TO_ASK = """
import asyncio, os, httpx

@app.post("/")
async def act(body: dict):
    async with httpx.AsyncClient(timeout=60, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        client.headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
        await client.post("/run/files/upload/", json={"filename": body["name"], "content": "text"})
        await asyncio.sleep(2)
        reply = await client.post("/run/approvals/", json={"title": "Go on?", "timeout": 1, "default": "reject"})
    return reply.json()
"""


@pytest.mark.requirement("approvals:suspend", "approvals:default")
def test_a_run_killed_before_it_learns_of_its_answer_goes_on(tmp_path: Path) -> None:
    """The resumed attempt has not come to its question again: its answer came before it began."""
    home, names = make_home(tmp_path / "home"), ("one", "two")
    script = with_options(workflow(_SLOW_TO_ASK, title="Slow"), 'services = ["approvals", "files"]')

    with start_runtime(home, CODEWORDS_WAITING_GRACE="0") as runtime:
        service = runtime.deploy(script, "Slow")
        runs = [
            runtime.call("POST", f"/run_async/{service}/", {"name": name})["request_id"] for name in names
        ]

        def are_resumed() -> bool:
            found = [runtime.call("GET", f"/request/{run_id}") for run_id in runs]
            return all(len(run["attempts"]) == 2 and run["status"] == "running" for run in found)

        until(are_resumed, "the second attempts")
        runtime.kill()

    with start_runtime(home, CODEWORDS_WAITING_GRACE="0") as runtime:
        for run_id in runs:
            run = runtime.call("GET", f"/result/{run_id}?timeout=60")
            assert (run["status"], run["responseJson"]["answer"]) == ("succeeded", "reject"), run
            assert [one["outcome"] for one in run["attempts"]] == ["suspended", "interrupted", "succeeded"]
