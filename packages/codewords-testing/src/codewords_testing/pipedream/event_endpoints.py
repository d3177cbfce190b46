"""The endpoints of event triggers: which there are, those that are deployed, and what they emitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import itemgetter
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl

from codewords_testing.pipedream.catalogue import TRIGGERS
from codewords_testing.pipedream.deployed import DeployedTriggers, LoopbackTrigger
from codewords_testing.pipedream.responses import ConnectRefusal, app_of, json_reply, paged
from codewords_testing.providers.model import Request, StubReply

Json = dict[str, Any]


class EventEndpoints(ABC):
    """Event triggers of a project. `events` are its components by key, `deployed` what is deployed."""

    def __init__(self) -> None:
        self.events: dict[str, Json] = {event["key"]: event for event in TRIGGERS}
        self.deployed = DeployedTriggers()

    @abstractmethod
    def _check_accounts(self, action: Json, params: Json, environment: str) -> None:
        """Refuse an account that is not this user's."""

    def _list_events(self, request: Request, _environment: str, _named: Json) -> StubReply:
        params = dict(parse_qsl(request.query))
        found = [event for event in self.events.values() if params.get("app") in (None, app_of(event))]
        words = params.get("q", "").lower().split()
        found = [event for event in found if all(word in event["key"] for word in words)]
        return json_reply(paged(sorted(found, key=itemgetter("key")), "key", params))

    def _get_event(self, _request: Request, _environment: str, named: Json) -> StubReply:
        if named["key"] not in self.events:
            raise ConnectRefusal(404, "record not found")
        return json_reply({"data": self.events[named["key"]]})

    def _deploy(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = request.json
        if params.get("id") not in self.events:
            raise ConnectRefusal(404, "record not found")
        event, props = self.events[params["id"]], cast("Json", params.get("configured_props") or {})
        self._check_accounts(event, params, environment)
        missing = [
            field["name"]
            for field in event["configurable_props"]
            if field["name"] not in props and not field.get("optional") and not field["type"].startswith("$")
        ]
        if missing:
            raise ConnectRefusal(400, {name: ["is required"] for name in missing})
        made = self.deployed.add(
            event,
            params["external_user_id"],
            environment,
            props,
            emits=params.get("emit_on_deploy") is not False,
        )
        if params.get("webhook_url"):
            made.urls = [params["webhook_url"]]
        if self.deployed.after_deploy is not None:
            self.deployed.after_deploy()
        return json_reply({"data": made.as_json()})

    def _deployed_of(self, request: Request, environment: str, named: Json) -> LoopbackTrigger:
        user = dict(parse_qsl(request.query)).get("external_user_id")
        found = self.deployed.all.get(named["trigger"])
        if found is None or (found.user, found.environment) != (user, environment):
            raise ConnectRefusal(404, "record not found")
        return found

    def _list_deployed(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = dict(parse_qsl(request.query))
        found = [
            trigger.as_json()
            for trigger in self.deployed.all.values()
            if trigger.environment == environment and params.get("external_user_id") in (None, trigger.user)
        ]
        return json_reply(paged(found, "id", params))

    def _get_deployed(self, request: Request, environment: str, named: Json) -> StubReply:
        return json_reply({"data": self._deployed_of(request, environment, named).as_json()})

    def _change_deployed(self, request: Request, environment: str, named: Json) -> StubReply:
        found = self._deployed_of(request, environment, named)
        found.active = bool(request.json.get("active", found.active))
        return json_reply({"data": found.as_json()})

    def _delete_deployed(self, request: Request, environment: str, named: Json) -> StubReply:
        found = self._deployed_of(request, environment, named)
        # Connect keeps a trigger whose hook fails, unless it is told to ignore that.
        if found.undeletable and dict(parse_qsl(request.query)).get("ignore_hook_errors") != "true":
            raise ConnectRefusal(500, "The deactivate hook failed.")
        if self.deployed.before_delete is not None:
            self.deployed.before_delete()
        del self.deployed.all[found.id]
        return StubReply(204)

    def _list_emitted(self, request: Request, environment: str, named: Json) -> StubReply:
        found = self._deployed_of(request, environment, named)
        count = int(dict(parse_qsl(request.query)).get("n", "20"))
        return json_reply({"data": found.latest(count)})

    def _set_addresses(self, request: Request, environment: str, named: Json) -> StubReply:
        found = self._deployed_of(request, environment, named)
        if request.method == "PUT":
            found.urls = list(request.json["webhook_urls"])
        return json_reply({"webhook_urls": found.urls})

    ROUTES: ClassVar[tuple[tuple[str, str, Callable[..., StubReply]], ...]] = (
        (r"/triggers", "GET", _list_events),
        (r"/triggers/deploy", "POST", _deploy),
        (r"/triggers/(?P<key>[^/]+)", "GET", _get_event),
        (r"/deployed-triggers", "GET", _list_deployed),
        (r"/deployed-triggers/(?P<trigger>[^/]+)", "GET", _get_deployed),
        (r"/deployed-triggers/(?P<trigger>[^/]+)", "PUT", _change_deployed),
        (r"/deployed-triggers/(?P<trigger>[^/]+)", "DELETE", _delete_deployed),
        (r"/deployed-triggers/(?P<trigger>[^/]+)/events", "GET", _list_emitted),
        (r"/deployed-triggers/(?P<trigger>[^/]+)/webhooks", "GET", _set_addresses),
        (r"/deployed-triggers/(?P<trigger>[^/]+)/webhooks", "PUT", _set_addresses),
    )
