"""Format what a dry run held, for tools: a short list, fenced as data, and the call that sends it."""

from __future__ import annotations

import json
from typing import Final

from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.runtime.model.dry_run import DryRunInfo

_MAX_LINE: Final = 450
_MAX_LIST: Final = 8_000


def held_list(found: DryRunInfo | None) -> list[str]:
    """The list in few lines, each cleaned: bodies and addresses are the program's."""
    if found is None:
        return []
    lines = found.lines + [f"may differ when it is applied: {part}" for part in found.varies]
    lines += [
        f"sent, and its answer is not on record, so whether it was carried out is unknown: {write}"
        for write in found.unknown
    ]
    return [one_line(line, _MAX_LINE) for line in lines]


def sent_count(found: DryRunInfo | None) -> int | None:
    """The number of writes that were sent since; None for another run."""
    if found is None:
        return None
    return sum(write.state in {"sent", "unknown"} for write in found.writes)


def apply_call(found: DryRunInfo | None) -> str | None:
    """The call that asks the user and sends what is held; None where it cannot be applied."""
    if found is None or found.problem or not found.lines:
        return None
    arguments = f"workflow_id={json.dumps(found.service_id)}, apply={json.dumps(found.run_id)}"
    return f"run_workflow({arguments}) asks the user and sends exactly this"


def held_text(mode: str, lines: list[str], sent: int | None) -> list[str]:
    """The list as text."""
    count = f"; {sent} sent" if sent else ""
    if lines:
        return [fence(f"Held, not sent{count}", "\n".join(lines), _MAX_LIST)]
    return [f"Dry run: it would write nothing{count}." if mode == "dry_run" else f"Nothing is held{count}."]
