"""Replies to the calls: of the services, recorded, and of the stand-ins."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import vcr  # pyright: ignore[reportMissingTypeStubs]
from tests.live.calls import LiveCall, filled

from codewords_testing.app_records import (
    NOTION_DATABASE,
    NOTION_SOURCE,
    airtable_record,
    github_event,
    hubspot_record,
    notion_page,
)
from codewords_testing.apps import LoopbackApps, loopback_apps
from codewords_testing.fidelity.exchange import SentReply
from codewords_testing.pipedream import loopback_connect
from codewords_testing.providers import loopback_providers
from codewords_testing.services import hunter, loopback_services, search, whatsapp

_SECONDS = 60
_NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
_PRIVATE = {
    "set-cookie",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "cf-ray",
    "x-oauth-scopes",
}
_TOKENS = re.compile(r'("(?:access_token|refresh_token|token|id_token)"\s*:\s*")[^"]+"')


def _sent(call: LiveCall, url: str, variables: Mapping[str, str]) -> SentReply:
    """The reply to the call at an address, with these values of its variables."""
    address = url + filled(call.path, variables)
    headers = filled(call.service.headers, variables) | {"user-agent": "codewords-mcp live tests"}
    body = None if call.body is None else filled(call.body, variables)
    reply = requests.request(call.method, address, headers=headers, json=body, timeout=_SECONDS)
    path = address.removeprefix(url).partition("?")[0]
    media = reply.headers.get("content-type", "")
    return SentReply(call.service.name, call.method, path, reply.status_code, media, reply.content)


def live_reply(call: LiveCall, folder: Path) -> SentReply:
    """The service's reply, which is kept in the folder without its secrets."""
    names = (*call.service.secrets, *call.service.facts)
    variables = {name: os.environ[name] for name in names}
    cassette = folder / call.service.name / f"{call.operation}.yaml"
    cassette.unlink(missing_ok=True)
    recorder: Any = _recorder(variables)
    with recorder.use_cassette(str(cassette)):
        return _sent(call, call.service.url, variables)


def _recorder(variables: Mapping[str, str]) -> vcr.VCR:
    """A recorder that writes `{NAME}` for each value, and drops headers that name the account."""

    def clean(text: str) -> str:
        for name, value in variables.items():
            text = text.replace(value, f"{{{name}}}")
        return _TOKENS.sub(r'\1scrubbed"', text)

    def clean_bytes(content: Any) -> Any:
        return clean(content.decode()).encode() if isinstance(content, bytes) else content

    def clean_request(request: Any) -> Any:
        request.uri, request.body = clean(request.uri), clean_bytes(request.body)
        request.headers = {name: clean(str(value)) for name, value in request.headers.items()}
        return request

    def clean_response(response: dict[str, Any]) -> dict[str, Any]:
        headers = {
            name: [clean(str(value)) for value in values]
            for name, values in response["headers"].items()
            if name.lower() not in _PRIVATE
        }
        return response | {"headers": headers, "body": {"string": clean_bytes(response["body"]["string"])}}

    return vcr.VCR(
        record_mode=vcr.mode.ALL,
        decode_compressed_response=True,
        before_record_request=clean_request,
        before_record_response=clean_response,
    )


def stand_in_reply(call: LiveCall) -> SentReply:
    """The reply of the stand-in to the same request."""
    with _stand_in(call.service.name) as (url, variables):
        return _sent(call, url, variables)


@contextmanager
def _stand_in(service: str) -> Generator[tuple[str, dict[str, str]]]:
    """(base URL, values of the variables) of a service's stand-in."""
    if service in {"openai", "anthropic", "gemini"}:
        with loopback_providers() as providers:
            yield providers.url, {f"{service.upper()}_API_KEY": "key"}
    elif service == "pipedream":
        with loopback_connect() as connect:
            yield connect.url, connect.credentials
    elif service in _SERVICES:
        with loopback_services() as services:
            yield f"{services.url}/{service}", _SERVICES[service]
    else:
        with loopback_apps("token") as apps:
            yield apps.bases["google_sheets" if service == "google" else service], _furnished(apps)


_SERVICES = {
    "hunter": {"HUNTER_API_KEY": hunter.KEY},
    "searchapi": {"SEARCHAPI_API_KEY": search.KEY},
    "whatsapp": {
        "WHATSAPP_ACCESS_TOKEN": whatsapp.ACCESS_TOKEN,
        "CODEWORDS_LIVE_WHATSAPP_PHONE_NUMBER_ID": whatsapp.PHONE_NUMBER_ID,
        "CODEWORDS_LIVE_WHATSAPP_TO": "15551234567",
    },
}


def _furnished(apps: LoopbackApps) -> dict[str, str]:
    """Values of the variables, for apps that have a record of each kind."""
    kinds = ("IssuesEvent", "PullRequestEvent", "ReleaseEvent", "PushEvent", "WatchEvent")
    apps.events = [github_event(number, kind) for number, kind in enumerate(kinds, 1)]
    apps.sheets["sheet"] = [["Name", "Amount"], ["Ann", "1"]]
    apps.records = [airtable_record(f"rec{number}", _NOW, {"Name": "Ann"}) for number in range(3)]
    apps.pages = [notion_page(name, _NOW) for name in ("one", "two")]
    times = [(_NOW + timedelta(minutes=number)).isoformat() for number in range(2)]
    apps.contacts = [hubspot_record(str(number), _NOW, {"createdate": at}) for number, at in enumerate(times)]
    tokens = (
        "SLACK_BOT_TOKEN",
        "GITHUB_TOKEN",
        "GOOGLE_ACCESS_TOKEN",
        "AIRTABLE_API_KEY",
        "NOTION_TOKEN",
        "HUBSPOT_ACCESS_TOKEN",
    )
    return dict.fromkeys(tokens, "token") | {
        "CODEWORDS_LIVE_SLACK_CHANNEL": "C1",
        "CODEWORDS_LIVE_GITHUB_REPOSITORY": "ann/tools",
        "CODEWORDS_LIVE_GOOGLE_SPREADSHEET": "sheet",
        "CODEWORDS_LIVE_AIRTABLE_TABLE": "appABC/Leads",
        "CODEWORDS_LIVE_NOTION_DATABASE": NOTION_DATABASE,
        "CODEWORDS_LIVE_NOTION_DATA_SOURCE": NOTION_SOURCE,
    }


def note(call: LiveCall, folder: Path, at: datetime) -> None:
    """Keep the day of a recording, for the page of the stand-ins."""
    path = folder / call.service.name / "recorded.json"
    days: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    days[call.operation] = at.date().isoformat()
    path.write_text(json.dumps(days, indent=1, sort_keys=True) + "\n", encoding="utf-8")
