"""Routes of the HTTP API, one module for each subject. No logic: each calls the runtime API."""
