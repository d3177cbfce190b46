"""The launcher's entry point, run as a script by `python -I -S`: makes `inside` importable and nothing else."""

import os
import sys

# os.path: pathlib is 5 ms of import.
sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120

from inside.launcher import main  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

main()
