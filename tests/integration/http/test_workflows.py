"""Validate, deploy, list, look, roll back over HTTP, with and without progress."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import PROBE, Door

pytestmark = [pytest.mark.requirement("http:workflows")]

BROKEN = PROBE.read_text(encoding="utf-8").replace("app = FastAPI()", "app = FastAPI(")


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    """The objects of an NDJSON answer."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines() if line.strip()]


def test_a_report_of_code_that_does_not_pass_is_a_result(http: httpx.Client) -> None:
    answer = http.post("/validate", json={"code": BROKEN})
    assert answer.status_code == 200
    report = answer.json()
    assert report["all_passed"] is False
    failed = next(check for check in report["checks"] if check["status"] == "failed")
    assert failed["line"] > 1
    assert set(failed) == {"id", "status", "message", "line", "column", "fix", "remedy"}


@pytest.mark.requirement("http:progress")
def test_a_deploy_shows_its_progress_then_its_result(http: httpx.Client, probe: str) -> None:
    body = {"code": PROBE.read_text(encoding="utf-8"), "service_id": probe}
    unchanged = lines(http.post("/deploy", json=body, headers={"Accept": "application/x-ndjson"}))[-1]
    assert unchanged["result"]["changed"] is False
    body["code"] += "\n# once more\n"
    answer = http.post("/deploy", json=body, headers={"Accept": "application/x-ndjson"})
    *steps, last = lines(answer)
    assert steps
    assert all(set(step["progress"]) == {"done", "total", "message"} for step in steps)
    assert last["result"]["service_id"] == probe
    assert last["result"]["version"] == 2


@pytest.mark.requirement("http:progress")
def test_a_deploy_that_fails_ends_its_progress_with_the_error(http: httpx.Client) -> None:
    answer = http.post(
        "/deploy", json={"code": BROKEN, "allow": True}, headers={"Accept": "application/x-ndjson"}
    )
    last = lines(answer)[-1]
    assert (last["status"], last["error"]["code"]) == (422, "validation_failed")
    assert last["error"]["report"]["all_passed"] is False
    plain = http.post("/deploy", json={"code": BROKEN, "allow": True})
    assert plain.status_code == 422
    assert plain.json()["error"]["report"]["checks"]


@pytest.mark.requirement("http:progress")
def test_what_is_wrong_with_the_request_is_told_by_its_status_also_with_progress(http: httpx.Client) -> None:
    answer = http.post("/deploy", content=b"{", headers={"Accept": "application/x-ndjson"})
    assert answer.status_code == 400


def test_a_workflow_is_listed_looked_at_changed_and_rolled_back(door: Door, http: httpx.Client) -> None:
    first = PROBE.read_text(encoding="utf-8")
    made = http.post(
        "/deploy", json={"code": first, "name": "Turned", "description": "goes back", "allow": True}
    ).json()
    assert made["version"] == 1
    service_id = made["service_id"]
    assert made["url"] == f"{door.url}/run/{service_id}/"
    second = http.post(
        "/deploy", json={"code": first + "\n# second\n", "service_id": service_id, "allow": True}
    ).json()
    assert (second["service_id"], second["version"]) == (service_id, 2)
    assert service_id in [
        item["service_id"] for item in http.get("/workflows", params={"query": "turned"}).json()["items"]
    ]
    detail = http.get(f"/workflows/{service_id}").json()
    assert detail["version"] == 2
    assert detail["code"] is None
    assert http.get(f"/workflows/{service_id}", params={"version": 1, "code": 1}).json()["code"] == first
    assert http.post(f"/workflows/{service_id}/rollback", json={"version": 1}).json()["version"] == 1
    assert http.post(f"/workflows/{service_id}/rollback", json={"version": 9}).status_code == 404


def test_templates_are_listed_with_their_code(http: httpx.Client) -> None:
    templates = http.get("/templates").json()["items"]
    assert templates
    assert all(template["code"].startswith("# /// script") for template in templates)


@pytest.mark.parametrize("service_id", ["unknown_00000000", "%F0%9F%92%A5", "..%5C..", "a%00"])
def test_a_workflow_that_does_not_exist_is_404(http: httpx.Client, service_id: str) -> None:
    assert http.get(f"/workflows/{service_id}").status_code == 404


@pytest.mark.requirement("http:stop")
def test_stop_answers_then_tells_the_process(door: Door, http: httpx.Client) -> None:
    assert http.post("/stop").status_code == 202
    assert door.stopped.wait(120)
    door.stopped.clear()


@pytest.mark.requirement("deploy:deployers")
def test_each_version_says_whose_key_deployed_it(http: httpx.Client) -> None:
    body = {"code": PROBE.read_text(encoding="utf-8"), "name": "Signed", "allow": True}
    service_id = http.post("/deploy", json=body).json()["service_id"]
    (version,) = http.get(f"/workflows/{service_id}").json()["versions"]
    assert version["deployed_by"] == "the home's own key of local"
