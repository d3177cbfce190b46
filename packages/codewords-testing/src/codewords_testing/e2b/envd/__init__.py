"""envd, the daemon in every E2B sandbox: processes and files, in the form that SDKs speak it (Connect with JSON, HTTP)."""
