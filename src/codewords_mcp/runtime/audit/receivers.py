"""The receivers of the audit trail that the settings name."""

from __future__ import annotations

from codewords_mcp.runtime.audit.forwarding import AuditForwarder, AuditReceiver
from codewords_mcp.runtime.audit.syslog_receiver import AuditSyslog, parse_syslog
from codewords_mcp.runtime.audit.webhook_receiver import AuditWebhook, signing_secret
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings


def make_forwarders(
    settings: Settings, database: Database, executor: str, web: Web, secrets: SecretService
) -> list[AuditForwarder]:
    """One loop for each receiver, in the order of `receiver_names`. Raises InvalidInput for an address that is none."""
    receivers: list[AuditReceiver] = []
    if settings.audit_webhook:
        secret = signing_secret(secrets, settings.audit_webhook_secret)
        receivers.append(AuditWebhook(web, settings.audit_webhook, secret))
    if settings.audit_syslog:
        receivers.append(AuditSyslog(parse_syslog(settings.audit_syslog), settings.audit_syslog_ca))
    return [AuditForwarder(database, executor, receiver) for receiver in receivers]


def receiver_names(settings: Settings) -> tuple[str, ...]:
    """The names of the receivers that the settings name."""
    addresses = ((AuditWebhook.name, settings.audit_webhook), (AuditSyslog.name, settings.audit_syslog))
    return tuple(name for name, address in addresses if address)
