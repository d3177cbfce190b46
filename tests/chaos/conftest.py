"""Fixtures of the front's tests, here against the real runtime."""

from tests.integration.stdio.conftest import front, home, standin

__all__ = ["front", "home", "standin"]
