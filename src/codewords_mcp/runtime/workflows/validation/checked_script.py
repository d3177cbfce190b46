"""Result of a validation; apart from the checks, which a runtime loads when it first needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewords_mcp.runtime.model.authoring import ProposedTest
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.validation import ValidationReport
from codewords_mcp.runtime.workflows.environments.installed import Environment
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.smoke import Example

BY_PERSON = frozenset({"connections", "credentials", "variables"})
"""Checks of things that a person sets up, not of the code."""


@dataclass(frozen=True, slots=True)
class CheckedScript:
    """A report with intermediate results; a result that was not reached is None.

    `openapi` is the app's own document, `example` the input of the smoke test, `test` the first test that
    this suggests. `timings_ms`: parse, look, manifest (a part of look), environment, boot, total.
    """

    report: ValidationReport
    script: Script | None
    environment: Environment | None
    openapi: dict[str, Any] | None
    timings_ms: dict[str, float]
    manifest: Manifest | None = None
    example: Example | None = None
    test: ProposedTest | None = None
