"""Events of genuine webhook bodies: their kind, the key that identifies a repetition, and the
webhooks that match.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs

from codewords_mcp.common.bounded_json import parse

ANY = "*"
# Headers in which senders identify a delivery.
_IDS = ("webhook-id", "x-github-delivery", "x-gitlab-event-uuid", "x-shopify-webhook-id", "idempotency-key")
# Headers in which senders name the event.
_KINDS = ("x-github-event", "x-gitlab-event", "x-shopify-topic", "x-event-key")


@dataclass(frozen=True, slots=True)
class Event:
    """An event. `key` is the same if it is sent again.

    Filters compare `about`; `challenge` is returned at once.
    """

    name: str
    key: str
    about: dict[str, Any] = field(default_factory=dict[str, Any])
    challenge: str | None = None


def read_slack(headers: Mapping[str, str], body: bytes) -> Event:
    """Read a request of the Events API, a slash command or an interaction."""
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = {
            name: values[0]
            # Python has no limit of its own for the number of fields.
            for name, values in parse_qs(body.decode("utf-8", "replace"), max_num_fields=200).items()
        }
        inner = _object(form.get("payload", "{}"))
        # Interactions come as JSON in a form, slash commands as the form itself.
        if "payload" in form:
            return slack_event({"type": "interactive", "payload": inner}, body)

        return slack_event({"type": "slash_commands", "payload": form}, body)

    data = _object(body)
    if data.get("type") == "url_verification":
        return Event("url_verification", _hash(body), challenge=_text(data.get("challenge"), 500))

    return slack_event({"type": "events_api", "payload": data}, body)


def slack_event(envelope: dict[str, Any], body: bytes) -> Event:
    """Read an envelope in the format of Socket Mode."""
    payload = _dict(envelope.get("payload"))
    if envelope.get("type") != "events_api":
        if envelope.get("type") == "slash_commands":
            name = "slash_command"
        else:
            name = _text(payload.get("type")) or "interactive"

        channel = payload.get("channel_id") or _dict(payload.get("channel")).get("id")
        # A trigger id is made for one interaction, also where it is sent again.
        return Event(name, _hash(payload.get("trigger_id") or body), {"channel": _text(channel)})

    event = _dict(payload.get("event"))
    channel = event.get("channel") or _dict(event.get("item")).get("channel")
    if isinstance(channel, dict):
        channel = _dict(channel).get("id")
    # Slack's own types have the app in the bot's profile, its documentation beside the bot.
    apps = {event.get("app_id"), _dict(event.get("bot_profile")).get("app_id")} - {None}
    is_own = bool(event.get("bot_id")) and payload.get("api_app_id") in apps
    name = _text(event.get("type")) or _text(payload.get("type")) or "event"
    return Event(name, _hash(payload.get("event_id") or body), {"channel": _text(channel), "own": is_own})


def read_whatsapp(_headers: Mapping[str, str], body: bytes) -> Event:
    """Read a notification, which may contain several messages and statuses."""
    names: set[str] = set()
    senders: list[str] = []
    ids: list[str] = []

    for change in (c for entry in _list(_object(body).get("entry")) for c in _list(entry.get("changes"))):
        value = _dict(change.get("value"))
        for message in _list(value.get("messages")):
            names.add("message")
            senders.append(_text(message.get("from")))
            ids.append(_text(message.get("id")))

        for status in _list(value.get("statuses")):
            names.add("status")
            senders.append(_text(status.get("recipient_id")))
            # One message has several statuses in turn, each of them an event of its own.
            ids.append(f"{_text(status.get('id'))} {_text(status.get('status'))}")

    if "message" in names:
        name = "message"
    elif "status" in names:
        name = "status"
    else:
        name = "other"

    # Several messages may come in one notification, in any order when it is repeated.
    key = _hash("\n".join(sorted(ids)) or body)
    return Event(name, key, {"numbers": sorted(set(senders))[:50], "events": sorted(names)})


def read_other(headers: Mapping[str, str], body: bytes, *, signed: bool) -> Event:
    """Read any sender's event.

    The key of a signed one is made from signed data only. An unsigned one's own id is trusted.
    """
    data = _object(body)
    event_filter = next((headers[name] for name in _KINDS if headers.get(name)), None)
    name = event_filter or _text(data.get("type")) or _text(data.get("event")) or "webhook"
    delivery_id = next((headers[header] for header in _IDS if headers.get(header)), None)

    if signed:
        # An id that is not signed could be changed, and a captured request be delivered again.
        key = _hash(body if not headers.get("webhook-id") else headers["webhook-id"].encode() + b"." + body)
    elif delivery_id:
        key = _hash(delivery_id)
    else:
        # Nothing tells a repetition from a new event.
        key = secrets.token_hex(32)

    return Event(name[:100], key)


def matches_filters(kind: str, filters: Mapping[str, Any], event: str, about: Mapping[str, Any]) -> bool:
    """Whether an event matches the filters of a webhook."""
    event_filter: list[str] = filters.get("events") or [ANY]
    event_names = set(about.get("events") or [event])
    if ANY not in event_filter and not event_names & set(event_filter):
        return False
    if kind == "slack":
        if about.get("own") and not filters.get("include_own"):
            # The app's own message would start the workflow again, endlessly.
            return False
        return not filters.get("channel") or filters["channel"] == about.get("channel")
    if kind == "whatsapp":
        return not filters.get("number") or filters["number"] in about.get("numbers", ())

    return True


def _object(body: bytes | str) -> dict[str, Any]:
    try:
        return _dict(parse(body))
    except (ValueError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return {}


def _list(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [_dict(element) for element in cast("list[Any]", value)]
    return []


def _text(value: Any, max_chars: int = 100) -> str:
    if isinstance(value, str):
        return value[:max_chars]
    return ""


def _hash(value: Any) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else str(value).encode()).hexdigest()
