"""A machine's entry point, run as a script by `python -I -S`: makes two packages importable and nothing else.

Arguments: file descriptors of the channel to the loopback E2B and of the description of the machine.
"""

import os
import sys

# not by way of `codewords_mcp`: nothing of the package is needed but these folders
_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
sys.path += [os.path.join(_TOP, "runtime"), os.path.join(_TOP, "testing", "e2b")]

from inside.machine import main  # pyright: ignore  # noqa: E402, PGH003

main(int(sys.argv[1]), int(sys.argv[2]))
