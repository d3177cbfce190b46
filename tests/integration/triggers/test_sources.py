"""Mail, files and connected apps start workflows: from the source by the engine to a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.triggers.helpers import KEEPS, look, started, until_polled
from tests.support.runtime import ADMIN, ALLOWED, deploy, finished, make_home, open_runtime
from tests.support.waiting import until_async

from codewords_mcp.errors import Forbidden, MissingCredential
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.trigger import Trigger, TriggerRequest
from codewords_testing.app_records import github_event
from codewords_testing.apps import LoopbackApps, StubReply, loopback_apps
from codewords_testing.imap import LoopbackImap, loopback_imap

pytestmark = pytest.mark.anyio
USER, PASSWORD = "ann@example.org", "secret"
MAIL = (
    b"From: Bob <bob@example.org>\r\nTo: ann@example.org\r\nSubject: Order\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    b"--x\r\n\r\nPlease send two.\r\n--x\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=order.csv\r\n\r\n"
    b"item,2\r\n--x--\r\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackImap]:
    with loopback_imap(USER, PASSWORD) as found:
        yield found


@pytest.fixture(scope="module")
def apps() -> Iterator[LoopbackApps]:
    with loopback_apps("token") as found:
        yield found


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inbox")


@pytest.fixture(scope="module")
async def runtime(
    tmp_path_factory: pytest.TempPathFactory, server: LoopbackImap, apps: LoopbackApps, inbox: Path
) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("home"))
    async with open_runtime(
        home,
        egress_allow_private=[f"127.0.0.1:{server.port}"],
        watched_folders=[inbox],
        integration_base_urls=apps.bases,
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
async def keeps(runtime: Runtime) -> str:
    return await deploy(runtime, KEEPS)


async def add(runtime: Runtime, service: str, kind: str, **options: Any) -> Trigger:
    """A trigger, once its first look has set where it begins."""
    added = await runtime.triggers.add(ADMIN, TriggerRequest(kind=kind, service_id=service, options=options))
    return await until_polled(runtime, added.trigger)


async def got(runtime: Runtime, trigger: Trigger) -> dict[str, Any]:
    """The input of the run that its first event has started."""
    [event] = await started(runtime, trigger, 1)
    return (await finished(runtime, event.run_id or "")).response_json["got"]


async def download(runtime: Runtime, url: str) -> bytes:
    """The content that a link leads to."""
    stored = await runtime.files.find(url.rpartition("/")[2])
    return b"".join([chunk async for chunk in await runtime.files.read(stored, 0, stored.size)])


@pytest.mark.requirement("triggers:mail")
async def test_a_mail_starts_a_run_with_a_link_to_its_attachment(
    runtime: Runtime, keeps: str, server: LoopbackImap
) -> None:
    options = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": USER,
        "secret": "MAIL_PASSWORD",
        "tls": False,
    }
    with pytest.raises(MissingCredential, match="MAIL_PASSWORD"):
        await add(runtime, keeps, "mail", **options)

    await runtime.secrets.set(ADMIN, "MAIL_PASSWORD", PASSWORD)
    trigger = await add(runtime, keeps, "mail", **options)
    server.deliver(MAIL)
    await look(runtime, trigger)
    mail = await got(runtime, trigger)
    assert (mail["subject"], mail["text"].strip()) == ("Order", "Please send two.")
    [attachment] = mail["attachments"]
    assert await download(runtime, attachment["url"]) == b"item,2"


@pytest.mark.requirement("triggers:folder")
async def test_a_file_in_an_allowed_folder_starts_a_run(runtime: Runtime, keeps: str, inbox: Path) -> None:
    trigger = await add(runtime, keeps, "folder", path=str(inbox))
    (inbox / "new.txt").write_text("hello", encoding="utf-8")
    await look(runtime, trigger)
    looked = await until_polled(runtime, trigger)
    await look(runtime, looked)
    file = await got(runtime, trigger)
    assert file["path"] == "new.txt"
    assert await download(runtime, file["url"]) == b"hello"


@pytest.mark.requirement("triggers:folder")
async def test_other_folders_the_home_and_other_people_are_refused(
    runtime: Runtime, keeps: str, inbox: Path
) -> None:
    for path in ("/etc", str(inbox.parent)):
        with pytest.raises(Forbidden, match="may not be watched"):
            await add(runtime, keeps, "folder", path=path)
    ann = Caller("ann", "user")
    service = (await runtime.workflows.deploy(ann, code=KEEPS, consent=ALLOWED)).service_id
    with pytest.raises(Forbidden, match="own owner"):
        request = TriggerRequest(kind="folder", service_id=service, options={"path": str(inbox)})
        await runtime.triggers.add(ann, request)


@pytest.mark.requirement("triggers:pause-asked")
async def test_a_rate_limit_is_a_pause_and_no_failure(
    runtime: Runtime, keeps: str, apps: LoopbackApps
) -> None:
    await runtime.secrets.set(ADMIN, "GITHUB_TOKEN", "token")
    trigger = await add(runtime, keeps, "github", repository="ann/tools")
    limited = StubReply(403, b"{}", headers=[("retry-after", "1800"), ("x-ratelimit-remaining", "0")])
    apps.answer_next(limited)
    # It came close to being paused before.
    await look(runtime, trigger, failures=9, state={})

    async def paused() -> Trigger | None:
        found = await runtime.triggers.get(ADMIN, trigger.id)
        return found if "rate limit" in found.problem else None

    found = await until_async(paused, "a look that was refused")
    assert found is not None
    assert found.state != "paused"
    assert found.next_at is not None
    assert found.polled_at is not None
    assert (found.next_at - found.polled_at).total_seconds() > 1000

    apps.events = [github_event(7)]
    await look(runtime, trigger, state={})
    assert (await got(runtime, trigger))["url"] == "https://github.com/ann/tools/issues/7"
