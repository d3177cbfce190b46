"""Our client where it lives: in a workflow's sandbox, in place of whichever version the script pins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.compat.helpers import HERE
from tests.docs.pages import ROOT, blocks
from tests.support.runtime import SEED_TOKENS
from tests.support.served_runtime import ServedRuntime

from codewords_client import AsyncCodewordsClient, CodewordsClient, CodewordsHTTPError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ADA = {"name": "Ada"}


@pytest.fixture
def seed_tokens(store_secrets: Callable[[dict[str, str]], None]) -> None:
    """The tokens that the seed's programs need; other tests of this runtime go by the broker."""
    store_secrets(SEED_TOKENS)


@pytest.fixture
def client(served: ServedRuntime) -> CodewordsClient:
    return CodewordsClient(served.url, served.key)


@pytest.mark.requirement("compat:client-override", "client:correlation")
def test_a_pinned_client_is_ours_and_both_kinds_call_on_from_a_run(
    client: CodewordsClient, service: str
) -> None:
    with client:
        answer = client.run(service, ADA, "/client", correlation_id="chain-7")
    assert answer == {"version": "0.4.11+codewords.mcp", "down_the_chain": "chain-7", "message": "Hello Ada!"}


@pytest.mark.requirement("compat:client-override")
def test_a_script_that_asks_for_the_published_client_gets_it(
    client: CodewordsClient, served: ServedRuntime
) -> None:
    code = (HERE / "workflow.py").read_text(encoding="utf-8")
    code = code.replace("# ///\n\n", '# [tool.codewords]\n# client = "pypi"\n# ///\n\n', 1)
    code = code.replace(
        "if __name__",
        "\n@app.get('/version')\nasync def version():\n    return importlib.metadata.version('codewords-client')\n\n\nif __name__",
        1,
    )
    with client:
        answer = client.run(served.deploy(code, "Published client"), path="/version", method="GET")
    assert answer.json() == "0.2.4"


@pytest.mark.requirement("client:guide", "client:background", "client:run-service")
def test_the_guides_workflow_calls_itself_both_ways(client: CodewordsClient, served: ServedRuntime) -> None:
    shown = [
        block
        for block in blocks(ROOT / "docs" / "guides" / "client.md")
        if block.mark == ("file", "chain.py")
    ]
    with client:
        handle = client.start_service(served.deploy(shown[0].text, "chain"), ADA)
        output = client.get_workflow_output(handle.request_id, timeout_seconds=90)
    assert output.output == {"loud": "ADA", "background": {"name": "ADA"}}
    assert [step.id for step in output.steps] == ["shout"]


@pytest.mark.requirement("client:service-errors")
def test_an_unhandled_exception_in_a_sandbox_answers_with_the_scripts_own_frames(
    client: CodewordsClient, service: str
) -> None:
    with client, pytest.raises(CodewordsHTTPError) as caught:
        client.run(service, ADA, "/divide")
    assert (caught.value.response.status_code, caught.value.origin) == (500, "service")
    assert "ZeroDivisionError: division by zero" in caught.value.detail
    assert "site-packages" not in caught.value.detail


@pytest.mark.requirement("compat:missing-service")
def test_a_call_of_a_service_that_is_not_there_passes_the_platforms_sentence_on(
    client: CodewordsClient, service: str
) -> None:
    with client, pytest.raises(CodewordsHTTPError) as caught:
        client.run(service, ADA, "/missing-service")
    assert (caught.value.response.status_code, caught.value.origin) == (501, "service")
    assert "perplexity" in str(caught.value)


@pytest.mark.requirement("compat:run-key")
def test_the_key_of_a_run_cannot_store_a_secret(client: CodewordsClient, service: str) -> None:
    with client:
        with pytest.raises(CodewordsHTTPError) as caught:
            client.run(service, ADA, "/administer")
        assert caught.value.response.status_code == 403
        assert "STOLEN" not in client.manage_secrets("list").names


@pytest.mark.requirement("client:files")
def test_a_file_from_a_sandbox_comes_back_by_its_link(client: CodewordsClient, service: str) -> None:
    with client:
        link = client.run(service, ADA, "/file")["link"]
        assert client.download_file(link) == b"Ada"


@pytest.mark.requirement("client:seed-methods")
def test_deploying_validating_and_looking_into_a_run_by_the_seeds_methods(client: CodewordsClient) -> None:
    code = (HERE / "workflow.py").read_text(encoding="utf-8")
    with client:
        validation = client.validate_workflow(code)
        assert validation.all_passed, validation.report
        assert not client.validate_workflow("x =").all_passed
        deployed = client.deploy_workflow(code=code, name="By the client", allow=True)
        assert deployed.url.endswith(f"/run/{deployed.service_id}/") or deployed.service_id in deployed.url
        handle = client.start_service(deployed.service_id, ADA)
        output = client.get_workflow_output(handle.request_id)
        assert (output.status, output.output.message) == ("succeeded", "Hello Ada!")
        assert "greeting Ada" in [entry.message for entry in client.get_workflow_logs(handle.request_id)]


@pytest.mark.requirement("client:seed-methods")
def test_secrets_are_stored_listed_and_deleted_by_name(client: CodewordsClient) -> None:
    with client:
        client.manage_secrets("add", "CLIENT_TEST_KEY", "a value")
        assert "CLIENT_TEST_KEY" in client.manage_secrets("list").names
        client.manage_secrets("delete", "CLIENT_TEST_KEY")
        assert "CLIENT_TEST_KEY" not in client.manage_secrets("list").names


@pytest.mark.anyio
@pytest.mark.requirement("client:logs")
async def test_an_async_client_follows_a_run_that_was_provisioned(
    served: ServedRuntime, service: str
) -> None:
    async with AsyncCodewordsClient(served.url, served.key) as client:
        request_id = await client.provision_request()
        handle = await client.run(service, ADA, "/slowly", request_id=request_id, in_background=True)
        messages = [entry["message"] async for entry in client.get_logs(request_id)]
        assert [line for line in messages if line.startswith("step ")] == ["step 0", "step 1", "step 2"]
        assert (await handle.result(120))["message"] == "Hello Ada, at last!"


SEED_ANSWERS: list[tuple[str, dict[str, Any], int, dict[str, Any] | str]] = [
    ("greeting", {"name": "Ada"}, 200, {"message": "Hello Ada!"}),
    (
        "linkedin_profile_enricher",
        {"linkedin_urls": ["https://example.com/in/ada"]},
        200,
        {"success_count": 0, "error_count": 1},
    ),
    (
        "support_ticket_analyzer",
        {"ticket_id": "1", "subject": "s", "content": "c", "customer_email": "a@example.com"},
        501,
        "Set the secret OPENAI_API_KEY: PUT /secrets/OPENAI_API_KEY.",
    ),
    (
        "website_monitor",
        {"url": "https://nothing.invalid/", "slack_channel": "c"},
        200,
        {"message": "Failed to fetch website content", "changes_detected": False},
    ),
]


@pytest.mark.requirement("compat:seed-programs")
@pytest.mark.usefixtures("seed_tokens")
@pytest.mark.parametrize(
    ("name", "body", "status", "answer"), SEED_ANSWERS, ids=[name for name, *_ in SEED_ANSWERS]
)
def test_the_seeds_programs_run_letter_for_letter_and_say_which_service_is_missing(
    served: ServedRuntime,
    deployable_seed_examples: Path,
    name: str,
    body: dict[str, Any],
    status: int,
    answer: dict[str, Any] | str,
) -> None:
    service = served.deploy((deployable_seed_examples / f"{name}.py").read_text(encoding="utf-8"), name)
    got = httpx.post(
        f"{served.url}/run/{service}/",
        json=body,
        headers={"Authorization": served.key},
        timeout=120,
        trust_env=False,
    )
    assert got.status_code == status, got.text
    if isinstance(answer, dict):
        assert answer.items() <= got.json().items()
    else:
        assert answer in got.json()["detail"]
        assert got.headers["error-origin"] == "service"
