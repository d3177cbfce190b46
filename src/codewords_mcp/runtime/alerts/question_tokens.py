"""Tokens by which who got a question answers it: of one question, one recipient and one option, or any of its options.

A token is signed by the home's key and kept nowhere. It works once and until the deadline, since its question does.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.store.question_messages import QuestionMessage

PURPOSE: Final = "questions"
"""Purpose of the key that signs the tokens."""
_FORM: Final = re.compile(r"([0-9a-f]{24})\.(\d{1,2}|any)\.([A-Za-z0-9_-]{32})")


@dataclass(frozen=True, slots=True)
class TokenParts:
    """A token that has the right form. `option` is the number of one; None for any."""

    message_id: str
    option: int | None
    signature: str


class QuestionTokens:
    """Makes and checks tokens. `keys` gives those that sign: the first makes tokens, all are accepted."""

    def __init__(self, keys: Callable[[], Sequence[bytes]]) -> None:
        self._keys = keys

    def make(self, message: QuestionMessage, wait: RunWait, option: int | None) -> str:
        """The token of an option by its number; of any option with None."""
        choice = "any" if option is None else str(option)
        return f"{message.id.removeprefix('qm_')}.{choice}.{_sign(self._keys()[0], message, wait, option)}"

    def is_genuine(self, parts: TokenParts, message: QuestionMessage, wait: RunWait) -> bool:
        """Whether a token was made for this message and its question."""
        if parts.option is not None and parts.option >= len(wait.question["options"]):
            return False
        return any(
            hmac.compare_digest(_sign(key, message, wait, parts.option), parts.signature)
            for key in self._keys()
        )


def read_token(token: str) -> TokenParts | None:
    """The parts of a token; None for what is none."""
    found = _FORM.fullmatch(token)
    if found is None:
        return None
    option = None if found[2] == "any" else int(found[2])
    return TokenParts(f"qm_{found[1]}", option, found[3])


def _sign(key: bytes, message: QuestionMessage, wait: RunWait, option: int | None) -> str:
    chosen = "" if option is None else wait.question["options"][option]
    signed = "\n".join([message.id, wait.id, message.channel, message.target, str(option), chosen])
    # 24 bytes are 32 characters of base64 without padding, as `_FORM` expects them.
    digest = hmac.new(key, signed.encode(), hashlib.sha256).digest()[:24]
    return base64.urlsafe_b64encode(digest).decode()
