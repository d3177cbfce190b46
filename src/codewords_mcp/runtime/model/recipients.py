"""People whom a workflow's question is sent to, as calls, manifests and the store name them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

RecipientChannel = Literal["email", "slack", "whatsapp"]
CHANNELS: Final[tuple[RecipientChannel, ...]] = get_args(RecipientChannel)
"""The ways by which a question reaches people, beside the inbox; they are the keys of `notify`."""
ANYONE: Final = "*"
_NAMES: Final = {"email": "e-mail", "slack": "Slack", "whatsapp": "WhatsApp"}
MAX_RECIPIENTS: Final = 10
"""People to whom one question is sent."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person or channel: an e-mail address, the id or name of a Slack channel or user, digits of a phone number."""

    channel: RecipientChannel
    target: str

    @property
    def item(self) -> str:
        """The item of a manifest for it."""
        return recipient_item(self.channel, self.target)


def recipient_item(channel: str, target: str) -> str:
    """The item of a manifest: `e-mail ann@example.org`, or `e-mail *` for anyone by this channel."""
    if channel == "whatsapp" and target != ANYONE:
        target = phone_digits(target)
    return f"{_NAMES[channel]} {target}"


def allows_recipient(items: Iterable[str], item: str) -> bool:
    """Whether items of a manifest include a recipient. Case tells no addresses apart."""
    known = {one.casefold() for one in items}
    channel = item.partition(" ")[0]
    return bool(known & {ANYONE, item.casefold(), f"{channel} {ANYONE}".casefold()})


def phone_digits(text: str) -> str:
    """A phone number as its digits. People write blanks, brackets and dashes."""
    return re.sub(r"[\s()+.-]", "", text)
