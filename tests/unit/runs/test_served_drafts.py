"""Drafts that are served for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.served_drafts import ServedDrafts
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.workflows.script import parse_script

DRAFT = "draft_0a1b2c3d4e5f"
CODE = '# /// script\n# requires-python = ">=3.11"\n# dependencies = []\n# ///\n'


def servable(draft_id: str = DRAFT, revision: int = 1) -> Servable:
    environment = EnvironmentRef(Path("/nowhere"), Path("/nowhere"), "3.11")
    permissions = Permissions.of(draft_id, "ann", Manifest())
    return Servable(draft_id, "ann", False, revision, parse_script(CODE), CODE, environment, permissions)


@pytest.mark.requirement("dev:served-drafts")
def test_a_draft_is_served_until_its_time_is_over_unless_it_is_renewed() -> None:
    now = 0.0
    served = ServedDrafts(lambda: now)
    assert not served.renew(DRAFT, 90)
    served.put(servable(), (), 90)
    now = 80.0
    assert served.renew(DRAFT, 90)
    now = 169.0
    found = served.find(DRAFT)
    assert found is not None
    assert found.servable.version == 1
    now = 170.0
    assert served.find(DRAFT) is None
    assert not served.renew(DRAFT, 90)

    served.put(servable(revision=2), (), 90)
    served.remove(DRAFT)
    served.remove(DRAFT)
    assert served.find(DRAFT) is None


@pytest.mark.requirement("dev:asks")
def test_what_was_agreed_to_before_is_not_asked_again() -> None:
    served = ServedDrafts()
    agreed = (Manifest(hosts=("a.example",)), Manifest(hosts=("b.example",)))
    served.put(servable(), agreed, 90)
    found = served.find(DRAFT)
    assert found is not None
    assert found.widens(Manifest(hosts=("a.example", "b.example"))) == []
    assert [grant.item for grant in found.widens(Manifest(hosts=("a.example", "c.example")))] == ["c.example"]
