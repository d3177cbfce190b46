"""People whom questions are sent to, as the analysis of a script finds them."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.workflows.analysis import derive
from codewords_mcp.runtime.workflows.script import parse_script

_HEAD = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["codewords-client==0.4.11"]
# ///
from codewords_client import AsyncCodewordsClient
BEN = "ben@example.org"

async def main(x):
    async with AsyncCodewordsClient() as client:
        await client.run("approvals", {data})
"""


@pytest.mark.requirement("approvals:recipients")
@pytest.mark.parametrize(
    ("data", "items"),
    [
        ('{"title": "a"}', ()),
        ("x", ()),
        (
            '{"title": "a", "notify": {"email": ["ann@example.org", BEN]}}',
            ("e-mail ann@example.org", "e-mail ben@example.org"),
        ),
        ('{"title": "a", "notify": {"slack": "#finance"}}', ("Slack #finance",)),
        ('{"title": "a", "notify": {"whatsapp": "+351 (912) 345-678"}}', ("WhatsApp 351912345678",)),
        ('{"title": "a", "notify": {"email": x}}', ("e-mail *",)),
        (
            '{"title": "a", "notify": {"email": [*x, "ann@example.org"]}}',
            ("e-mail *", "e-mail ann@example.org"),
        ),
        ('{"title": "a", "notify": {"email": "a sentence to a person"}}', ("e-mail *",)),
        ('{"title": "a", "notify": x}', ("*",)),
        ('dict(title="a", notify=x)', ("*",)),
    ],
)
def test_recipients_are_in_the_manifest_and_unknown_ones_are_anyone(
    data: str, items: tuple[str, ...]
) -> None:
    found = derive(parse_script(_HEAD.replace("{data}", data))).manifest
    assert found.recipients == items


@pytest.mark.requirement("approvals:recipients")
def test_more_recipients_ask_a_person_again() -> None:
    ann = Manifest(services=("approvals",), recipients=("e-mail ann@example.org",))
    both = ann.model_copy(update={"recipients": ("e-mail Ann@example.org", "e-mail ben@example.org")})
    anyone = ann.model_copy(update={"recipients": ("e-mail *",)})
    assert [grant.item for grant in both.widens(ann)] == ["e-mail ben@example.org"]
    assert both.widens(anyone) == []
    assert [grant.item for grant in anyone.widens(both)] == ["e-mail *"]
    assert ann.lines()[-1] == "asks         ann@example.org by e-mail"
