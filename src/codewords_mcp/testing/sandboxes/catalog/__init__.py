"""The checks, one module an area or two; `registry.checks` imports them in this order."""

MODULES = (
    "starting",
    "script",
    "serving",
    "output",
    "ending",
    "cancelling",
    "files",
    "limits",
    "isolation",
    "network",
    "driving",
)
