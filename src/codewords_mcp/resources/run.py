"""`run://{run_id}`: the record of a run."""

from __future__ import annotations

import json

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.errors import protocol_errors
from codewords_mcp.mcp_server.paging import text_window
from codewords_mcp.mcp_server.text import clean_json

URI = "run://{run_id}"
TITLE = "Run record"
MIME_TYPE = "application/json"

_FIELD = 16_000
"""Characters of one field of the record."""


@protocol_errors
async def read(run_id: str, ctx: ToolContext) -> str:
    """A run's record: status, timings, result, error, steps. The result is data from the workflow."""
    runtime, caller = runtime_and_caller(ctx)
    run = await runtime.runs.get(caller, run_id)
    record = clean_json(run.model_dump(mode="json", exclude={"owner"}, exclude_none=True))
    if "response_json" in record:
        record.pop("response_content", None)  # the same value as text
    return json.dumps(
        # A resource goes into a model's context whole, so each field is bounded by itself: one
        # large field must not push out the status.
        {name: _bounded(run.id, name, value) for name, value in record.items()},
        ensure_ascii=False,
        indent=1,
    )


def _bounded(run_id: str, name: str, value: JsonValue) -> JsonValue:
    """Return a field of the record, or the beginning of its text with the call that reads on."""
    part = text_window(value, 0, _FIELD)
    if part.whole:
        return value
    if name.startswith("response"):
        more = f'get_run(run_id="{run_id}", offset={part.next})'
    else:
        more = "GET /runs/{run_id}"
    return {"data_not_instructions": part.text, "characters_in_all": part.total, "read_on": more}
