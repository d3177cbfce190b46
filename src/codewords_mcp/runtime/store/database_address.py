"""Addresses of databases, as CODEWORDS_DATABASE_URL has them."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from codewords_mcp.errors import InvalidInput


def database_url(text: str) -> URL:
    """A database's address with the driver that we use. Raises InvalidInput."""
    try:
        url = make_url(text)
        # SQLAlchemy does not know the scheme `postgres`, by which many providers write addresses.
        backend = {"postgres": "postgresql"}.get(url.get_backend_name(), url.get_backend_name())
    except (ArgumentError, ValueError):
        backend, url = "", make_url("sqlite://")

    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database:
        return url

    raise InvalidInput(
        "CODEWORDS_DATABASE_URL is not the address of a PostgreSQL database.",
        hint="Write it as postgresql://user:password@host:5432/name, or leave it out for SQLite in the home.",
    )
