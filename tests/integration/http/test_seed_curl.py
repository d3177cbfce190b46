"""The curl lines of the seed's document work as it prints them, but for the address and the key."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door

_ADDRESS, _KEY = "https://api.codewords.agemo.ai", "YOUR_API_KEY"
_TEMPLATES = """\
curl -X GET "https://api.codewords.agemo.ai/templates" \\
  -H "Authorization: Bearer YOUR_API_KEY"
"""
_DEPLOY = """\
curl -X POST "https://api.codewords.agemo.ai/deploy" \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"template_id": "person_finder"}'
"""
_RUN = """\
curl -X POST "https://your-workflow-url/" \\
  -H "Content-Type: application/json" \\
  -d '{
    "linkedin_urls": [
      "https://linkedin.com/in/johndoe",
      "https://linkedin.com/in/janedoe"
    ],
    "max_concurrent": 3
  }'
"""
_ENRICHER = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2"]
# ///
import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Takes addresses")


class Enrich(BaseModel):
    linkedin_urls: list[str]
    max_concurrent: int = 5


@app.post("/")
def enrich(request: Enrich) -> dict[str, int]:
    return {"profiles": len(request.linkedin_urls), "at_once": request.max_concurrent}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", 8000)))
"""

pytestmark = pytest.mark.requirement("http:seed-curl")


def _curl(line: str) -> Any:
    done = subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        encoding="utf-8",
        timeout=110,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return json.loads(done.stdout)


def test_the_lines_are_those_of_the_document() -> None:
    document = Path(__file__).parents[4] / "shared" / "seed" / "codewords-builder-devx.md"
    # It lies beside the checkouts of those who have it.
    if document.exists():
        text = document.read_text(encoding="utf-8")
        assert [line for line in (_TEMPLATES, _DEPLOY, _RUN) if line not in text] == []


def test_templates_are_listed(door: Door) -> None:
    listed = _curl(_TEMPLATES.replace(_ADDRESS, door.url).replace(_KEY, ADMIN_KEY))
    assert "person_finder" in {template["id"] for template in listed["items"]}


@pytest.mark.slow
def test_a_template_is_deployed_by_the_line_as_it_is_printed(door: Door) -> None:
    deployed = _curl(_DEPLOY.replace(_ADDRESS, door.url).replace(_KEY, ADMIN_KEY))
    assert deployed["version"] == 1
    assert any(
        "perplexity" in line or "hosts" in line or "services" in line for line in deployed["capabilities"]
    )


@pytest.mark.slow
def test_a_workflow_is_called_at_its_address_with_the_key(door: Door, http: httpx.Client) -> None:
    url = http.post("/deploy", json={"code": _ENRICHER}).json()["url"]
    line = _RUN.replace(
        "https://your-workflow-url/", url.replace(http.get("/status").json()["base_url"], door.url)
    )
    assert _curl(line)["error"]["code"] == "unauthenticated"
    with_key = line.replace("curl ", f'curl -H "Authorization: Bearer {ADMIN_KEY}" ', 1)
    assert _curl(with_key) == {"profiles": 2, "at_once": 3}
