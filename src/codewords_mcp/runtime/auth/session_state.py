"""The stored state of a browser that is signed in, and the worth of its token.

The token is `<id>.<secret>`. The secret is replaced every quarter of an hour: the next one is derived from the present one and
a seed of the session, so that answers to requests that are sent at once all carry the same. It becomes the present one when
the browser sends it; the one before then counts for a minute more, for requests that were on their way. Who sends a spent
secret later has a copy of it, or is robbed by who has: the session ends for both.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

ROTATE_AFTER: Final = 15 * 60.0
"""Seconds that a secret is used before the browser gets the next one."""
GRACE: Final = 60.0
"""Seconds for which a spent secret still counts, for requests that were on their way."""
IDLE: Final = 2 * 3600.0
"""Seconds without a request after which a session ends. An open page of the console counts as use."""
NOTED_EVERY: Final = 120.0
"""Seconds between two writes of when a session was used."""
MAX_PAGES: Final = 30
"""Workflows whose pages are open by one session: beyond it the oldest has to be opened anew."""
_TOKEN = re.compile(r"([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")
_SHORT: Final = 32
"""Characters that are kept of a digest."""

Worth = Literal["present", "next", "former", "spent", "unknown"]


@dataclass(slots=True)
class OpenedPage:
    """A workflow whose own page this browser may use: the digest of the secret in its cookie, and times in µs."""

    service_id: str
    digest: str
    began: int
    used: int


@dataclass(slots=True)
class SessionState:
    """A session as it is stored. `key` refers to the API key, `uid` is the machine's user whose browser it is.

    `member` is the member's id, "" for a session by a key that is no member's. `spent` are the digests of former
    secrets, the last one last. Times are in µs.
    """

    key: str
    owner: str
    uid: int | None
    browser: str
    began: int
    used: int
    seed: str
    digest: str
    next: str
    rotated: int
    spent: list[str] = field(default_factory=list[str])
    pages: list[OpenedPage] = field(default_factory=list[OpenedPage])
    member: str = ""

    @classmethod
    def begin(
        cls, key: str, owner: str, *, member: str = "", uid: int | None, browser: str, at: int
    ) -> tuple[SessionState, str]:
        """Make a session; (what is stored, its first secret)."""
        seed, secret = secrets.token_hex(32), secrets.token_urlsafe(32)
        following = digest_of(_derived(seed, secret))
        state = cls(key, owner, uid, browser, at, at, seed, digest_of(secret), following, at, member=member)
        return state, secret

    @classmethod
    def parse(cls, text: str) -> SessionState:
        """Read the stored form."""
        plain: dict[str, Any] = json.loads(text)
        pages: list[dict[str, Any]] = plain.pop("pages")
        return cls(**plain, pages=[OpenedPage(**page) for page in pages])

    def text(self) -> str:
        """Write the stored form."""
        return json.dumps(asdict(self))

    def worth(self, secret: str, at: int) -> Worth:
        """Judge a secret. A former one counts, a spent one is a copy."""
        sent = digest_of(secret)
        # In constant time, so that an answer's time tells nothing of the digest.
        if hmac.compare_digest(sent, self.digest):
            return "present"
        if hmac.compare_digest(sent, self.next):
            return "next"
        if sent not in self.spent:
            return "unknown"
        if sent == self.spent[-1] and at - self.rotated <= GRACE * 1e6:
            return "former"
        return "spent"

    def promote(self, secret: str, at: int) -> None:
        """Make the next secret the present one: the browser has it."""
        self.spent.append(self.digest)
        self.digest, self.next = digest_of(secret), digest_of(_derived(self.seed, secret))
        self.rotated = at

    def offered(self, secret: str, at: int) -> str:
        """The secret that takes the place of the present one; "" while that is new enough."""
        if at - self.rotated < ROTATE_AFTER * 1e6:
            return ""
        return _derived(self.seed, secret)

    def is_idle(self, at: int) -> bool:
        """Whether nobody used it for too long."""
        return at - self.used > IDLE * 1e6

    def is_use_news(self, at: int) -> bool:
        """Whether its last use is long enough ago to be written anew."""
        return at - self.used > NOTED_EVERY * 1e6

    def open_page(self, service_id: str, at: int) -> str:
        """Let this browser use a workflow's own page; the secret for its cookie."""
        secret = secrets.token_urlsafe(32)
        # The cookie that this browser had there is replaced, so nobody has a use for the one before.
        others = [page for page in self.pages if page.service_id != service_id]
        self.pages = [*others, OpenedPage(service_id, digest_of(secret), at, at)][-MAX_PAGES:]
        return secret

    def page_of(self, service_id: str, secret: str) -> OpenedPage | None:
        """The page that a secret opens, if it is that of this very workflow."""
        sent = digest_of(secret)
        for page in self.pages:
            if page.service_id == service_id and hmac.compare_digest(sent, page.digest):
                return page
        return None


def digest_of(secret: str) -> str:
    """Digest a secret, for storing."""
    return hashlib.sha256(secret.encode()).hexdigest()[:_SHORT]


def split_token(token: str) -> tuple[str, str] | None:
    """(id, secret) of a token; None for what can't be one, which costs no query."""
    match = _TOKEN.fullmatch(token)
    if match:
        return match[1], match[2]
    return None


def _derived(seed: str, secret: str) -> str:
    derived = hmac.digest(seed.encode(), secret.encode(), "sha256")
    return base64.urlsafe_b64encode(derived).decode().rstrip("=")
