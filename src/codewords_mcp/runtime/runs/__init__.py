"""Runs: admission, execution, logs, and what is asked about them."""
