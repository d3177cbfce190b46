"""Errors of the loopback E2B, raised in the process that runs it."""

from __future__ import annotations


class MachineFailed(Exception):
    """This host could not make or keep a machine: no Linux, no namespaces, or the machine broke. The message says which."""
