"""Packages of npm by which tests read scripts."""

ACORN = "acorn@8.15.0"
