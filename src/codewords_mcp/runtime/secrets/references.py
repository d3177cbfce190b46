"""References to secrets that are kept elsewhere, such as `vault://kv/app#token`, and those that a home allows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from codewords_mcp.errors import InvalidInput

MAX_REFERENCE: Final = 512
"""Characters of a reference."""
FORMS: Final = {
    "env": "env://NAME",
    "file": "file:///run/secrets/name",
    "vault": "vault://MOUNT/PATH#FIELD",
    "aws-sm": "aws-sm://NAME",
    "gcp-sm": "gcp-sm://PROJECT/NAME",
    "op": "op://VAULT/ITEM/FIELD",
}
"""The form of a reference by its scheme. With `#FIELD` the value is a JSON object, and one of its fields is meant."""

_PARTS = re.compile(r"(?P<scheme>[a-z-]+)://(?P<path>[^#\s]+)(?:#(?P<field>[^#\s]+))?", re.ASCII)
# Fewer would name a whole mount, project or item.
_LEAST_PARTS: Final = {"vault": 2, "gcp-sm": 2, "op": 3}


@dataclass(frozen=True, slots=True)
class SecretReference:
    """The place of a secret's value. `path` has no scheme and no field; `field` is "" where the whole value is meant."""

    scheme: str
    path: str
    field: str = ""

    @property
    def address(self) -> str:
        """The reference without its field."""
        return f"{self.scheme}://{self.path}"

    def __str__(self) -> str:
        return f"{self.address}#{self.field}" if self.field else self.address


def parse_reference(text: str) -> SecretReference:
    """Parse a reference. Raises InvalidInput, which does not repeat the text: it may be a value, typed by mistake."""
    found = _PARTS.fullmatch(text.strip())
    if found is None or len(text) > MAX_REFERENCE or found["scheme"] not in FORMS or not text.isprintable():
        raise InvalidInput(
            "That is not a reference to a secret elsewhere.",
            hint=f"It is one of {', '.join(FORMS.values())}.",
        )

    scheme, path = found["scheme"], found["path"]
    parts = path.removeprefix("/").split("/")
    # What an address resolves away, or takes for its query, would get past the patterns of what is allowed.
    odd = any(part in ("", ".", "..") for part in parts) or bool(set(path) & set("*?%\\{}"))
    rooted = path.startswith("/") == (scheme == "file")
    if odd or not rooted or len(parts) < _LEAST_PARTS.get(scheme, 1):
        raise InvalidInput(f"A reference of that kind has the form {FORMS[scheme]}.")

    # Others may be a value as a whole; of Vault each secret is an object.
    reference = SecretReference(scheme, path, found["field"] or "")
    if scheme == "vault" and not reference.field:
        raise InvalidInput("A secret of Vault has several fields.", hint=f"Name one: {FORMS['vault']}.")
    return reference


class AllowedReferences:
    """The references that the operator of a home allows; none at first.

    Each pattern is an address in which `*` stands for anything and `{owner}` for the owner of the secret.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(pattern.strip() for pattern in patterns)

    def require(self, owner: str, reference: SecretReference) -> None:
        """Raises InvalidInput where that owner's secrets may not be read there."""
        if any(_matches(pattern, owner, reference.address) for pattern in self._patterns):
            return

        if self._patterns:
            hint = "CODEWORDS_SECRET_SOURCES lists the allowed ones; whoever runs this runtime sets it."
        else:
            hint = f"Whoever runs this runtime sets CODEWORDS_SECRET_SOURCES, as to {_suggestion(reference)}."
        raise InvalidInput(f"This runtime may not read {reference.address}.", hint=hint)


def _matches(pattern: str, owner: str, address: str) -> bool:
    # Not fnmatch: an owner that has `[` or `?` in it would be a pattern there.
    pieces = re.split(r"(\*|\{owner\})", pattern)
    known = {"*": ".*", "{owner}": re.escape(owner)}
    return re.fullmatch("".join(known.get(piece, re.escape(piece)) for piece in pieces), address) is not None


def _suggestion(reference: SecretReference) -> str:
    folder, slash, _ = reference.path.rpartition("/")
    return f"{reference.scheme}://{folder}{slash}*"
