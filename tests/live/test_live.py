"""What the services themselves answer, beside what their stand-ins do.

    OPENAI_API_KEY=… .venv/bin/pytest tests/live --live

Calls cost less than a cent each; some leave a message, an issue or a page. Each is recorded below `tests/live/recordings`,
or `CODEWORDS_LIVE_RECORDINGS`, without secrets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.live.calls import CALLS, LiveCall
from tests.live.drift import drift
from tests.live.replies import live_reply, note, stand_in_reply

from codewords_testing.fidelity.check import problems

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.requirement("stand-ins:live"),
    # vcrpy opens its recordings without one.
    pytest.mark.filterwarnings("ignore:'encoding' argument not specified:EncodingWarning"),
]
RECORDINGS = Path(os.environ.get("CODEWORDS_LIVE_RECORDINGS", Path(__file__).with_name("recordings")))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.id)
def test_a_stand_in_sends_nothing_that_its_service_does_not(
    call: LiveCall, record_property: Callable[[str, object], None]
) -> None:
    if call.service.missing:
        pytest.skip(f"set {' and '.join(call.service.missing)}")
    reply = live_reply(call, RECORDINGS)
    assert reply.status < 400, reply.body[:1000]
    note(call, RECORDINGS, datetime.now(UTC))

    found = drift(reply, stand_in_reply(call), call.service.maps)
    for one in found:
        record_property("drift", one)
    for problem in problems(reply):
        record_property("drift", f"! not as described: {problem}")

    assert [str(one) for one in found if one.wrong] == []
