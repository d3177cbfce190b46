"""The seed's own methods: deploying, validating, secrets, logs and output, integrations."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.client.fake_runtime import FakeRuntime

from codewords_client import CodewordsHTTPError

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("client:seed-methods")]


async def test_a_deploy_gives_the_url_as_an_attribute(client: Any, runtime: FakeRuntime) -> None:
    result = await client.deploy_workflow(code="print()", name="My First Workflow")
    assert result.url == f"{runtime.url}/run/hello_12345678/"
    assert result.notes[0].id == "n"
    assert runtime.last("POST", "/deploy").json == {"code": "print()", "name": "My First Workflow"}


async def test_a_template_is_deployed_by_its_id(client: Any, runtime: FakeRuntime) -> None:
    await client.deploy_workflow(template_id="person_finder", public=True)
    assert runtime.last("POST", "/deploy").json == {"template_id": "person_finder", "public": True}


async def test_a_deploy_of_nothing_is_refused(client: Any, runtime: FakeRuntime) -> None:
    with pytest.raises(ValueError, match="code= or template_id="):
        await client.deploy_workflow(name="x")
    assert runtime.asked == []


async def test_a_validation_tells_whether_all_passed_and_why_not(client: Any, runtime: FakeRuntime) -> None:
    result = await client.validate_workflow("x =")
    assert (result.all_passed, result.report, result.checks[0].line) == (False, "1 check failed", 3)
    assert runtime.last("POST", "/validate").json == {"code": "x ="}


async def test_a_secret_is_added_listed_by_name_and_deleted(client: Any, runtime: FakeRuntime) -> None:
    added = await client.manage_secrets(operation="add", secret_name="A_KEY", secret_value="s3cret")
    assert added.success
    assert runtime.last("PUT", "/secrets/A_KEY").json == {"value": "s3cret"}
    assert (await client.manage_secrets("list")).names == ["A_KEY", "B_KEY"]
    assert (await client.manage_secrets("delete", "A_KEY")).success
    assert runtime.asked[-1].method == "DELETE"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("get", "A_KEY"), "cannot be read back"),
        (("add", "A_KEY"), "secret_value="),
        (("delete",), "secret_name="),
        (("rotate", "A_KEY"), "no operation 'rotate'"),
    ],
)
async def test_a_secret_operation_that_cannot_be_is_refused_before_it_is_sent(
    client: Any, runtime: FakeRuntime, arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await client.manage_secrets(*arguments)
    assert runtime.asked == []


async def test_the_output_of_a_finished_run_has_status_and_output(client: Any) -> None:
    output = await client.get_workflow_output("run-1")
    assert (output.status, output.output.message, output.response_status, output.request_id) == (
        "succeeded",
        "Hello",
        200,
        "run-1",
    )


async def test_the_output_of_an_unfinished_run_is_its_record_as_it_is(
    client: Any, runtime: FakeRuntime
) -> None:
    runtime.pending_answers = 100
    output = await client.get_workflow_output("run-2", timeout_seconds=0)
    assert (output.status, output.output, output.request_id) == ("running", None, "run-2")


async def test_integrations_are_asked_in_one_call_whose_refusal_is_the_platforms(
    client: Any, runtime: FakeRuntime
) -> None:
    with pytest.raises(CodewordsHTTPError, match="501: This runtime has no pipedream yet"):
        await client.discover_pipedream_integrations(operation="check_auth", app_slug="google_calendar")
    assert runtime.last("POST", "/run/pipedream/").json == {
        "operation": "check_auth",
        "app": "google_calendar",
    }
