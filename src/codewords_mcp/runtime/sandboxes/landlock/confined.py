"""The entry point of a confined worker, run as a script by `python -I -S`: see `inside.worker`."""

import os
import sys

# os.path: pathlib is 5 ms of import.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

from sandboxes.landlock.inside.worker import main  # pyright: ignore  # noqa: PGH003

if __name__ == "__main__":
    main()
