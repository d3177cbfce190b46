"""Locked environments of workflows: resolved, built once, shared by hard links."""
