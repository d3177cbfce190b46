"""A feed that says what a test wants, and triggers whose next look has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.loopback_site import Answer, Asked
from tests.support.runtime import ADMIN, workflow
from tests.support.waiting import until_async

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.trigger import Trigger, TriggerEvent, TriggerRequest

KEEPS = workflow(
    """
@app.post("/")
async def keeps(request: Request):
    return {"got": await request.json(), "headers": dict(request.headers)}
""",
    title="Keeps",
)


@dataclass
class FeedSite:
    """Feeds by their path: ids of items, the newest first; `status` is that of all answers."""

    items: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    status: int = 200

    def answer(self, asked: Asked) -> Answer:
        """See `StandIn`."""
        if self.status != 200:
            return Answer(self.status)
        return Answer(200, rss(self.items.get(asked.path, [])), {"Content-Type": "application/rss+xml"})


def rss(ids: Sequence[str]) -> bytes:
    """A feed with an item for each id."""
    items = "".join(
        f"<item><guid>{name}</guid><title>Item {name}</title><link>https://example.org/{name}</link></item>"
        for name in ids
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()


async def add_feed(runtime: Runtime, service: str, url: str, **more: Any) -> Trigger:
    """A trigger of a feed, once its first look has set where it begins."""
    asked: dict[str, Any] = {"kind": "feed", "service_id": service, "options": {"url": url}} | more
    added = await runtime.triggers.add(ADMIN, TriggerRequest(**asked))
    return await until_polled(runtime, added.trigger)


async def until_polled(runtime: Runtime, trigger: Trigger) -> Trigger:
    """The trigger, once its source was looked at after the time at which it was read."""

    async def read() -> Trigger | None:
        now = await runtime.triggers.get(ADMIN, trigger.id)
        return now if now.polled_at != trigger.polled_at and now.next_at is not None else None

    found = await until_async(read, f"a look at {trigger.kind}")
    assert found is not None
    return found


async def look(runtime: Runtime, trigger: Trigger, **columns: Any) -> None:
    """The trigger's next look has come; `columns` are changed before."""
    from codewords_mcp.runtime.model.events import TriggersChanged
    from codewords_mcp.runtime.store import triggers as rows
    from codewords_mcp.runtime.store.clock import now

    container = runtime._container  # pyright: ignore[reportPrivateUsage]  # no clock of ours can be moved from outside
    values: Any = {"next_at": now() - 1_000_000} | columns
    await container.database.write(rows.change, trigger.id, values)
    container.events.publish(TriggersChanged())


async def started(runtime: Runtime, trigger: Trigger, count: int) -> list[TriggerEvent]:
    """Its events, oldest first, once so many have started."""

    async def read() -> list[TriggerEvent] | None:
        found = await runtime.triggers.events(ADMIN, trigger.id, limit=100)
        done = [event for event in found if event.status == "started"]
        return done[::-1] if len(done) >= count else None

    found = await until_async(read, f"{count} events that have started")
    assert found is not None
    return found


async def state_of(runtime: Runtime, trigger: Trigger, state: str) -> Trigger:
    """The trigger, once it is in this state."""

    async def read() -> Trigger | None:
        now = await runtime.triggers.get(ADMIN, trigger.id)
        return now if now.state == state else None

    found = await until_async(read, f"a trigger that is {state}")
    assert found is not None
    return found
