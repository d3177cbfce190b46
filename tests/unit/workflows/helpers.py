"""Scripts for these tests."""

from __future__ import annotations

HEADER = """# /// script
# requires-python = "==3.11.*"
# dependencies = [
#   "fastapi==0.115.12",
#   "uvicorn[standard]==0.34.2"
# ]
# [tool.env-checker]
# env_vars = [
#   "PORT=8000"
# ]
# ///
"""
APP = "from fastapi import FastAPI\napp = FastAPI()\n"


def script(body: str = APP, header: str = HEADER) -> str:
    """A whole script; the body starts on the line after the header's eleven."""
    return header + body
