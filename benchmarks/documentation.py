"""Counts the share of the documentation's pages and blocks that tests prove.

A page is proven where a test runs or checks a block of it, follows a link or resolves a name on it; a block where a test runs it,
or holds its commands, its syntax or its text against the code. The others say why not. `python -m tests.docs.proofs` lists them.

    python benchmarks/documentation.py [--quick] [--json]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _bench import Numbers, options
from tests.docs.proofs import all_proofs


def main() -> int:
    """Count and report."""
    chosen = options((__doc__ or "").partition("\n")[0], runs=1, quick_runs=1)
    proofs = all_proofs()
    pages, blocks = len(proofs), sum(proof.blocks for proof in proofs)
    run, checked = sum(proof.run for proof in proofs), sum(proof.checked for proof in proofs)
    numbers = Numbers(chosen.as_json)
    numbers.add(
        "pages that a test proves",
        share(sum(bool(proof.proven) for proof in proofs), pages),
        "%",
        runs=pages,
        at_least=100,
    )
    numbers.add("blocks that run or are checked", share(run + checked, blocks), "%", runs=blocks, at_least=90)
    numbers.add("of these run", share(run, blocks), "%", runs=blocks)
    numbers.print_table()
    return 0 if numbers.hold else 1


def share(part: int, whole: int) -> float:
    """Percent, with one digit after the point."""
    return round(100 * part / whole, 1)


if __name__ == "__main__":
    sys.exit(main())
