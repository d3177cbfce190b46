"""`python -m codewords_mcp`, the same as `codewords-mcp`."""

from __future__ import annotations

import sys

from codewords_mcp.front import main

if __name__ == "__main__":
    sys.exit(main())
