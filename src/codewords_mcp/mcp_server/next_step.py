"""The next step after a run: wait, run again, set a secret, correct the code."""

from __future__ import annotations

import json
from typing import Literal

from codewords_mcp.errors.remedies import RemedyAction
from codewords_mcp.runtime.model.authoring import Diagnosis
from codewords_mcp.runtime.model.run import FINISHED, Run

NextStep = Literal["wait", "again", "secret", "connect", "route", "input", "code"]
"""Wait for the end; run again; set a secret; connect an account; use another route; correct the input or the code."""
_UNFIT = 422
"""FastAPI's status for an invalid input: the input has to be corrected, not the code."""


def next_step(run: Run, diagnosis: Diagnosis | None) -> NextStep | None:
    """Return the next step; None for a failure of the platform, which has its own hint."""
    if run.status not in FINISHED:
        return "wait"
    if run.error is not None and run.error.code == "interrupted":
        return "again"
    if run.error is not None and run.error.code == "missing_credential":
        return "secret"
    # The code is not at fault where the platform failed, so no edit of it is proposed.
    if diagnosis is None or (run.error is not None and run.error.origin == "platform"):
        return None
    if diagnosis.secret:
        return "secret"
    if app_to_connect(diagnosis):
        return "connect"
    if diagnosis.routes:
        return "route"
    if run.response_status == _UNFIT:
        return "input"

    return "code"


def app_to_connect(diagnosis: Diagnosis | None) -> str | None:
    """Return the app whose account a person has to connect before the next run."""
    remedy = diagnosis.remedy if diagnosis is not None else None
    if remedy is None or remedy.action is not RemedyAction.CONNECT_INTEGRATION:
        return None
    return remedy.arguments["app"]


def secret_needed(run: Run, diagnosis: Diagnosis | None) -> str | None:
    """Return the name of the secret that has to be set before the next run."""
    if run.error is not None and run.error.code == "missing_credential":
        return run.error.remedy and run.error.remedy.secret
    if diagnosis is not None:
        return diagnosis.secret
    return None


def next_call(run: Run, diagnosis: Diagnosis | None) -> str | None:
    """Return the tool call of the next step, in words; None where there is none."""
    workflow = f"workflow_id={json.dumps(run.service_id)}"
    secret = secret_needed(run, diagnosis)
    calls: dict[NextStep | None, str | None] = {
        None: None,
        "wait": f"get_run(run_id={json.dumps(run.id)}, wait_seconds=40)",
        "again": f"run_workflow({workflow}, input=…) again, if it may be done twice",
        "secret": f"set_secret(name={json.dumps(secret)}), then run it again" if secret else None,
        "connect": f"connect_integration(app={json.dumps(app_to_connect(diagnosis))}), then run it again",
        "route": f"run_workflow({workflow}, path=…, method=…) with one of these routes",
        "input": f"get_workflow({workflow})",
        "code": f"edit_workflow({workflow}, edits=[…])",
    }
    return calls[next_step(run, diagnosis)]
