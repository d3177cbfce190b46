"""Vault's key-value engine (version 2), 1Password Connect and Google's Secret Manager on loopback, as far as reading takes.

Vault: https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2. Connect:
https://developer.1password.com/docs/connect/api-reference. Google:
https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.loopback_site import Answer, Asked, StandIn, serving

TOKEN = "stand-in-token"
VAULT_ID, ITEM_ID = "v" * 26, "i" * 26


class SecretStores:
    """The stores. `values` by path: `kv/app` has fields, `Prod/db` the fields of an item's section, `project/name` a text.

    `instead`: the answer to every request from then on.
    """

    def __init__(self, site: StandIn) -> None:
        self.values: dict[str, Any] = {}
        self.instead: Answer | None = None
        self._site = site
        site.answer = self._answer

    @property
    def environment(self) -> dict[str, str]:
        """Variables for who asks them."""
        return {
            "VAULT_ADDR": self._site.url,
            "VAULT_TOKEN": TOKEN,
            "OP_CONNECT_HOST": self._site.url,
            "OP_CONNECT_TOKEN": TOKEN,
            "CODEWORDS_GCP_SECRETS_URL": self._site.url,
        }

    def google_account(self) -> dict[str, str]:
        """The key file of a service account whose tokens come from here."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "runtime@project.example",
            "token_uri": f"{self._site.url}/token",
        }

    @property
    def asked(self) -> list[str]:
        """The paths so far."""
        return [asked.path for asked in self._site.asked]

    def _answer(self, asked: Asked) -> Answer:
        if self.instead is not None:
            return replace(self.instead, headers={"Connection": "close"})
        if asked.path == "/token":
            return _json({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if TOKEN not in (bearer, asked.headers.get("x-vault-token")):
            return _json({"errors": ["permission denied"]}, 403)

        url = urlsplit(asked.path)
        sought = parse_qs(url.query).get("filter", [""])[0]
        if found := re.fullmatch(r"/v1/projects/([^/]+)/secrets/([^/]+)/versions/latest:access", url.path):
            return self._google("/".join(found.groups()))
        if found := re.fullmatch(r"/v1/vaults/[^/]+/items/[^/]+", url.path):
            return self._item()
        if url.path == "/v1/vaults":
            names = {path.partition("/")[0] for path in self.values}
            return _json([{"id": VAULT_ID, "name": name} for name in names if sought == f'name eq "{name}"'])
        if url.path == f"/v1/vaults/{VAULT_ID}/items":
            titles = {path.partition("/")[2] for path in self.values}
            return _json(
                [{"id": ITEM_ID, "title": name} for name in titles if sought == f'title eq "{name}"']
            )
        if found := re.fullmatch(r"/v1/([^/]+)/data/(.+)", url.path):
            return self._vault("/".join(found.groups()))
        return _json({"errors": []}, 404)

    def _vault(self, path: str) -> Answer:
        if path not in self.values:
            return _json({"errors": []}, 404)
        metadata = {
            "created_time": "2026-01-01T00:00:00Z",
            "deletion_time": "",
            "destroyed": False,
            "version": 1,
        }
        return _json(
            {
                "request_id": "1", "lease_id": "", "renewable": False, "lease_duration": 0,
                "data": {"data": self.values[path], "metadata": metadata},
            }
        )  # fmt: skip

    def _item(self) -> Answer:
        fields: dict[str, str] = next(value for value in self.values.values() if not isinstance(value, str))
        concealed = [
            {"id": f"f{number}", "type": "CONCEALED", "label": name, "value": value, "section": {"id": "s1"}}
            for number, (name, value) in enumerate(fields.items())
        ]
        return _json(
            {
                "id": ITEM_ID, "title": "db", "vault": {"id": VAULT_ID}, "category": "LOGIN",
                "sections": [{"id": "s1", "label": "server"}],
                "fields": [{"id": "username", "type": "STRING", "label": "username", "value": "ada"}, *concealed],
            }
        )  # fmt: skip

    def _google(self, path: str) -> Answer:
        if path not in self.values:
            return _json({"error": {"code": 404, "status": "NOT_FOUND"}}, 404)
        data = base64.b64encode(self.values[path].encode()).decode()
        return _json({"name": f"projects/{path}/versions/1", "payload": {"data": data, "dataCrc32c": "1"}})


def _json(body: object, status: int = 200) -> Answer:
    return Answer(
        status, json.dumps(body).encode(), {"Content-Type": "application/json", "Connection": "close"}
    )


@contextmanager
def serving_stores() -> Generator[SecretStores]:
    """The stores, while the block runs."""
    for site in serving(StandIn()):
        yield SecretStores(site)
