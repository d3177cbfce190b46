"""Fuzzing: parsers in the process, messages of MCP, and the HTTP API by its own description.

`python -m tests.fuzz parsers --cases 100000` runs one of them for long; the suite runs each with a small seeded number.
"""
