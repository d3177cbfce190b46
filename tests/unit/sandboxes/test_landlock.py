"""Landlock says what it cannot hold wherever its isolation level is shown."""

from __future__ import annotations

import pytest

from codewords_mcp.cli._remedies import worded as command_worded
from codewords_mcp.errors.remedies import DIAGNOSE
from codewords_mcp.mcp_server.remedies import worded as tool_worded
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock, ProvedFacts
from codewords_mcp.runtime.workflows.deployments import isolation_notes

pytestmark = pytest.mark.requirement("sandbox:landlock-limits")
LIMITS = ("Unix sockets", "UDP", "inotify", "/dev/shm")


def test_the_tier_of_landlock_names_its_limits_for_doctor() -> None:
    tier = Landlock().tier(ProvedFacts(40, by_address=True, exact=True))
    assert [limit for limit in LIMITS if limit not in " ".join(tier.facts)] == []
    assert "host's name" in " ".join(tier.facts)


def test_a_deploy_notes_the_limits_of_landlock_and_of_no_other_isolation() -> None:
    (note,) = isolation_notes("C")
    assert [limit for limit in LIMITS if limit not in note.message] == []
    assert (note.fix, note.remedy) == (DIAGNOSE.words, DIAGNOSE)
    assert "`codewords doctor`" in command_worded(note.fix, DIAGNOSE.to_dict())
    assert "`codewords doctor`" in tool_worded(note.fix or "", note.remedy)
    assert [isolation_notes(tier) for tier in "ABV"] == [[], [], []]
