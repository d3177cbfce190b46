"""From one Python file to something that can run: script, checks, locked environment."""
