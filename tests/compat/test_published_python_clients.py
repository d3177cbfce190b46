"""The unmodified codewords-client of the public index, each version and kind, against a real runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.compat.matrix import ROWS, judged, kept
from tests.compat.registries import PYTHON_CLIENTS
from tests.support.served_runtime import ServedRuntime

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.requirement("compat:python-clients")]
Steps = dict[str, Any]


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=PYTHON_CLIENTS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def steps(drive_python: Callable[[str, str], Steps], version: str, kind: str) -> Steps:
    return drive_python(version, kind)


def test_a_run_answers_with_the_workflows_json_and_a_run_id(steps: Steps) -> None:
    assert steps["run"]["json"] == {"message": "Hello Ada!"}
    assert steps["run"]["status"] == 200
    assert steps["run"]["request_id"]


def test_a_runs_ids_reach_the_workflow_and_its_caller_key_does_not(steps: Steps) -> None:
    seen = steps["run_with_marks"]["json"]
    assert seen["x-correlation-id"] == "chain-1"
    assert seen["x-request-id"]
    assert seen["codewords-caller-id"]
    assert seen["authorization"] is None


def test_a_get_reaches_the_workflow(steps: Steps) -> None:
    assert steps["get"] in ({"pong": True}, "no GET in this version")


def test_the_workflows_own_refusals_raise_with_its_status(steps: Steps, version: str) -> None:
    assert (steps["refused"]["raised"], steps["refused"]["status"]) == ("HTTPStatusError", 422)
    assert (steps["failed"]["raised"], steps["failed"]["status"]) == ("HTTPStatusError", 418)
    if version.startswith("0.4"):
        assert steps["failed"]["says"] == "418: no tea here"


def test_an_unknown_service_raises_with_404(steps: Steps) -> None:
    assert (steps["unknown"]["raised"], steps["unknown"]["status"]) == ("HTTPStatusError", 404)


def test_a_provisioned_run_has_its_id_its_logs_and_its_record(
    steps: Steps, served: ServedRuntime, service: str
) -> None:
    seen = steps["provisioned"]
    assert seen["answered_as"] == seen["request_id"]
    messages = [entry["message"] for entry in seen["logs"]]
    assert messages.index("STEPLOG START greet") < messages.index("greeting Ada")
    details = seen["details"]
    assert (details["id"], details["serviceId"], details["responseStatus"]) == (
        seen["request_id"],
        service,
        200,
    )
    assert details["responseJson"] == {"message": "Hello Ada!"}
    assert details["createdAt"] <= details["startedAt"] <= details["completedAt"]


def test_log_stamps_rise_and_have_one_width(steps: Steps) -> None:
    stamps = [entry["createdAt"] for entry in steps["provisioned"]["logs"]]
    assert stamps == sorted(set(stamps))
    assert len({len(stamp) for stamp in stamps}) == 1


def test_a_background_runs_result_is_its_record_with_the_answers_keys_beside(steps: Steps) -> None:
    seen = steps["background"]
    assert seen["status"] == 200
    record = seen["json"]
    assert (record["id"], record["status"], record["responseStatus"]) == (
        seen["request_id"],
        "succeeded",
        200,
    )
    assert record["responseJson"]["message"] == record["message"] == "Hello Ada!"


def test_a_failed_background_runs_result_is_an_answer_too(steps: Steps) -> None:
    seen = steps["background_failed"]
    assert (seen["status"], seen["json"]["status"], seen["json"]["responseStatus"]) == (200, "failed", 418)


def test_logs_of_a_running_run_come_to_its_end_and_stop(steps: Steps) -> None:
    messages = steps["live_logs"]["messages"]
    assert [message for message in messages if str(message).startswith("step ")] == [
        "step 0",
        "step 1",
        "step 2",
    ]
    assert steps["live_logs"]["stamps"] == sorted(set(steps["live_logs"]["stamps"]))


def test_a_pending_result_is_a_timeout_and_never_an_answer(steps: Steps) -> None:
    assert steps["pending"] == {"seen": "TimeoutException", "then": 200}


def test_print_logs_shows_the_log_while_the_run_lasts(steps: Steps) -> None:
    """Of the last lines it may miss some: these clients stop reading at the first line after the answer."""
    if steps["print_logs"] != "no print_logs in this client":
        assert steps["print_logs"] == {"message": "Hello Ada, at last!"}
        assert "step 0" in steps["stdout"].partition("RESULT ")[0]


def test_uploads_come_back_by_their_link_without_a_key(steps: Steps) -> None:
    assert (steps["upload_content"]["size"], steps["upload_content"]["text"]) == (12, "some \x00 bytes")
    assert steps["upload_file"]["size"] == 8000


@pytest.mark.requirement("compat:matrix")
def test_the_page_of_clients_says_what_each_method_of_this_one_does(
    steps: Steps, version: str, kind: str
) -> None:
    seen = judged(steps)
    assert kept(f"{version} {kind}", seen) == seen, {
        name: steps.get(name) for name in ("address", "stream_logs", "start_service")
    }
    told = " ".join(row.does for row in ROWS)
    assert [name for name in steps["methods"] if f"`{name}" not in told] == ["close"]
    explained = {row.does for row in ROWS if row.note}
    assert {does for does, outcome in seen.items() if outcome == "no"} <= explained


@pytest.mark.requirement("integrations:client")
def test_an_integration_is_used_in_both_dialects_and_an_unconnected_one_says_where_it_is_connected(
    steps: Steps, served: ServedRuntime, version: str
) -> None:
    assert "raised" not in steps["integrations"], steps["integrations"]
    seed, public, check, background = steps["integrations"]
    for done in (seed, public, background):
        assert done["ret"] == {"ok": True, "text": "Good morning"}
        assert done["exports"] == {"$summary": "Sent"}
        assert (done["success"], done["os"]) == (True, [])
    assert (check["success"], check["connected"]) == (True, False)
    assert check["connect_link_url"].startswith(f"{served.url}/connect/")
    refused = steps["unconnected"]
    error = refused["json"]["error"]
    assert (refused["status"], error["code"], error["app"]) == (424, "not_connected", "stripe")
    assert error["connect_link_url"].startswith(f"{served.url}/connect/")
    if version.startswith("0.4"):
        assert error["connect_link_url"] in refused["says"]
