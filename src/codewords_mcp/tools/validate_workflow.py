"""`validate_workflow`: run all checks on a workflow's code, in order of cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.check_format import (
    CheckItem,
    capability_lines,
    capability_list,
    check_items,
    check_lines,
)
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.validation import ValidationReport
from codewords_mcp.tools._jobs import join_job

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime


class ValidationResult(BaseModel):
    """Failures, warnings and notes; only `status` while the environment is being built."""

    status: Literal["done", "building"]
    all_passed: bool | None = None
    checks: list[CheckItem] = []
    capabilities: list[str] = []


async def validate_workflow(
    ctx: ToolContext,
    code: Annotated[str, Field(description="The whole Python file")],
) -> Annotated[CallToolResult, ValidationResult]:
    """Check a workflow's code without deploying it: header, syntax, dependencies, and that it starts in a sandbox.

    Failing checks come with line, column and fix. A workflow is a FastAPI app under a PEP 723 header; see list_templates.
    """

    async def validate(runtime: Runtime, caller: Caller, progress: Progress) -> ValidationReport:
        return await runtime.authoring.validate(caller, code, progress=progress)

    report = await join_job(ctx, "validate", [code], validate)
    if report is None:
        text = "Still building the environment. Call validate_workflow again with the same code: it joins this work."
        return tool_result(ValidationResult(status="building"), text)

    return _validation_result(report)


def _validation_result(report: ValidationReport) -> CallToolResult:
    passed = sum(check.status == "passed" for check in report.checks)
    failed = sum(check.status == "failed" for check in report.checks)
    if report.all_passed:
        head = f"All {passed} checks passed. Next: deploy_workflow."
    else:
        head = f"{failed} failed, {passed} passed."

    data = ValidationResult(
        status="done",
        all_passed=report.all_passed,
        checks=check_items(report.checks),
        capabilities=capability_list(report.capabilities),
    )
    return tool_result(
        data, "\n".join([head, *check_lines(report.checks), *capability_lines(report.capabilities)])
    )


TOOL = tool(
    validate_workflow,
    title="Validate workflow",
    hints=READS,
    task="optional",
    retryable=True,
)
