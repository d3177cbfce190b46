"""Static analysis of the hosts, services and models that a script may reach, from its syntax tree.

`scopes` finds the bindings of each name, `evaluate` the possible values of an expression, `tables`
lists the calls that reach out, `derive` makes the manifest. Anything that can't be determined is
reported as unknown; nothing is guessed.
"""

from __future__ import annotations

from codewords_mcp.runtime.workflows.analysis.derive import AnalysisResult, derive

__all__ = ["AnalysisResult", "derive"]
