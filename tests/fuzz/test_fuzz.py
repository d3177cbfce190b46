"""A small seeded share of the fuzzing; `python -m tests.fuzz` runs it for long."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.messages import over_http, over_stdio
from tests.fuzz.openapi import KINDS, Schemathesis, fuzz_caller, open_schemathesis
from tests.fuzz.parsers import TARGETS, Report, Target, fuzz, run_one
from tests.support.access_walk import Walk, open_walk

_SEED = 20_261_128
_OF_SOME_SCOPES = (
    "user: read",
    "user: run",
    "user: write",
    "user: read, run",
    "user: read, write",
    "user: run, write",
)
"""Each is between a user of no scope and one of all, which are fuzzed here; all have each operation tried by the access walk."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Walk]:
    with open_walk(tmp_path_factory.mktemp("fuzz")) as opened:
        yield opened


@pytest.fixture(scope="module")
def schemathesis(tmp_path_factory: pytest.TempPathFactory) -> Generator[Schemathesis]:
    with open_schemathesis(tmp_path_factory.mktemp("schemathesis")) as opened:
        yield opened


@pytest.mark.requirement("fuzz:parsers")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_returns_or_refuses_near_what_it_takes(target: Target) -> None:
    report = fuzz(target, 200, _SEED)
    assert report.failures == []
    assert report.refused < report.cases


@pytest.mark.requirement("fuzz:parsers")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@settings(max_examples=60, derandomize=True)
@given(
    data=st.one_of(
        st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
)
def test_a_parser_returns_or_refuses_whatever_it_is_given(target: Target, data: bytes) -> None:
    report = Report()
    run_one(target, data, report)
    assert report.failures == []


@pytest.mark.slow
@pytest.mark.requirement("fuzz:messages")
def test_every_message_over_http_is_answered_or_refused(walk: Walk) -> None:
    assert over_http(walk, 150, _SEED).failures == []
    assert over_http(walk, 50, _SEED, "published").failures == []


@pytest.mark.slow
@pytest.mark.requirement("fuzz:messages")
def test_a_front_goes_on_whatever_it_is_sent(walk: Walk, tmp_path: Path) -> None:
    assert over_stdio(walk, tmp_path, 60, _SEED).failures == []


@pytest.mark.slow
@pytest.mark.requirement("fuzz:openapi")
@pytest.mark.parametrize("caller", [kind for kind in KINDS if kind not in _OF_SOME_SCOPES])
def test_no_answer_contradicts_the_description_and_none_is_a_failure(
    walk: Walk, schemathesis: Schemathesis, tmp_path: Path, caller: str
) -> None:
    found = fuzz_caller(
        walk, schemathesis, caller, 1, _SEED, tmp_path, brief=True, every_check=caller == "admin"
    )
    assert not found.failed, found.output[-6000:]
    assert found.cases > 50
