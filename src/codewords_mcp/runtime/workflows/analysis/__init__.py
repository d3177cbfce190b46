"""What a script may reach, read from its syntax tree without running it.

`scopes` finds what each name may stand for, `evaluate` what an expression may give, `tables` which calls reach out,
`derive` puts the manifest together. What cannot be read is told as such; nothing is guessed.
"""

from __future__ import annotations

from codewords_mcp.runtime.workflows.analysis.derive import Reach, derive

__all__ = ["Reach", "derive"]
