"""Checks of the settings of alerts that their types can't make."""

from __future__ import annotations

from urllib.parse import urlsplit

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.alert import AlertSettings
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.services import _mail
from codewords_mcp.runtime.triggers.cron import parse_zone


def check_settings(settings: AlertSettings) -> None:
    """Raise InvalidInput for an address, a secret's name, a zone or quiet hours that are none."""
    if settings.webhook:
        target = urlsplit(settings.webhook)
        if target.scheme not in {"http", "https"} or not target.hostname:
            raise InvalidInput("`webhook` must be an address like https://example.org/alerts.")
    check_name(settings.webhook_secret)

    for address in settings.email:
        try:
            _mail.bare_address(address)
        except ValueError:
            raise InvalidInput("`email` must be addresses like name@example.org.") from None

    parse_zone(settings.timezone)
    if bool(settings.quiet_from) != bool(settings.quiet_until) or (
        settings.quiet_from and settings.quiet_from == settings.quiet_until
    ):
        raise InvalidInput(
            "Quiet hours need two different times, `quiet_from` and `quiet_until`.",
            hint='Set both to "" for none.',
        )
