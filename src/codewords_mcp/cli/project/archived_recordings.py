"""Recordings of a workflow in its exported file: without credentials, and with what those that are tests expect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from codewords_mcp.cli._client import Json, RemoteError, RuntimeClient
from codewords_mcp.cli._refs import part
from codewords_mcp.runtime.model.project import ProjectPart

MAX_RECORDINGS = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ArchivedRecording(ProjectPart):
    """A recording as its runtime exports it. `expect` is what one that is a test expects, None for any other."""

    document: dict[str, Any]
    pinned: bool = False
    expect: list[str] | None = Field(default=None, max_length=1000)


def export_recordings(client: RuntimeClient, workflow_id: str, most: int) -> list[ArchivedRecording]:
    """The latest recordings of a workflow, at most so many, and its tests, the oldest first."""
    recent = _listed(client, workflow_id, most)
    tests = client.items(f"/workflows/{part(workflow_id)}/tests")
    found = {str(one["run_id"]): one for one in (*recent, *tests)}
    return [
        ArchivedRecording(
            document=client.record("GET", f"/recordings/{part(run_id)}"),
            pinned=bool(one["pinned"]),
            expect=one.get("expect"),
        )
        for run_id, one in sorted(found.items(), key=_time_of)
    ]


def import_recordings(
    client: RuntimeClient,
    workflow_id: str,
    recordings: list[ArchivedRecording],
    numbers: Mapping[int, int],
) -> list[str]:
    """Take the recordings in that are not there yet. `numbers`: versions here by those of the documents.

    Returns sentences on those that were left out.
    """
    known = {_microseconds(one) for one in _listed(client, workflow_id, MAX_RECORDINGS)}
    left_out: list[str] = []
    for recording in recordings:
        document = recording.document
        # A recording keeps its time, by which an import that broke off goes on.
        if document.get("created_at") in known:
            continue
        number = numbers.get(int(document.get("version", 0)))
        if number is None:
            left_out.append(f"a recording of version {document.get('version')}, which is not here")
            continue
        content = json.dumps(document | {"version": number}, ensure_ascii=False).encode()
        made = client.record("POST", "/recordings", content=content, params={"service_id": workflow_id})
        left_out += _mark(client, str(made["run_id"]), recording)
    return left_out


def _mark(client: RuntimeClient, run_id: str, recording: ArchivedRecording) -> list[str]:
    """Keep a recording, or make a test of it, as it was one. Returns a sentence where it is none here."""
    path = f"/recordings/{part(run_id)}"
    if recording.expect is not None:
        try:
            client.call("PUT", f"{path}/test", body={"expect": recording.expect})
        except RemoteError as error:
            # What its replay does differently here is no reason to stop half-way: the recording itself is there.
            return [f"the test {run_id}, which is a recording now: {error.message}"]
    elif recording.pinned:
        client.call("PUT", f"{path}/pin", body={"pinned": True})
    return []


def _listed(client: RuntimeClient, workflow_id: str, most: int) -> list[Json]:
    found: list[Json] = client.record(
        "GET", "/recordings", params={"service_id": workflow_id, "limit": most}
    )["items"]
    return found


def _time_of(item: tuple[str, Json]) -> str:
    return str(item[1]["created_at"])


def _microseconds(info: Json) -> int:
    return (datetime.fromisoformat(str(info["created_at"])) - _EPOCH) // timedelta(microseconds=1)
