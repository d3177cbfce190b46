"""Forecasts of costs, as commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewords_mcp.cli import _output

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


def forecast_lines(forecast: Json | None) -> list[str]:
    """The lines of a forecast; none where there were no runs to learn from."""
    return [str(text) for text in (forecast or {}).get("lines", [])]


def print_forecast(forecast: Json | None) -> None:
    """Print what a run costs, and its schedules in a month, if there were runs to learn from."""
    for number, text in enumerate(forecast_lines(forecast)):
        _output.prose(f"{'' if number else 'forecast':<9}  {text}", indent=2)
