"""The unmodified @codewords/client of the npm registry against a real runtime."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.compat.matrix import judged, kept
from tests.compat.registries import NODE_CLIENT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.requirement("compat:node-client")]
Steps = dict[str, Any]


def test_a_run_answers_with_the_workflows_json(node_steps: Steps) -> None:
    assert node_steps["run"] == {"message": "Hello Ada!"}


def test_a_path_may_come_with_a_query_and_with_or_without_a_slash(node_steps: Steps) -> None:
    assert node_steps["run_path_with_query"] == {"name": "Ada", "page": 2}
    assert node_steps["run_path_with_slash"] == {"name": "Ada", "page": 2}


def test_the_workflows_refusal_raises_with_its_status(node_steps: Steps) -> None:
    assert (node_steps["refused"]["raised"], node_steps["refused"]["status"]) == ("AxiosError", 422)


def test_a_provisioned_run_has_its_logs_and_its_record(node_steps: Steps) -> None:
    seen = node_steps["provisioned"]
    assert seen["answer"] == {"message": "Hello Ada!"}
    assert [entry["message"] for entry in seen["logs"]].count("greeting Ada") == 1
    assert (seen["details"]["id"], seen["details"]["responseStatus"]) == (seen["request_id"], 200)


@pytest.mark.parametrize("step", ["background", "background_without_a_time"])
def test_one_poll_holds_until_the_run_has_ended(node_steps: Steps, step: str) -> None:
    record = node_steps[step].get("record", node_steps[step])
    assert (record.get("responseStatus"), record.get("responseJson")) == (
        200,
        {"message": "Hello Ada, at last!"},
    )


def test_live_logs_lose_no_line(node_steps: Steps) -> None:
    assert [line for line in node_steps["live_logs"] if line.startswith("step ")] == [
        "step 0",
        "step 1",
        "step 2",
    ]


def test_an_upload_comes_back_by_its_link(node_steps: Steps) -> None:
    assert (node_steps["upload"]["status"], node_steps["upload"]["text"]) == (200, "some bytes")


def test_a_streamed_answer_passes_through_event_by_event(node_steps: Steps) -> None:
    assert [
        json.loads(item)["number"] if isinstance(item, str) else item["number"]
        for item in node_steps["stream"]
    ] == [0, 1, 2]


@pytest.mark.requirement("compat:matrix")
def test_the_page_of_clients_says_what_this_one_does(node_steps: Steps) -> None:
    seen = judged(node_steps, node=True)
    assert kept(f"npm {NODE_CLIENT}", seen) == seen
    assert "no" not in seen.values()
