"""The list of runs as rows, and its search."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.requirement("console:runs-searched")


def test_rows_are_light_and_say_what_started_a_run_with_what(http: httpx.Client, probe: str) -> None:
    run_id = http.post(f"/run/{probe}/", json={"name": "Ada", "number": 7}).headers["x-request-id"]
    page = http.get("/runs", params={"view": "rows", "service_id": probe, "limit": 1}).json()
    [row] = page["items"]
    assert row["id"] == run_id
    assert row["inputPreview"] == "name: Ada, number: 7"
    assert (row["trigger"], row["status"], row["inputKept"]) == ("caller", "succeeded", True)
    assert row["workflow"]
    assert not {"responseContent", "responseJson", "attempts", "steps", "requestContent"} & set(row)
    assert page["searched"] is None


def test_rows_are_found_by_the_text_of_their_input(http: httpx.Client, probe: str) -> None:
    wanted = http.post(f"/run/{probe}/", json={"name": "Zoë of 7f3a"}).headers["x-request-id"]
    http.post(f"/run/{probe}/", json={"name": "somebody else"})
    found = http.get("/runs", params={"view": "rows", "q": "ZOë of 7F3A"}).json()
    assert [row["id"] for row in found["items"]] == [wanted]
    assert found["searched"]["whole"] is True
    assert found["searched"]["runs"] >= 2
    assert found["next_cursor"] is None
    nothing = http.get("/runs", params={"view": "rows", "q": "7f3a", "status": "failed"}).json()
    assert nothing["items"] == []


@pytest.mark.parametrize(
    "wrong", [{"view": "table"}, {"q": "x"}, {"q": "x" * 201, "view": "rows"}, {"key_id": "k"}]
)
def test_what_a_list_cannot_do_is_refused(http: httpx.Client, wrong: dict[str, str]) -> None:
    assert http.get("/runs", params=wrong).status_code == 400


@pytest.mark.requirement("runs:sql")
def test_sql_answers_over_http(http: httpx.Client, probe: str) -> None:
    http.post(f"/run/{probe}/", json={"name": "of the query"})
    sql = f"SELECT count(*) AS n, max(seconds) > 0 AS took FROM runs WHERE workflow_id = '{probe}'"
    found = http.post("/runs/query", json={"sql": sql}).json()
    assert found["columns"] == ["n", "took"]
    assert found["rows"][0][0] >= 1
    assert "calls: run_id" in http.post("/runs/query", json={"sql": " "}).json()["views"]
    refused = http.post("/runs/query", json={"sql": "SELECT * FROM keys"})
    assert refused.status_code == 400
    assert http.post("/runs/query", json={"sql": sql, "limit": 1001}).status_code == 400


@pytest.mark.requirement("console:runs-filtered")
def test_an_age_is_a_time(http: httpx.Client, probe: str) -> None:
    http.post(f"/run/{probe}/", json={"name": "young"})
    assert http.get("/runs", params={"since": "1h", "limit": 1}).json()["items"]
    assert http.get("/runs", params={"until": "100d"}).json()["items"] == []
    assert http.get("/runs", params={"since": "soon"}).status_code == 400
