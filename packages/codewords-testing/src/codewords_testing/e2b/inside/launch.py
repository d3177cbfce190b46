"""A machine's entry point, run as a script by `python -I -S`: makes two packages importable and nothing else.

Arguments: file descriptors of the channel to the loopback E2B and of the description of the machine; the folder
of `codewords_mcp.runtime`.
"""

import os
import sys

# Not by way of `codewords_mcp` and `codewords_testing`: nothing of the packages is needed but these folders.
sys.path += [sys.argv[3], os.path.dirname(os.path.dirname(__file__))]

from inside.machine import main  # pyright: ignore  # noqa: PGH003

main(int(sys.argv[1]), int(sys.argv[2]))
