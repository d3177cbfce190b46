"""Arguments that several tools share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

WorkflowId = Annotated[str, Field(description="From deploy_workflow or list_workflows")]
RunId = Annotated[str, Field(description="From run_workflow")]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str | None, Field(description="next_cursor of the page before")]
WaitSeconds = Annotated[int, Field(ge=0, le=40, description="How long to wait for the end")]
Subject = Annotated[str, Field(description="A workflow's or draft's id")]
