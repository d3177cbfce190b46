"""Pages of triggers of every kind, and the numbers of those that go with their workflow."""

from __future__ import annotations

import pytest
from tests.integration.triggers.helpers import KEEPS, FeedSite, add_feed
from tests.support.loopback_site import StandIn
from tests.support.runtime import ADMIN, deploy

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.trigger import TriggerRequest
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.requirement("triggers:pages")
async def test_pages_of_all_kinds_are_the_whole_list_in_its_order(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    asked = [
        *({"kind": "schedule", "options": {"cron": f"{minute} 4 * * *"}} for minute in range(3)),
        *({"kind": "plain", "name": f"hook {number}"} for number in range(2)),
    ]
    added = [
        (
            await runtime.triggers.add(ADMIN, TriggerRequest.model_validate({"service_id": keeps, **one}))
        ).trigger
        for one in asked
    ]
    added += [await add_feed(runtime, keeps, f"{site.url}/page{number}") for number in range(3)]
    whole = [item.id for item in await runtime.triggers.list(ADMIN, service_id=keeps)]
    assert {trigger.id for trigger in added} <= set(whole)

    for limit in (1, 2, 3, 5, len(whole), 100):
        paged: list[str] = []
        cursor: str | None = None
        while True:
            page = await runtime.triggers.page(ADMIN, service_id=keeps, limit=limit, cursor=cursor)
            assert len(page.items) <= limit
            paged += [item.id for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert paged == whole

    assert (await runtime.triggers.page(ADMIN, service_id=keeps, limit=5, cursor="1000")).items == []
    for trigger in added:
        await runtime.triggers.remove(ADMIN, trigger.id)


@pytest.mark.requirement("author:delete")
async def test_the_question_of_a_deletion_counts_what_goes_with_a_workflow(
    runtime: Runtime, keeps: str, site: StandIn, feeds: FeedSite
) -> None:
    doomed = await deploy(runtime, KEEPS.replace("Keeps", "Doomed"))
    for minute in range(2):
        options = {"cron": f"{minute} 5 * * *"}
        await runtime.triggers.add(ADMIN, TriggerRequest(kind="schedule", service_id=doomed, options=options))
    await runtime.triggers.add(ADMIN, TriggerRequest(kind="plain", service_id=doomed))
    await add_feed(runtime, doomed, f"{site.url}/doomed")
    waits = TriggerRequest(kind="run_ended", service_id=keeps, options={"workflow": doomed})
    waiting = (await runtime.triggers.add(ADMIN, waits)).trigger

    assert await runtime.workflows.deletion(ADMIN, doomed) == Deletion(
        versions=1, schedules=2, webhooks=1, triggers=2
    )
    with pytest.raises(ConsentNeeded) as asked:
        await runtime.workflows.delete(ADMIN, doomed)
    deletes, pauses = asked.value.asks
    assert deletes.endswith("1 version, 2 schedules and 1 webhook, for good")
    assert pauses.endswith("2 triggers that start it or wait for its runs")

    await runtime.workflows.delete(ADMIN, doomed, consent=Consent(allow=True))
    assert (await runtime.triggers.get(ADMIN, waiting.id)).state == "paused"
    await runtime.triggers.remove(ADMIN, waiting.id)
