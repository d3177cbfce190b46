"""The local driver: Linux namespaces. `inside` runs in the sandbox's own processes, the rest in the runtime."""
