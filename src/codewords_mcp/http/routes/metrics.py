"""The runtime's numbers for Prometheus."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.common.instruments import CONTENT_TYPE
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.state import caller, runtime


async def metrics(request: Request) -> Response:
    """All families in Prometheus' text format."""
    page = await runtime(request.scope).metrics.page(caller(request.scope))
    return Response(page, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


OPERATIONS = [
    HttpOperation(
        "GET", "/metrics", "Numbers for Prometheus", metrics, tag="runtime", media="text/plain",
        reply={"type": "string"},
        description="Counters, gauges and histograms of this runtime in Prometheus' text format. For admins and keys with "
        "the scope `metrics`: the numbers are of the whole home.",
    ),
]  # fmt: skip
