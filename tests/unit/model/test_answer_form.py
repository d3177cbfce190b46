"""Fields of a question: numbers that are none are refused before a page or a database meets them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.answer_form import check_form, fill


def form(**field: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"n": field}}


@pytest.mark.requirement("approvals:ask")
@pytest.mark.parametrize("bound", ["minimum", "maximum", "minLength", "maxLength"])
def test_a_bound_that_is_infinite_is_refused_when_the_question_is_asked(bound: str) -> None:
    kind = "number" if bound.startswith("m") and "Length" not in bound else "string"
    with pytest.raises(InvalidInput, match=bound):
        check_form(form(type=kind, **{bound: json.loads("1e999")}))


@pytest.mark.requirement("approvals:ask")
@pytest.mark.parametrize("kind", ["number", "integer"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_an_answer_that_is_no_finite_number_is_refused_in_a_sentence(kind: str, value: float) -> None:
    with pytest.raises(InvalidInput, match="number"):
        fill(check_form(form(type=kind)), {"n": value})


@pytest.mark.requirement("approvals:ask")
def test_a_whole_number_of_any_size_is_taken() -> None:
    assert fill(check_form(form(type="integer")), {"n": 10**400}) == {"n": 10**400}
