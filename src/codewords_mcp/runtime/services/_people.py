"""People whom questions are sent to, as the service `approvals` takes them."""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from codewords_mcp.runtime.model.recipients import MAX_RECIPIENTS, Recipient, phone_digits
from codewords_mcp.runtime.services._mail import Address
from codewords_mcp.runtime.services.base import Input


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _slack(text: str) -> str:
    if not re.fullmatch(r"[#@]?[\w.-]{1,80}", text):
        raise ValueError("that is no id or name of a Slack channel, or id of a user")
    return text


def _phone(text: str) -> str:
    digits = phone_digits(text)
    if not re.fullmatch(r"[0-9]{5,20}", digits):
        raise ValueError("that is not a telephone number with a country code")
    return digits


class Notify(Input):
    """E-mail addresses, ids of Slack channels or users, and WhatsApp numbers with their country code; ten at the most."""

    email: Annotated[list[Address], BeforeValidator(_listed)] = Field(default_factory=list[str])
    slack: Annotated[list[Annotated[str, AfterValidator(_slack)]], BeforeValidator(_listed)] = Field(
        default_factory=list[str]
    )
    whatsapp: Annotated[list[Annotated[str, AfterValidator(_phone)]], BeforeValidator(_listed)] = Field(
        default_factory=list[str]
    )

    @model_validator(mode="after")
    def _bounded(self) -> Notify:
        if len(self.recipients) > MAX_RECIPIENTS:
            raise ValueError(f"a question is sent to {MAX_RECIPIENTS} people at the most")
        return self

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """All of them, each once."""
        found = [
            # Without the name beside it: one address is one recipient, however it is written.
            *(Recipient("email", parseaddr(text)[1]) for text in self.email),
            *(Recipient("slack", text) for text in self.slack),
            *(Recipient("whatsapp", text) for text in self.whatsapp),
        ]
        return tuple(dict.fromkeys(found))
