"""The caller gets status and headers with the first chunk of the body, or shortly before it."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.errors import CodewordsError, ProgramFailed
from codewords_mcp.runtime.runs.response_stream import ResponseStream
from codewords_mcp.runtime.runs.results import WorkflowResponse

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:streaming")]

RESPONSE = WorkflowResponse(200, [])


async def _never() -> None:
    raise AssertionError("nobody hung up")


async def _received(stream: ResponseStream) -> list[bytes]:
    return [chunk async for chunk in stream.body(_never)]


async def test_the_head_comes_with_the_first_chunk() -> None:
    stream = ResponseStream()
    stream.start(RESPONSE)
    assert not stream.started.done()
    await stream.put(b"one")
    assert stream.started.result() is RESPONSE
    await stream.put(None)
    assert await _received(stream) == [b"one"]


async def test_the_head_does_not_wait_long_for_a_chunk() -> None:
    stream = ResponseStream()
    stream.start(RESPONSE)
    async with asyncio.timeout(60):
        assert await stream.started is RESPONSE


async def test_an_error_after_the_head_breaks_the_body_off() -> None:
    stream = ResponseStream()
    stream.start(RESPONSE)
    error = ProgramFailed("program_bad_reply", "It ended.")
    stream.fail(error)
    assert stream.started.result() is RESPONSE
    with pytest.raises(CodewordsError) as raised:
        await _received(stream)
    assert raised.value is error


async def test_an_error_before_the_head_comes_in_its_place() -> None:
    stream = ResponseStream()
    error = ProgramFailed("program_bad_reply", "It ended.")
    stream.fail(error)
    assert stream.started.exception() is error
