"""Replies of stand-ins as they were sent, and the observers that read them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SentReply:
    """One request with the reply of a stand-in. `body` is before compression; `cut` where the connection broke off."""

    service: str
    method: str
    path: str
    status: int
    media: str
    body: bytes
    cut: bool = False
    sent: bytes = b""
    """Body of the request."""

    def __str__(self) -> str:
        return f"{self.service}: {self.method} {self.path} → {self.status}"


_observers: list[Callable[[SentReply], None]] = []


def report(exchange: SentReply) -> None:
    """Give a reply to the observers. Called from the threads of the stand-ins."""
    for observe in tuple(_observers):
        observe(exchange)


def is_observed() -> bool:
    """Whether anybody reads the replies: a stand-in that nobody checks keeps no copy of them."""
    return bool(_observers)


@contextmanager
def observing(observe: Callable[[SentReply], None]) -> Generator[None]:
    """Call `observe` with each reply of every stand-in of this process, until the block ends."""
    _observers.append(observe)
    try:
        yield
    finally:
        _observers.remove(observe)
