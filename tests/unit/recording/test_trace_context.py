"""Trace contexts as the W3C writes them; what is none counts as absent."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.recording.trace_context import context_of_run, parse_trace_parent, span_id

pytestmark = pytest.mark.requirement("trace:context")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
RUN = "0af76519-16cd-43dd-8448-eb211c80319d"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f" 00-{TRACE}-{SPAN}-03\t", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_valid_header_is_read(text: str, sampled: bool) -> None:
    context = parse_trace_parent(text)
    assert context is not None
    assert (context.trace_id, context.span_id, context.sampled) == (TRACE, SPAN, sampled)
    assert context.header == f"00-{TRACE}-{SPAN}-{'01' if sampled else '00'}"


@pytest.mark.parametrize(
    "text",
    [
        None, "", "00", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1", f"0-{TRACE}-{SPAN}-01", f"00-{TRACE[:-1]}-{SPAN}-01", f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}-01\n", f"cc-{TRACE}-{SPAN}-01.more", f"00-{'٣' * 32}-{SPAN}-01",
    ],
)  # fmt: skip
def test_an_invalid_header_is_none(text: str | None) -> None:
    assert parse_trace_parent(text) is None


def test_a_run_has_its_span_in_its_callers_trace_else_in_one_of_its_own() -> None:
    joined = context_of_run(RUN, f"00-{TRACE}-{SPAN}-00")
    assert (joined.trace_id, joined.span_id, joined.sampled) == (TRACE, span_id(RUN, "run"), False)
    own = context_of_run(RUN, None)
    assert (own.trace_id, own.sampled) == (RUN.replace("-", ""), True)
    assert context_of_run(RUN, "nonsense") == own
    assert parse_trace_parent(context_of_run("no uuid", None).header) is not None
