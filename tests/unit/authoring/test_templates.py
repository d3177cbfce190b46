"""The gallery."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from codewords_mcp.cli.load.command import NO_OP
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.runtime.services.base import Unavailability
from codewords_mcp.runtime.services.describe import describe
from codewords_mcp.runtime.services.registry import Registry
from codewords_mcp.runtime.workflows.script import parse_script

pytestmark = pytest.mark.requirement("workflows:templates")


def test_the_greeting_is_the_guides_letter_for_letter_but_for_its_pin(seed_examples: Path) -> None:
    greeting = next(one for one in templates() if one.id == "greeting")
    guide = (seed_examples / "greeting.py").read_text(encoding="utf-8")
    assert greeting.code == guide.replace('"==3.11.*"', '">=3.11,<3.14"')


def test_every_program_of_ours_runs_on_any_python_that_the_runtime_runs_on() -> None:
    programs = {template.id: template.code for template in templates()} | {"load test": NO_OP}
    for minor in (11, 12, 13):
        refusing = [
            name
            for name, code in programs.items()
            if not SpecifierSet(parse_script(code).requires_python).contains(f"3.{minor}.0")
        ]
        assert refusing == []


def test_every_template_is_a_whole_script_that_tells_what_it_needs() -> None:
    assert len(templates()) >= 30
    for template in templates():
        script = parse_script(template.code)
        assert script.notes == ()
        assert script.facts.app
        assert script.connections == (("google_sheets",) if template.id == "sheet_row" else ())
        provided = {"CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"}
        assert {one.name for one in script.env if one.required} - provided == set(template.needs)


def test_templates_share_one_environment_beside_the_greetings() -> None:
    assert len({parse_script(one.code).dependencies for one in templates()}) == 2


def test_a_changed_list_does_not_change_the_gallery() -> None:
    templates().clear()
    assert templates()


@pytest.mark.requirement("author:brief-services")
@pytest.mark.parametrize(
    ("description", "first"),
    [
        ("Post the first line of a list to a Slack channel every morning", "slack_trigger"),
        ("Watch a GitHub repository for new issues", "github"),
        ("Remember what was seen before", "redis_coordinator"),
        ("Fill in a form in a person's own Chrome browser", "chrome_extension"),
    ],
)
def test_a_brief_proposes_services_that_the_description_speaks_of_and_that_are_there(
    description: str, first: str
) -> None:
    services = Registry().all()
    found = [one.name for one in choose_services([describe(one) for one in services], description)]
    assert found[0] == first
    absent = [
        describe(one, unavailable=Unavailability("Off.") if one.name == first else None) for one in services
    ]
    assert first not in [one.name for one in choose_services(absent, description)]
