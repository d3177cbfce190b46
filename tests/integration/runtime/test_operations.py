"""Operations of library services: a run calls those of its manifest, and another one is asked about again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.runtime.helpers import act, acting, code_of, deployed, serving
from tests.support.runtime import ADMIN, ALLOWED, finished, log_text, make_home, open_runtime, workflow

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.api.runtime import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    home = make_home(tmp_path_factory.mktemp("operations") / "home")
    async with open_runtime(home) as opened, serving(opened):
        yield opened


MAIL = {"to": "ann@example.org", "subject": "A report", "text": "It is ready."}


@pytest.mark.requirement("authority:operations")
async def test_a_run_is_refused_an_operation_that_its_manifest_does_not_list_and_its_record_says_so(
    runtime: Runtime,
) -> None:
    reader = await deployed(runtime, acting('services = ["send_email: outbox"]\n'), name="Reads the outbox")
    paths = {
        "outbox": "",
        "outbox/?x=/send": "",
        "out%62ox": "",
        "": "not_agreed",
        "send": "not_agreed",
        "s%65nd/": "not_agreed",
        "?outbox": "not_agreed",
        "outbox/../send": "not_agreed",
    }
    calls = [
        ["POST", f"/run/send_email/{path}", {} if path.startswith("out") and not code else MAIL]
        for path, code in paths.items()
    ]
    calls.append(["POST", "/run_async/send_email/", MAIL])
    found = await act(runtime, reader, *calls)
    assert [code_of(reply) for reply in found["replies"][:-1]] == list(paths.values())

    run = await runtime.runs.get(ADMIN, found["id"])
    [refused] = run.usage["refused_calls"]
    assert refused["why"] == (
        "The workflow's manifest does not list the operation `send` of `send_email`, so the call was not made. "
        'If it should be called, add "send_email: send" to `services` under [tool.codewords] in the header and deploy again.'
    )
    assert "the operation `send` of `send_email`" in await log_text(runtime, found["id"])
    queued = found["replies"][-1][1]["request_id"]
    assert "does not list the operation" in str((await finished(runtime, queued)).error)
    assert not (await act(runtime, reader, ["POST", "/run/send_email/outbox", {}]))["replies"][0][1][
        "messages"
    ]


@pytest.mark.requirement("authority:operations", "manifest:legacy")
async def test_a_stored_manifest_that_names_a_service_alone_allows_all_of_its_operations(
    runtime: Runtime,
) -> None:
    mailer = await deployed(runtime, acting('services = ["send_email"]\n'), name="Mails")
    stored = await runtime.workflows.get(ADMIN, mailer)
    assert stored.manifest is not None
    assert stored.manifest.services == ("send_email",)
    found = await act(
        runtime, mailer, ["POST", "/run/send_email/", MAIL], ["POST", "/run/send_email/outbox", {}]
    )
    assert [code_of(reply) for reply in found["replies"]] == ["", ""]


@pytest.mark.requirement("manifest:operations", "manifest:consent")
async def test_a_version_that_calls_another_operation_of_the_same_service_asks_a_person_again(
    runtime: Runtime,
) -> None:
    code = workflow(
        'import httpx, os\nBASE = os.environ["CODEWORDS_RUNTIME_URI"]\n\n@app.post("/")\nasync def ask():\n'
        '    async with httpx.AsyncClient() as client:\n        await client.post(f"{BASE}/run/send_email/outbox")\n',
        title="Asks for another operation",
    )
    first = await runtime.workflows.deploy(ADMIN, code=code, consent=ALLOWED)
    assert "services     send_email: outbox" in first.capabilities

    with pytest.raises(ConsentNeeded) as caught:
        await runtime.workflows.deploy(
            ADMIN, code=code.replace("email/outbox", "email/send"), service_id=first.service_id
        )
    assert caught.value.asks == [
        "services     send_email: send (writes, with your SMTP_URL, if it is set)",
        "missing yet: send_email needs SMTP_URL, which has no value yet. Messages are stored in the outbox and not sent.",
    ]

    with pytest.raises(ConsentNeeded) as caught:
        widest = code.replace("email/outbox", "email/{app.title}")
        await runtime.workflows.deploy(ADMIN, code=widest, service_id=first.service_id)
    assert (
        caught.value.asks[0]
        == "services     send_email: any operation (writes, with your SMTP_URL, if it is set)"
    )
