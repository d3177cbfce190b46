"""The stdio server that a chat host starts: a proxy to the home's runtime. Standard library only."""
