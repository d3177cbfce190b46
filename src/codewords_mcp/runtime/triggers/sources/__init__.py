"""Event sources: one module a kind. Each turns what another system shows into events; the engine in `runs/` does the rest."""
