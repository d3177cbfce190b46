"""The hundred wishes of the benchmark, so that a new word, service or template takes none of them away."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "authoring_picks.py"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("authoring_picks", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("author:picks")
@pytest.mark.slow
def test_nine_of_ten_wishes_lead_to_the_right_services_and_template() -> None:
    picks = [module.pick(wish) for module in [benchmark()] for wish in module.read_wishes()]
    assert len(picks) == 100
    for half in (picks[::2], picks[1::2]):
        assert sum(one.right for one in half) >= 45, [one.wish.text for one in half if not one.right]


@pytest.mark.requirement("author:picks")
def test_every_template_and_service_that_a_wish_names_is_there() -> None:
    from codewords_mcp.runtime.authoring.service_words import service_meanings, template_meanings
    from codewords_mcp.runtime.authoring.templates import templates
    from codewords_mcp.runtime.services.registry import Registry

    services = {service.name for service in Registry().all()}
    known = {template.id for template in templates()}
    assert set(template_meanings()) <= known
    assert set(service_meanings()) == services
    for wish in benchmark().read_wishes():
        assert wish.templates <= known, wish.text
        assert all(group <= services for group in wish.services), wish.text
    called = {name for template in templates() for name in template.services}
    assert called == services, "each service has a template that calls it"
