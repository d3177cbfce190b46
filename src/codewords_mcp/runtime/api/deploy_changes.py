"""The difference that a deploy makes to the version that was live: code, permissions, behaviour and cost."""

from __future__ import annotations

from codewords_mcp.runtime.api.behaviour import CHECK_ID, Behaviour, behaviour_lines, cost_sentence
from codewords_mcp.runtime.api.late_replays import LATER_ID
from codewords_mcp.runtime.api.test_gate import CHECK_ID as TESTS_ID
from codewords_mcp.runtime.model.code_difference import MOST_SHOWN, code_difference, first_rows
from codewords_mcp.runtime.model.grants import describe_grants
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.workflow import DeployChanges
from codewords_mcp.runtime.workflows.deploy_review import DeployReview
from codewords_mcp.runtime.workflows.versions import manifest_of

NOT_REPLAYED = "No recorded run of it was replayed."


def changes_of(review: DeployReview, behaviour: Behaviour | None) -> DeployChanges | None:
    """All four in one; None for a workflow that is new."""
    replaced = review.replaced
    if replaced is None:
        return None
    difference = code_difference(replaced.code, review.version.code)
    return DeployChanges(
        version=replaced.number,
        code=first_rows(difference.text(), MOST_SHOWN),
        lines_added=difference.added,
        lines_removed=difference.removed,
        permissions=_permissions(manifest_of(replaced), manifest_of(review.version)),
        behaviour=_behaviour(review, behaviour),
        cost="" if behaviour is None else cost_sentence(behaviour.report),
    )


def _permissions(before: Manifest | None, after: Manifest | None) -> list[str]:
    """Lines that begin with "+" for new permissions, and with "-" for those that are gone."""
    before, after = before or Manifest(), after or Manifest()
    added = [f"+ {' '.join(line.split())}" for line in describe_grants(after.widens(before))]
    removed = [f"- {' '.join(line.split())}" for line in describe_grants(before.widens(after))]
    return [*added, *removed]


def _behaviour(review: DeployReview, behaviour: Behaviour | None) -> list[str]:
    """The replays, where there were some, and the other checks that tell how the version was tried."""
    if behaviour is not None:
        ids = {LATER_ID, TESTS_ID}
    else:
        ids = {CHECK_ID, LATER_ID, TESTS_ID}
    checks = [check["message"] for check in review.version.checks if check["id"] in ids]
    if behaviour is None:
        lines = []
    else:
        lines = behaviour_lines(behaviour.report)
    return [*lines, *checks] or [NOT_REPLAYED]
