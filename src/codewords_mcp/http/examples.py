"""Examples of request bodies, for /openapi.json and /postman.json.

An operation without one here has an example that is made from its schema. `{{name}}` is a variable of the Postman
collection: in the description of the API it stands for an id of the reader's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CODE = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2"]
# ///
import os

import uvicorn
from fastapi import FastAPI

app = FastAPI(title="Hello")


@app.get("/")
def hello() -> dict[str, str]:
    return {"message": "Hello"}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", 8000)))
"""

EXAMPLES: Mapping[str, Any] = {
    "POST /validate": {"code": CODE},
    "POST /deploy": {"template_id": "greeting", "name": "Greeting", "allow": True},
    "POST /drafts": {"code": CODE},
    "PUT /drafts/{draft_id}/name": {"name": "Hello"},
    "POST /generate": {"description": "Count the words of a web page"},
    "POST /workflows/{service_id}/rollback": {"version": 1},
    "PUT /workflows/{service_id}/template": {"category": "own"},
    "POST /workflows/{service_id}/publish": {"tool": "greet", "read_only": True},
    "DELETE /workflows/{service_id}": {"allow": True},
    "POST /runs/query": {"sql": "SELECT status, count(*) AS runs FROM runs GROUP BY status"},
    "POST /run/{service_id}/{path}": {"name": "Ada"},
    "POST /run_async/{service_id}/{path}": {"name": "Ada"},
    "POST /schedules": {
        "service_id": "{{service_id}}", "cron": "0 9 * * 1-5", "timezone": "Europe/Berlin", "input": {"name": "Ada"},
    },
    "PUT /secrets/{name}": {"value": "the value"},
    "POST /keys": {"kind": "user", "scopes": ["read", "run"], "expires_in": 86400},
    "PUT /budgets/{scope}": {"usd": 5, "period": "day"},
    "POST /run/openai/": {"model": "echo", "prompt": "Say hello"},
    "POST /run/anthropic/": {"model": "echo", "prompt": "Say hello"},
    "POST /run/gemini/": {"model": "echo", "prompt": "Say hello"},
}  # fmt: skip
"""By method and path of the operation."""
