"""What library services do on the web: one guarded client, and pages to Markdown."""
