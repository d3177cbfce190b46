"""Compares the audit trail with what was sealed."""

from __future__ import annotations

from sqlalchemy import Connection

from codewords_mcp.runtime.model.audit import AuditProblem, AuditReport
from codewords_mcp.runtime.store import audit_chain
from codewords_mcp.runtime.store.audit_chain import AuditBlock
from codewords_mcp.runtime.store.database import Database

MAX_PROBLEMS = 100
_BLOCKS_AT_ONCE = 20


async def verify_chain(database: Database, *, head: str | None = None) -> AuditReport:
    """Compare every entry with the block that seals it, and every block with the one before.

    `head` is a hash that somebody noted earlier: a chain that was made anew does not have it. At most MAX_PROBLEMS
    problems are told, the first ones.
    """
    problems: list[AuditProblem] = []
    before: AuditBlock | None = None
    count = entries = removed = 0
    head_found = False

    while found := await database.read(_blocks_with_problems, before):
        for block, wrong in found:
            problems += wrong
            if before is None and block.leaves is None:
                removed = block.last_seq
            else:
                entries += block.last_seq - block.first_seq + 1
            count += 1
            head_found = head_found or block.hash == head
            before = block
        if len(problems) >= MAX_PROBLEMS:
            break
    else:
        last = before.last_seq if before else 0
        problems += await database.read(audit_chain.find_inserted, removed + 1, last, MAX_PROBLEMS)

    return AuditReport(
        entries=entries,
        blocks=count,
        unsealed=await database.read(audit_chain.unsealed_count),
        head=before.hash if before else audit_chain.GENESIS,
        removed_through=removed,
        head_found=None if head is None else head_found,
        problems=problems[:MAX_PROBLEMS],
    )


def _blocks_with_problems(
    connection: Connection, before: AuditBlock | None
) -> list[tuple[AuditBlock, list[AuditProblem]]]:
    """The next blocks, each with what is wrong with it and its entries."""
    found: list[tuple[AuditBlock, list[AuditProblem]]] = []
    for block in audit_chain.blocks_after(connection, before.number if before else -1, _BLOCKS_AT_ONCE):
        wrong = [*audit_chain.check_link(block, before), *audit_chain.check_entries(connection, block)]
        is_anchor = before is None and block.leaves is None
        if is_anchor and not audit_chain.pruning_is_recorded(connection, block):
            wrong.append(
                AuditProblem(
                    kind="removed_unrecorded",
                    block=block.number,
                    seq=block.last_seq,
                    message=f"The entries up to {block.last_seq} are gone, and none says that retention removed them.",
                )
            )
        found.append((block, wrong))
        before = block
    return found
