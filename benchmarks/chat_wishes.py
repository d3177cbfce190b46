"""How many calls and tokens do eighteen wishes take that a model carries out by the tools alone?

Fixed calls, as a model would make them (tests/integration/authoring/wish_plays.py), on a real runtime with stand-ins outside. A
person agrees to questions and types secrets on their page; nothing needs a terminal. Tokens are those of the answers, estimated
from above.

    python benchmarks/chat_wishes.py [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from _bench import alone  # noqa: E402
from tests.integration.authoring.wish_stage import carry_out_all  # noqa: E402

MAX_CALLS, MAX_TOKENS = 5, 1_500


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="the same: it takes half a minute")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spent = asyncio.run(carry_out_all(Path(folder)))

    calls = statistics.median(one.calls for one in spent.values())
    tokens = statistics.median(one.tokens for one in spent.values())
    done = sum(not one.problem for one in spent.values())
    holds = done == len(spent) and calls <= MAX_CALLS and tokens <= MAX_TOKENS
    if options.json:
        count = len(spent)
        wishes = {name: [one.calls, one.tokens, one.problem] for name, one in spent.items()}
        alone(
            "wishes carried out without a terminal",
            done,
            f"of {count}",
            runs=count,
            at_least=count,
            wishes=wishes,
        )
        alone("calls of a wish, median", calls, "calls", runs=count, at_most=MAX_CALLS)
        alone(
            "tokens of a wish's answers, median", tokens, "tokens (estimate)", runs=count, at_most=MAX_TOKENS
        )
        return 0 if holds else 1

    print(f"{'wish':<18} {'calls':>5} {'tokens':>6}")
    for name, one in spent.items():
        print(f"{name:<18} {one.calls:>5} {one.tokens:>6} {one.problem or 'done'}")
    print(
        f"{done} of {len(spent)} done; median {calls:g} calls (<= {MAX_CALLS}), {tokens:g} tokens (<= {MAX_TOKENS}): "
        f"{'yes' if holds else 'NO'}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
