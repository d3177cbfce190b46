"""Deployed triggers of the stand-in: what was deployed for whom, what it emitted, and who is told of that."""

from __future__ import annotations

import itertools
import json
import secrets
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
_EVENTS_LISTED = 100


@dataclass(slots=True)
class LoopbackTrigger:
    """A deployed trigger. `urls` are told of its events; `undeletable`: its app does not let go of it by itself."""

    id: str
    key: str
    user: str
    environment: str
    props: Json
    fields: list[Json]
    created_at: int
    emits_on_deploy: bool
    active: bool = True
    undeletable: bool = False
    urls: list[str] = field(default_factory=list[str])
    events: deque[Json] = field(default_factory=lambda: deque[Json](maxlen=1000))

    def as_json(self) -> Json:
        """As Connect gives it."""
        return {
            "type": "DeployedComponent", "id": self.id, "owner_id": "exu_loopback", "component_id": "sc_loopback",
            "component_key": self.key, "configurable_props": self.fields, "configured_props": self.props,
            "active": self.active, "created_at": self.created_at, "updated_at": self.created_at,
            "name": self.key, "name_slug": self.key, "emit_on_deploy": self.emits_on_deploy,
        }  # fmt: skip

    def latest(self, count: int) -> list[Json]:
        """Its latest events, the newest first."""
        return list(itertools.islice(reversed(self.events), min(count, _EVENTS_LISTED)))


class DeployedTriggers:
    """All deployed triggers of a project. `tell` posts an event to an address.

    `after_deploy` and `before_delete` are called while their requests are answered.
    """

    def __init__(self) -> None:
        self.all: dict[str, LoopbackTrigger] = {}
        self.tell: Callable[[str, Any], None] = post
        self.after_deploy: Callable[[], None] | None = None
        self.before_delete: Callable[[], None] | None = None
        self._numbers = itertools.count()

    def add(self, event: Json, user: str, environment: str, props: Json, *, emits: bool) -> LoopbackTrigger:
        """Deploy a trigger."""
        made = LoopbackTrigger(
            f"dc_{secrets.token_hex(4)}", event["key"], user, environment, props, event["configurable_props"],
            int(time.time() * 1000), emits,
        )  # fmt: skip
        self.all[made.id] = made
        return made

    def emit(self, trigger_id: str, *payloads: Any) -> list[str]:
        """Let a trigger emit events, unless it is switched off, and tell its addresses. Returns their ids."""
        trigger = self.all[trigger_id]
        if not trigger.active:
            return []
        ids: list[str] = []
        for payload in payloads:
            at = int(time.time() * 1000)
            event = {
                # Several events of one millisecond need ids of their own.
                "id": f"{at}-{next(self._numbers)}",
                "ts": at,
                "k": "emit",
                "sum": "An event",
                "e": payload,
            }
            trigger.events.append(event)
            ids.append(str(event["id"]))
            for url in trigger.urls:
                self.tell(url, payload)
        return ids


def post(url: str, payload: Any) -> None:
    """Post an event; a receiver that is away is not told."""
    body = json.dumps(payload).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method="POST")  # noqa: S310  # its own loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            answer.read()
    except OSError:
        return
