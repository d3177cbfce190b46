"""Code of a sandbox's own processes. Imports the standard library and `namespaces.inside` only."""
