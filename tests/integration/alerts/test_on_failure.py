"""`on_failure`: a workflow that is started with the record of a run that failed, once, and never in a loop."""

from __future__ import annotations

import json

import pytest
from tests.integration.alerts.helpers import FAILS, alert_of, scheduled, tick
from tests.support.background_runs import with_options
from tests.support.runtime import ADMIN, ALLOWED, deploy, finished, request, until_run, workflow
from tests.support.waiting import until_async

from codewords_mcp.errors import ValidationFailed
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.run import Run

pytestmark = pytest.mark.anyio
TELLS = workflow(
    '@app.post("/")\nasync def tell(request: Request):\n    return await request.json()\n', title="Tells"
)
BREAKS = workflow(
    '@app.post("/")\nasync def fail(request: Request):\n    raise RuntimeError\n', title="Breaks"
)


async def runs_of(runtime: Runtime, service: str, count: int) -> list[Run]:
    """The runs of a workflow, once there are so many that ended."""

    async def read() -> list[Run] | None:
        page = await runtime.runs.list(ADMIN, service_id=service)
        found = [run for run in page.items if run.completed_at]
        return found if len(found) >= count else None

    found = await until_async(read)
    assert found is not None
    return found


@pytest.mark.requirement("alerts:on-failure")
async def test_a_failed_run_starts_the_workflow_that_its_header_names_once_with_its_record(
    runtime: Runtime,
) -> None:
    tells = await deploy(runtime, TELLS)
    code = with_options(FAILS, f'on_failure = "{tells}"')
    fails = await deploy(runtime, code, name="Fails and tells")
    live = await runtime.workflows.get(ADMIN, fails)
    assert live.manifest is not None
    assert tells in live.manifest.workflows

    failed = await tick(runtime, await scheduled(runtime, fails))
    [told] = await runs_of(runtime, tells, 1)
    record = (await runtime.runs.get(ADMIN, told.id)).response_json
    assert (record["run_id"], record["workflow_id"], record["trigger"]) == (failed.id, fails, "schedule")
    assert (record["status"], record["response_status"]) == ("failed", 500)
    assert json.loads(record["input"]) == {"status": 500}
    assert record["url"].endswith(f"/console/runs/{failed.id}")

    by_hand = await finished(runtime, await runtime.runs.start(request(fails, {"status": 418})))
    newest = (await runs_of(runtime, tells, 2))[0]
    again = (await runtime.runs.get(ADMIN, newest.id)).response_json
    assert (again["run_id"], again["trigger"]) == (by_hand.id, "background")


@pytest.mark.requirement("alerts:on-failure")
async def test_workflows_that_name_each_other_do_not_start_each_other_without_end(runtime: Runtime) -> None:
    first = await deploy(runtime, BREAKS, name="First breaks")
    second = await deploy(runtime, with_options(BREAKS, f'on_failure = "{first}"'), name="Second breaks")
    code = with_options(BREAKS, f'on_failure = "{second}"')
    await runtime.workflows.deploy(ADMIN, code=code, service_id=first, consent=ALLOWED)

    await finished(runtime, await runtime.runs.start(request(second, {})))
    [started] = await runs_of(runtime, first, 1)
    alert = await alert_of(runtime, "run_failed", run_id=started.id)
    assert "failure of another workflow" in alert.message
    # A failure that comes later has been handled, so all before it were.
    tells = await deploy(runtime, TELLS)
    third = await deploy(runtime, with_options(BREAKS, f'on_failure = "{tells}"'), name="Third breaks")
    await runtime.runs.start(request(third, {}))
    await runs_of(runtime, tells, 1)
    assert len(await runs_of(runtime, second, 1)) == 1


@pytest.mark.requirement("alerts:on-failure")
async def test_a_workflow_that_is_gone_is_told_and_one_that_is_no_id_is_refused(runtime: Runtime) -> None:
    code = with_options(BREAKS, 'on_failure = "gone_00000000"')
    breaks = await deploy(runtime, code, name="Breaks for nobody")
    run_id = await runtime.runs.start(request(breaks, {}))
    await until_run(runtime, run_id, lambda run: run.status == "failed")
    alert = await alert_of(runtime, "on_failure_failed", run_id=run_id)
    assert "gone_00000000" in alert.message
    with pytest.raises(ValidationFailed):
        await deploy(runtime, with_options(BREAKS, 'on_failure = "not an id"'), name="No id")
