"""Authority: callers, and the operations that each caller may use."""
