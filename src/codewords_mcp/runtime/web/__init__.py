"""Web access of library services: one guarded client, and pages as Markdown."""
