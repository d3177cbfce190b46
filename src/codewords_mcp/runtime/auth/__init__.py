"""Authority: who calls, and what each caller may do."""
