"""Scripts for these tests."""

from __future__ import annotations

ANY = ">=3.11,<3.14"
HEADER = f"""# /// script
# requires-python = "{ANY}"
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
ONLY_3_11 = HEADER.replace(ANY, "==3.11.*")
APP = "from fastapi import FastAPI\napp = FastAPI()\n"


def script(body: str = APP, header: str = HEADER) -> str:
    """A whole script; the body starts on the line after the header's eleven."""
    return header + body
