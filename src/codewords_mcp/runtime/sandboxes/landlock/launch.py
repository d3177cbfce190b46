"""The supervisor's entry point, run as a script by `python -I -S`: makes the sandboxes' folder importable and nothing else."""

import os
import sys

# os.path: pathlib is 5 ms of import.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

from sandboxes.landlock.inside.supervisor import main  # pyright: ignore  # noqa: PGH003

main()
