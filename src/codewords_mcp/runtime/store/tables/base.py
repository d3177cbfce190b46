"""The collection of all tables.

No table is made from it, the migrations make them all. So a partial index says its condition in SQLite's name alone:
PostgreSQL's would load that dialect, a megabyte, in every process.
"""

from __future__ import annotations

from sqlalchemy import MetaData

metadata = MetaData()
