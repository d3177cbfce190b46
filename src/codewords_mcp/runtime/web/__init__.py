"""Connections to addresses that people or programs give, each judged first; a guarded HTTP client on them; pages as Markdown."""
