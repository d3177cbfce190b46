"""Nouns that the runtime API takes and returns, and rules on them that need no store: of names, addresses, questions."""
