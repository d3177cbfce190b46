"""Public data sets that others made, which benchmarks measure on. They are not committed: each is a checkout in one folder.

The folder is `--data FOLDER`, else BENCHMARK_DATA, else `yardsticks` in the folder of cached peers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _bench import clean_environment
from _peers import cache_folder


@dataclass(frozen=True)
class DataSet:
    """A repository at a revision: its name as `owner/repository`, and its licence for the data."""

    repository: str
    revision: str
    licence: str

    @property
    def folder(self) -> str:
        return self.repository.rpartition("/")[2]

    def told(self, among: Path) -> str:
        """The commands that get it, as a shell takes them."""
        return (
            f"git clone https://github.com/{self.repository} {among / self.folder}  # {self.licence}\n"
            f"git -C {among / self.folder} checkout {self.revision}"
        )


METATOOL = DataSet("HowieHwong/MetaTool", "35e81bb7576826e980c80fed8f8c0a2b4a1e6fbb", "MIT")
BFCL = DataSet("ShishirPatil/gorilla", "6ea57973c7a6097fd7c5915698c54c17c5b1b6c8", "Apache-2.0")
ARTICLES = DataSet(
    "scrapinghub/article-extraction-benchmark", "4a3bc979f76c0df73cb95fe272e2fc1b96f9f010", "MIT"
)
WCXB = DataSet(
    "Murrough-Foley/web-content-extraction-benchmark", "c039d5ee9f5a3a984a0e167e63aacd04e76e78a9", "CC-BY-4.0"
)
TRAFILATURA = DataSet("adbar/trafilatura", "e90b0ef51ab026fdb905fb6c5b3c84dd3d784fd5", "Apache-2.0")
HUMANEVALPACK = DataSet("bigcode-project/octopack", "e17a8f6470264286bc6a52eb8263582083bf3bf6", "MIT")
MBPP = DataSet(
    "OckBench/OckBench", "b72752a0ba5989d3c212675ec60d3eedcd838628", "CC-BY-4.0 for MBPP, which it has whole"
)
BIGCODEBENCH = DataSet(
    "bigcode-project/bigcodebench-annotation", "a3b89850db670d7302571142b881e4f85eef18e3", "Apache-2.0"
)
FASTAPI = DataSet("fastapi/fastapi", "c3f316b7e814667e8ee81e03a7330d00ee61e45c", "MIT")


def checkouts(*wanted: DataSet) -> list[Path]:
    """The folders of these sets, in this order; takes `--data` from the command line.

    Exits with code 2 where one is missing, and tells how it is had.
    """
    among = _folder()
    missing = [one for one in wanted if not (among / one.folder).is_dir()]
    if missing:
        print("Data of others is needed, in --data FOLDER or BENCHMARK_DATA:", file=sys.stderr)
        print(*(one.told(among) for one in missing), sep="\n", file=sys.stderr)
        raise SystemExit(2)
    return [among / one.folder for one in wanted]


def _folder() -> Path:
    if "--data" in sys.argv[:-1]:
        at = sys.argv.index("--data")
        _, given = sys.argv[at : at + 2]
        del sys.argv[at : at + 2]
        return Path(given)
    return Path(os.environ.get("BENCHMARK_DATA") or cache_folder() / "yardsticks")


def answers_of(program: str, tasks: Iterable[object], python: str | Path = sys.executable) -> list[Any]:
    """The answers of a program of this folder that serves others' code (`_forked_answers`), in a Python of its own."""
    done = subprocess.run(
        [python, Path(__file__).with_name(program)], input="".join(json.dumps(task) + "\n" for task in tasks),
        encoding="utf-8", stdout=subprocess.PIPE, env=clean_environment(), check=True, timeout=1800,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]
