"""What the loopback E2B raises in the process that has it."""

from __future__ import annotations


class MachineFailed(Exception):
    """This host could not make or keep a machine: no Linux, no namespaces, or the machine broke. The message says which."""
