"""The descriptions in the repository, against the packages that they are taken from."""

from __future__ import annotations

import pytest
from tests.fidelity.extract import DESCRIPTIONS, FOLDER

pytestmark = [pytest.mark.requirement("stand-ins:descriptions"), pytest.mark.slow]


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_what_its_package_says(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text("utf-8") == DESCRIPTIONS[name].text()


def test_each_description_has_a_package_or_was_written_by_hand() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {*DESCRIPTIONS, "written"}
