"""Secrets in memory, of the fake runtime."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.integration.mcp.fake_consents import BASE_URL

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.paging import cut_page
from codewords_mcp.runtime.api.secrets import SecretApi
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.secret import SecretInfo
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.secrets.rules import make_rule

if TYPE_CHECKING:
    from tests.integration.mcp.fake_runtime import FakeRuntime


class FakeSecretApi(SecretApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def create_link(self, caller: Caller, name: str, *, hosts: Collection[str] = ()) -> str:
        check_name(name)
        if hosts:
            make_rule(hosts)
        nonce = f"nonce{next(self._fake.ids)}"
        self._fake.entries[nonce] = (caller, name)
        return f"{BASE_URL}/secrets/{nonce}"

    async def redeem_link(
        self, caller: Caller, nonce: str, value: str, *, hosts: Collection[str] | None = None
    ) -> SecretInfo:
        caller, name = self._fake.entries.pop(nonce)
        now = datetime.now(UTC)
        info = SecretInfo(name=name, created_at=now, updated_at=now, used_by=["greeting_1"])
        self._fake.stored_secrets[caller.owner, name] = info
        return info

    async def delete(self, caller: Caller, name: str) -> None:
        if self._fake.stored_secrets.pop((caller.owner, name), None) is None:
            raise NotFound("There is no secret of that name.", hint="list_secrets lists them.")

    async def list(self, caller: Caller) -> list[SecretInfo]:
        return [info for (owner, _), info in self._fake.stored_secrets.items() if owner == caller.owner]

    async def page(self, caller: Caller, *, limit: int, cursor: str | None = None) -> Page[SecretInfo]:
        found = [info for info in await self.list(caller) if cursor is None or info.name > cursor]
        ordered = sorted(found, key=lambda info: info.name)
        return cut_page(ordered, limit, lambda info: info.name)

    async def find(self, caller: Caller, name: str) -> SecretInfo | None:
        return self._fake.stored_secrets.get((caller.owner, name))
