"""Writing workflows: templates to start from."""
