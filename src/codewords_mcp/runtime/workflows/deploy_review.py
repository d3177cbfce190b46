"""A deploy as it is requested, planned and reviewed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.store.workflows import VersionRow, WorkflowRow


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """Parameters of a deploy. See `WorkflowApi.deploy`. `by` is kept with the version, "" for the caller's key.

    `config` are the workflow's plain configuration values from this version on; None leaves those that it has.
    """

    caller: Caller
    code: str
    name: str | None = None
    service_id: str | None = None
    base_version: int | None = None
    description: str = ""
    public: bool | None = None
    by: str = ""
    config: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """A deploy whose code is still to be validated. `target` is None for a new workflow."""

    request: DeployRequest
    target: WorkflowRow | None
    started: float

    @property
    def config(self) -> dict[str, str]:
        """The plain configuration values that the version would run with."""
        if self.request.config is not None:
            return self.request.config
        return (self.target and self.target.config) or {}


@dataclass(frozen=True, slots=True)
class DeployReview:
    """A validated version that is not stored yet, and the question that a person agrees to before it is.

    `replaced` is the version that `question` compares with, None for a new workflow; `live` is its number.
    """

    plan: DeployPlan
    name: str
    target: WorkflowRow | None
    version: VersionRow
    replaced: VersionRow | None
    question: Question
    timings_ms: dict[str, float]

    @property
    def live(self) -> int | None:
        """The number of the version that is live."""
        if self.replaced is None:
            return None
        return self.replaced.number

    def with_check(self, check: Check) -> DeployReview:
        """The same, with one more check on the version's record."""
        version = replace(self.version, checks=[*self.version.checks, check.model_dump(mode="json")])
        return replace(self, version=version)
