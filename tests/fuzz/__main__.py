"""`python -m tests.fuzz parsers|messages|openapi [--cases N] [--seed S] [--only NAME]`: fuzz for long, and count."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run one kind of fuzzing. Exit code 1 where something failed."""
    reader = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    reader.add_argument("kind", choices=["parsers", "messages", "openapi"])
    reader.add_argument(
        "--cases", type=int, default=1_000, help="inputs for each parser, caller or transport"
    )
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--only", default="", help="a parser, caller or transport whose name begins so")
    asked = reader.parse_args(arguments)
    if asked.kind == "parsers":
        return _parsers(asked.cases, asked.seed, asked.only)
    with tempfile.TemporaryDirectory() as folder:
        if asked.kind == "messages":
            from tests.fuzz.messages import fuzz_all
        else:
            from tests.fuzz.openapi import fuzz_all
        return fuzz_all(Path(folder), asked.cases, asked.seed, asked.only)


def _parsers(cases: int, seed: int, only: str) -> int:
    from tests.fuzz.parsers import TARGETS, fuzz

    total = failed = 0
    for target in TARGETS:
        if not target.name.startswith(only):
            continue
        report = fuzz(target, cases, seed)
        total += report.cases
        failed += len(report.failures) + len(report.slow)
        sys.stdout.write(
            f"{target.name:22} {report.cases:8} inputs, {report.refused:8} refused, slowest {report.slowest:.3f} s\n"
        )
        for data, error in report.failures[:5]:
            sys.stdout.write(f"    {error}\n    {data[:300]!r}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{total} inputs, {failed} failures\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
